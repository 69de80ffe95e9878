import numpy as np

from moe_bev_ros.perception.motion_proof import empty_history, really_moves, remembered, typical_box


def seen(boxes, period_s=0.1):
    """History of one track from (x, y, length, width, yaw) rows."""
    history = empty_history(1)
    for frame, box in enumerate(boxes):
        history = remembered(history, frame * period_s, np.array([box], float))
    return history


def moves(boxes, velocity, way_m=0.2):
    return bool(really_moves(seen(boxes), np.array([velocity], float), np.array([way_m]))[0])


def test_a_box_of_which_both_ends_advance_moves():
    assert moves([(1.5 * 0.1 * k, 3.0, 0.6, 0.6, 0.0) for k in range(6)], (1.5, 0.0))


def test_a_wall_of_which_more_comes_into_view_stands():
    growing = [(0.5 * 0.4 * k, 3.0, 2.0 + 0.4 * k, 0.3, 0.0) for k in range(8)]
    assert not moves(growing, (2.0, 0.0))


def test_a_box_that_jumps_to_and_fro_stands():
    rng = np.random.default_rng(0)
    jumping = [(*(0.4 * rng.standard_normal(2)), 1.0, 0.6, 0.0) for _ in range(12)]
    assert not moves(jumping, (1.2, 0.0))


def test_three_measurements_prove_nothing():
    boxes = [(0.2 * k, 0.0, 0.6, 0.6, 0.0) for k in range(4)]
    assert not moves(boxes[:3], (2.0, 0.0))
    assert moves(boxes, (2.0, 0.0))


def test_a_box_that_moves_aside_supports_no_motion_ahead():
    assert not moves([(0.0, 0.2 * k, 4.0, 1.8, 0.0) for k in range(8)], (2.0, 0.0))


def test_what_turns_with_the_scene_is_judged_the_same():
    for yaw in np.linspace(-3.0, 3.0, 7):
        direction = np.array([np.cos(yaw), np.sin(yaw)])
        boxes = [(*(0.3 * k * direction), 4.4, 1.8, yaw) for k in range(6)]
        assert moves(boxes, 3.0 * direction, way_m=0.5)


def test_the_typical_box_is_one_that_was_measured():
    good, bad = (10.0, -3.0, 4.4, 1.8, 0.0), (10.5, -2.0, 6.5, 2.4, 1.1)
    assert tuple(typical_box(seen([good, bad, good]))[0]) == good
    assert tuple(typical_box(seen([bad, good, good, bad, good]))[0]) == good


def test_the_typical_box_of_one_measurement_is_that_one():
    assert tuple(typical_box(seen([(1.0, 2.0, 3.0, 1.0, 0.5)]))[0]) == (1.0, 2.0, 3.0, 1.0, 0.5)


def test_half_a_turn_makes_no_other_box():
    boxes = [(5.0, 0.0, 4.4, 1.8, 1.5), (5.0, 0.0, 4.4, 1.8, -1.6), (5.0, 0.0, 4.4, 1.8, 0.0)]
    assert typical_box(seen(boxes))[0, 4] != 0.0
