from dataclasses import replace

import numpy as np
import pytest

from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.core.se3 import inverse, se3_from_xy_yaw, transform_points, yaw_of
from moe_bev_ros.perception.tracker import Tracker, TrackerConfig

STEP_NS = 100_000_000
SIZES = {Label.CAR: (4.5, 1.9, 1.5), Label.PEDESTRIAN: (0.6, 0.6, 1.7), Label.UNKNOWN: (2.0, 0.5, 1.0)}


def seen(*items):
    """Detections from (label, x, y, yaw)."""
    boxes = np.array([[x, y, 0.8, *SIZES[label], yaw] for label, x, y, yaw in items], np.float32).reshape(-1, 7)
    num = len(items)
    labels = np.array([item[0] for item in items], np.uint8)
    return Detections(boxes, labels, np.full(num, 0.6, np.float32), np.full((num, 2), np.nan, np.float32))


def ego(frame, x=0.0, y=0.0, yaw=0.0, speed=0.0):
    return EgoMotion(frame * STEP_NS, se3_from_xy_yaw(x, y, yaw), speed, 0.0, 'map')


def follow(tracker, label, place, num, ego_at):
    """Run ``num`` frames of one object at place(t) = (x, y, yaw) in the fixed frame, seen from the moving vehicle."""
    objects = ()
    for frame in range(1, num + 1):
        motion = ego_at(frame)
        x, y, yaw = place(frame * 0.1)
        back = inverse(motion.odom_se3_base_link)
        local = transform_points(back, np.array([[x, y, 0.0]]))[0]
        objects = tracker.update(seen((label, local[0], local[1], yaw + yaw_of(back))), frame * STEP_NS, motion)
    return objects


def test_a_detection_is_an_object_at_once_and_keeps_its_identity():
    tracker = Tracker()
    first = tracker.update(seen((Label.CAR, 20, 0, 0)), STEP_NS, ego(1))
    second = tracker.update(seen((Label.CAR, 20.1, 0, 0)), 2 * STEP_NS, ego(2))
    assert first[0].track_id == second[0].track_id > 0
    assert (second[0].age, second[0].missed) == (2, 0)


def test_velocity_is_over_ground_while_the_vehicle_drives_and_turns():
    def ego_at(frame):
        return ego(frame, x=frame * 1.0, y=0.02 * frame**2 / 2, yaw=0.02 * frame, speed=10.0)

    (car,) = follow(Tracker(), Label.CAR, lambda t: (20 + 6 * t, 4, 0), 30, ego_at)
    speed_xy = np.array([np.cos(0.6), -np.sin(0.6)]) * 6
    np.testing.assert_allclose(car.velocity_2, speed_xy, atol=0.3)


def test_a_standing_car_stands_still_while_the_vehicle_drives_past():
    (car,) = follow(Tracker(), Label.CAR, lambda _: (30, 3, 0), 30, lambda f: ego(f, x=f * 1.0, speed=10.0))
    np.testing.assert_allclose(car.velocity_2, 0, atol=1e-6)
    np.testing.assert_allclose(car.box_7[:2], [0, 3], atol=0.1)


def test_a_walking_pedestrian_has_a_velocity_within_a_second_and_a_forecast():
    (person,) = follow(Tracker(), Label.PEDESTRIAN, lambda t: (15, 4 - 1.3 * t, 0), 10, ego)
    np.testing.assert_allclose(person.velocity_2, [0, -1.3], atol=0.35)
    forecast = person.forecasts[0]
    assert forecast.positions_t2.shape == (6, 2)
    np.testing.assert_allclose(forecast.positions_t2[-1], person.box_7[:2] + 3.0 * person.velocity_2, atol=1e-4)


def test_the_heading_turns_to_where_a_vehicle_drives():
    (car,) = follow(Tracker(), Label.CAR, lambda t: (40 - 8 * t, 3, 0.0), 20, ego)
    assert abs(abs(car.box_7[6]) - np.pi) < 0.05


def test_a_hidden_pedestrian_is_remembered_then_forgotten():
    tracker = Tracker(TrackerConfig(max_missed=5))
    follow(tracker, Label.PEDESTRIAN, lambda _: (15, 4, 0), 5, ego)
    missed = [[item.missed for item in tracker.update(seen(), (5 + i) * STEP_NS, ego(5 + i))] for i in range(1, 8)]
    assert missed == [[1], [2], [3], [4], [5], [], []]


def test_a_remembered_object_comes_back_under_its_own_id():
    tracker = Tracker()
    (before,) = follow(tracker, Label.PEDESTRIAN, lambda t: (15, 4 - t, 0), 10, ego)
    for frame in (11, 12, 13):
        tracker.update(seen(), frame * STEP_NS, ego(frame))
    (after,) = tracker.update(seen((Label.PEDESTRIAN, 15, 2.6, 0)), 14 * STEP_NS, ego(14))
    assert after.track_id == before.track_id
    assert after.missed == 0


def test_what_was_seen_once_is_not_remembered():
    tracker = Tracker()
    tracker.update(seen((Label.CAR, 20, 0, 0)), STEP_NS, ego(1))
    assert tracker.update(seen(), 2 * STEP_NS, ego(2)) == ()


def test_a_pedestrian_does_not_take_over_the_track_of_a_car():
    tracker = Tracker()
    (car,) = follow(tracker, Label.CAR, lambda _: (15, 4, 0), 5, ego)
    both = tracker.update(seen((Label.PEDESTRIAN, 15, 4, 0)), 6 * STEP_NS, ego(6))
    assert len(both) == 2
    assert next(item for item in both if item.label == Label.PEDESTRIAN).track_id != car.track_id


def test_a_flickering_piece_of_a_wall_does_not_move_and_a_thing_without_class_that_goes_far_does():
    (piece,) = follow(Tracker(), Label.UNKNOWN, lambda t: (15 + 1.5 * min(t, 1.0), 4, 0), 11, ego)
    np.testing.assert_array_equal(piece.velocity_2, 0)
    (thing,) = follow(Tracker(), Label.UNKNOWN, lambda t: (15 + 1.5 * t, 4, 0), 40, ego)
    np.testing.assert_allclose(thing.velocity_2, [1.5, 0], atol=0.3)


def test_fragments_that_would_be_too_fast_a_pedestrian_have_no_velocity():
    (item,) = follow(Tracker(), Label.PEDESTRIAN, lambda t: (5 + 7 * t, 4, 0), 20, ego)[-1:]
    assert np.hypot(*item.velocity_2) < 4.0


def test_two_crossing_pedestrians_keep_their_ids():
    tracker = Tracker()
    ids = []
    for frame in range(1, 31):
        t = frame * 0.1
        a, b = (Label.PEDESTRIAN, 15, -2 + 1.4 * t, 0), (Label.PEDESTRIAN, 15.8, 2 - 1.4 * t, 0)
        objects = tracker.update(seen(*(sorted([a, b], key=lambda item: item[2]))), frame * STEP_NS, ego(frame))
        ids.append([item.track_id for item in sorted(objects, key=lambda item: item.box_7[0])])
    assert all(pair == ids[0] for pair in ids)


def test_one_frame_of_unknown_does_not_change_the_class():
    tracker = Tracker()
    follow(tracker, Label.CAR, lambda _: (15, 4, 0), 5, ego)
    (item,) = tracker.update(seen((Label.UNKNOWN, 15, 4, 0)), 6 * STEP_NS, ego(6))
    assert item.label == Label.CAR


def test_without_odometry_tracks_live_in_base_link():
    tracker = Tracker()
    for frame in range(1, 21):
        (car,) = tracker.update(seen((Label.CAR, 30 - 0.5 * frame, 2, 0)), frame * STEP_NS, None)
    np.testing.assert_allclose(car.velocity_2, [-5, 0], atol=0.3)


@pytest.mark.parametrize('change', ['odometry lost', 'frame renamed', 'position jumps', 'stamp goes back', 'reset'])
def test_when_the_fixed_frame_or_time_breaks_everything_is_forgotten(change):
    tracker = Tracker()
    (before,) = follow(tracker, Label.CAR, lambda _: (15, 4, 0), 5, ego)
    stamp_ns, motion = 6 * STEP_NS, ego(6)
    if change == 'odometry lost':
        motion = None
    elif change == 'frame renamed':
        motion = EgoMotion(stamp_ns, np.eye(4), 0.0, 0.0, 'odom')
    elif change == 'position jumps':
        motion = ego(6, x=40.0)
    elif change == 'stamp goes back':
        stamp_ns = STEP_NS
    else:
        tracker.reset()
    (after,) = tracker.update(seen((Label.CAR, 15, 4, 0)), stamp_ns, motion)
    assert after.age == 1
    assert after.track_id != before.track_id


def test_covariance_turns_with_the_vehicle_and_shrinks_with_evidence():
    tracker = Tracker()
    first = tracker.update(seen((Label.CAR, 15, 4, 0)), STEP_NS, ego(1))[0].covariance_44
    (car,) = follow(Tracker(), Label.CAR, lambda _: (15, 4, 0), 20, ego)
    assert np.trace(car.covariance_44) < np.trace(first)
    np.testing.assert_allclose(car.covariance_44, car.covariance_44.T, atol=1e-6)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match='confirm_hits'):
        TrackerConfig(confirm_hits=0)


def test_a_wall_that_comes_into_view_piece_by_piece_has_no_velocity():
    tracker = Tracker()
    for frame in range(1, 21):
        length = 1.5 + 0.2 * frame
        box = np.array([[20 + length / 2, 4, 0.8, length, 0.3, 1.5, 0]], np.float32)
        found = Detections(
            box, np.array([Label.CAR], np.uint8), np.full(1, 0.6, np.float32), np.full((1, 2), np.nan, np.float32)
        )
        (wall,) = tracker.update(found, frame * STEP_NS, ego(frame))
        np.testing.assert_array_equal(wall.velocity_2, 0)


def test_what_was_not_seen_to_move_for_long_waits_where_it_vanished():
    tracker = Tracker()
    (before,) = follow(tracker, Label.PEDESTRIAN, lambda t: (15, 4 - 1.3 * t, 0), 4, ego)
    for frame in (5, 6, 7):
        (hidden,) = tracker.update(seen(), frame * STEP_NS, ego(frame))
    np.testing.assert_array_equal(hidden.velocity_2, 0)
    np.testing.assert_allclose(hidden.box_7[:2], before.box_7[:2], atol=0.15)


def test_a_standing_car_keeps_its_box_when_one_frame_merges_it_with_another():
    tracker = Tracker()
    follow(tracker, Label.CAR, lambda _: (15, 4, 0), 6, ego)
    merged = np.array([[15.5, 3.2, 0.8, 6.5, 2.4, 1.5, 1.1]], np.float32)
    found = Detections(
        merged, np.array([Label.CAR], np.uint8), np.full(1, 0.6, np.float32), np.full((1, 2), np.nan, np.float32)
    )
    (car,) = tracker.update(found, 7 * STEP_NS, ego(7))
    np.testing.assert_allclose(car.box_7[[0, 1, 3, 4, 6]], [15, 4, 4.5, 1.9, 0], atol=1e-4)


def out_of_sight(*items):
    found = seen(*items)
    return replace(found, hidden_n=np.ones(len(found), bool), scores_n=np.full(len(found), 0.3, np.float32))


def test_what_is_only_remembered_bears_no_track():
    assert Tracker().update(out_of_sight((Label.CAR, 20, 0, 0)), STEP_NS, ego(1)) == ()


def test_what_the_engine_remembers_is_kept_for_longer_and_not_called_seen():
    tracker, forgetful = Tracker(), Tracker()
    for each in (tracker, forgetful):
        follow(each, Label.CAR, lambda _: (20, 0, 0), 20, ego)
    for frame in range(21, 51):
        (kept,) = tracker.update(out_of_sight((Label.CAR, 20, 0.5, 0)), frame * STEP_NS, ego(frame))
        lost = forgetful.update(seen(), frame * STEP_NS, ego(frame))
    assert lost == ()
    assert kept.missed == 30
    assert kept.score == pytest.approx(0.3, abs=1e-6)


def test_what_is_in_sight_wins_its_track_over_a_memory():
    tracker = Tracker()
    follow(tracker, Label.CAR, lambda _: (20, 0, 0), 5, ego)
    both = seen((Label.CAR, 20, 0.6, 0), (Label.CAR, 20, 0, 0))
    (car,) = tracker.update(replace(both, hidden_n=np.array([False, True])), 6 * STEP_NS, ego(6))
    assert car.missed == 0


def test_a_track_takes_over_the_futures_of_its_detection():
    tracker = Tracker()
    follow(tracker, Label.CAR, lambda _: (20, 0, 0), 5, ego)
    futures = np.zeros((2, 3, 12, 2), np.float32)
    futures[1, 2] = np.stack([20 + np.arange(1, 13), np.zeros(12)], axis=1)
    found = replace(
        seen((Label.PEDESTRIAN, 5, 5, 0), (Label.CAR, 20.2, 0, 0)),
        futures_nmt2=futures,
        probabilities_nm=np.array([[0.2, 0.2, 0.6]] * 2, np.float32),
    )
    car, person = tracker.update(found, 6 * STEP_NS, ego(6))
    assert [round(path.probability, 3) for path in car.forecasts] == [0.2, 0.2, 0.6]
    np.testing.assert_allclose(car.forecasts[2].positions_t2[-1], [32 + car.box_7[0] - 20.2, 0], atol=1e-4)
    assert len(person.forecasts) == 3
    unseen, *_ = tracker.update(seen(), 7 * STEP_NS, ego(7))
    assert len(unseen.forecasts) == 1


def told(label, x, y, velocity, sigma_mps=0.2, yaw=0.0):
    """One detection with a measured velocity (in base_link's axes)."""
    covariance = np.diag([0.2, 0.2, sigma_mps, sigma_mps]).astype(np.float32) ** 2
    velocities = np.array([velocity], np.float32)
    return replace(seen((label, x, y, yaw)), velocities_n2=velocities, covariances_n44=covariance[None])


def test_a_track_begins_with_the_measured_velocity_in_the_axes_of_base_link():
    tracker, turned = Tracker(), ego(1, x=100.0, yaw=1.0)
    (car,) = tracker.update(told(Label.CAR, 20, 0, (5.0, -2.0)), STEP_NS, turned)
    np.testing.assert_allclose(car.velocity_2, [5.0, -2.0], atol=1e-5)
    np.testing.assert_allclose(car.forecasts[0].positions_t2[-1], car.box_7[:2] + 3.0 * car.velocity_2, atol=1e-4)
    assert car.covariance_44[2, 2] < 0.1


def test_a_sure_velocity_tells_of_braking_before_the_positions_do():
    slow = {}
    for name, velocity in (('told', 1.0), ('not told', np.nan)):
        tracker = Tracker()
        follow(tracker, Label.CAR, lambda t: (20 + 10 * t, 0, 0), 20, ego)
        (car,) = tracker.update(told(Label.CAR, 40.6, 0, (velocity, 0.0)), 21 * STEP_NS, ego(21))
        slow[name] = car.velocity_2[0]
    assert slow['told'] < 2.0
    assert slow['not told'] > 6.0


def test_an_unsure_velocity_gives_way_to_the_positions_however_often_it_is_told():
    tracker = Tracker()
    for frame in range(1, 31):
        (car,) = tracker.update(told(Label.CAR, 20 + 0.6 * frame, 0, (0.0, 0.0), 5.0), frame * STEP_NS, ego(frame))
    assert car.velocity_2[0] == pytest.approx(6.0, abs=0.4)


@pytest.mark.parametrize(('label', 'speed'), [(Label.CAR, 0.15), (Label.PEDESTRIAN, 9.0), (Label.UNKNOWN, 16.0)])
def test_what_is_told_to_be_slower_than_what_moves_or_faster_than_its_class_stands(label, speed):
    (item,) = Tracker().update(told(label, 20, 0, (0.0, speed)), STEP_NS, ego(1))
    np.testing.assert_array_equal(item.velocity_2, 0)


@pytest.mark.parametrize('lacks', ['odometry', 'velocity', 'covariance'])
def test_a_velocity_that_says_nothing_is_not_believed(lacks):
    found = told(Label.CAR, 20, 0, (5.0, np.nan if lacks == 'velocity' else 0.0), np.inf if lacks == 'covariance' else 0.2)
    (car,) = Tracker().update(found, STEP_NS, None if lacks == 'odometry' else ego(1))
    np.testing.assert_array_equal(car.velocity_2, 0)


def test_what_was_told_to_move_goes_on_out_of_sight():
    tracker = Tracker()
    for frame in range(1, 7):
        tracker.update(told(Label.CAR, 20 + 0.6 * frame, 0, (6.0, 0.0)), frame * STEP_NS, ego(frame))
    for frame in range(7, 12):
        (car,) = tracker.update(seen(), frame * STEP_NS, ego(frame))
    np.testing.assert_allclose(car.box_7[:2], [20 + 0.6 * 11, 0], atol=0.4)
    np.testing.assert_allclose(car.velocity_2, [6, 0], atol=0.3)


def test_of_a_pedestrian_who_sets_off_the_positions_tell_before_a_velocity_that_lags():
    speed_mps = {}
    for label in (Label.PEDESTRIAN, Label.CAR):
        tracker = Tracker()
        for frame in range(1, 19):
            way_m = 0.12 * max(frame - 10, 0)
            (item,) = tracker.update(told(label, 20, way_m - 4, (0.0, 0.0 if frame < 11 else 0.3)), frame * STEP_NS, ego(frame))
        speed_mps[label] = item.velocity_2[1]
    assert speed_mps[Label.PEDESTRIAN] > 0.6
    assert speed_mps[Label.CAR] < 0.5  # what a network says of vehicles is better than that


def test_a_box_that_is_not_finite_is_no_detection():
    found = seen((Label.CAR, 20, 4, 0), (Label.CAR, 30, 4, 0), (Label.CAR, 40, 4, 0))
    found.boxes_n7[1, 0], found.boxes_n7[2, 6] = np.nan, np.inf
    assert [item.track_id for item in Tracker().update(found, STEP_NS, ego(1))] == [1]
