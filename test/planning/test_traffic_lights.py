from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.planning.traffic_lights import StateToObey, TrafficLightMemory


def light(state, element_id=0, x=30.0):
    return TrafficLight(element_id, (x, 0.0), state)


def states(memory, now_s):
    return [seen.state for _, seen in memory.by_position(now_s)]


def test_fresh_state_is_taken_as_it_is():
    memory = TrafficLightMemory()
    for state in (LightState.RED, LightState.AMBER, LightState.GREEN):
        memory.observe((light(state), light(state, element_id=7)), 1.0)
        assert states(memory, 1.5) == [state]
        assert memory.by_id(7, 1.5) == StateToObey(state, True)


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
    assert not any(seen.is_fresh for _, seen in memory.by_position(3.0))


def test_light_that_never_showed_a_state_is_unknown_as_is_one_never_heard_of():
    memory = TrafficLightMemory()
    memory.observe((light(LightState.UNKNOWN), light(LightState.UNKNOWN, element_id=7)), 1.0)
    assert states(memory, 1.0) == [LightState.UNKNOWN]
    assert memory.by_id(7, 1.0) == memory.by_id(8, 1.0) == StateToObey(LightState.UNKNOWN, False)


def test_position_that_wobbles_is_the_same_light_and_an_id_is_its_own():
    memory = TrafficLightMemory()
    memory.observe((light(LightState.RED), light(LightState.GREEN, element_id=7)), 1.0)
    memory.observe((light(LightState.GREEN, x=31.0),), 1.1)
    assert states(memory, 1.2) == [LightState.GREEN]
    assert memory.ids == (7,)


def test_what_is_not_kept_and_all_that_is_forgotten_is_gone():
    memory = TrafficLightMemory()
    memory.observe((light(LightState.RED), light(LightState.RED, element_id=7)), 1.0)
    memory.keep(lambda item: item.element_id == 7)
    assert states(memory, 1.0) == []
    memory.forget()
    assert memory.ids == ()
