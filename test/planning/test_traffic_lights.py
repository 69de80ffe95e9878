import numpy as np

from moe_bev_ros.planning.traffic_lights import LightState, TrafficLight, TrafficLightMemory


def light(state, element_id=0, x=30.0):
    return TrafficLight(element_id, np.array([x, 0.0]), state)


def states(memory, now_s):
    return [item.state for item in memory.states(now_s)]


def test_fresh_state_is_taken_as_it_is():
    memory = TrafficLightMemory()
    for state in (LightState.RED, LightState.AMBER, LightState.GREEN):
        memory.observe((light(state),), 1.0)
        assert states(memory, 1.5) == [state]


def test_stale_or_unknown_light_that_was_red_stays_red():
    memory = TrafficLightMemory()
    memory.observe((light(LightState.RED),), 1.0)
    assert states(memory, 9.0) == [LightState.RED]
    memory.observe((light(LightState.UNKNOWN),), 9.0)
    assert states(memory, 9.0) == [LightState.RED]


def test_stale_amber_counts_as_red_and_stale_green_as_amber():
    memory = TrafficLightMemory()
    memory.observe((light(LightState.AMBER), light(LightState.GREEN, x=90.0)), 1.0)
    assert states(memory, 3.0) == [LightState.RED, LightState.AMBER]


def test_light_that_never_showed_a_state_is_unknown():
    memory = TrafficLightMemory()
    memory.observe((light(LightState.UNKNOWN),), 1.0)
    assert states(memory, 1.0) == [LightState.UNKNOWN]


def test_position_that_wobbles_is_the_same_light_and_an_id_is_its_own():
    memory = TrafficLightMemory()
    memory.observe((light(LightState.RED), light(LightState.GREEN, element_id=7)), 1.0)
    memory.observe((light(LightState.GREEN, x=31.0),), 1.1)
    assert states(memory, 1.2) == [LightState.GREEN, LightState.GREEN]


def test_forget_drops_all():
    memory = TrafficLightMemory()
    memory.observe((light(LightState.RED),), 1.0)
    memory.forget()
    assert memory.states(1.0) == []
