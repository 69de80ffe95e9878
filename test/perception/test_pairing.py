import pytest

from moe_bev_ros.evaluation.summary import frame_stamps
from moe_bev_ros.perception.pairing import Pairer, PairingConfig
from moe_bev_ros.perception.synchroniser import Synchroniser

MS = 1_000_000
CONFIG = PairingConfig(tolerance_s=0.05, wait_s=0.1, dead_after=3)


def pairer():
    return Pairer(CONFIG)


def test_bundle_and_sweep_within_the_tolerance_make_one_frame_with_the_bundles_stamp():
    p = pairer()
    p.add_sweep(130 * MS, 'sweep', 0.0)
    assert p.take(0.0) is None
    p.add_bundle(100 * MS, 'bundle', 0.01)
    pair = p.take(0.01)
    assert (pair.stamp_ns, pair.bundle, pair.sweep) == (100 * MS, 'bundle', 'sweep')
    assert p.take(1.0) is None


def test_a_bundle_without_sweep_goes_out_after_the_wait():
    p = pairer()
    p.add_bundle(100 * MS, 'bundle', 0.0)
    assert p.take(0.09) is None
    assert p.take(0.1).sweep is None


def test_it_says_whether_something_waits():
    p = pairer()
    assert not p.is_waiting
    p.add_sweep(100 * MS, 'sweep', 0.0)
    assert p.is_waiting
    p.add_bundle(100 * MS, 'bundle', 0.01)
    assert p.take(0.01) is not None
    assert not p.is_waiting
    p.add_bundle(200 * MS, 'bundle', 0.1)
    assert p.take(0.15) is None
    assert p.is_waiting
    assert p.take(0.2) is not None
    assert not p.is_waiting


def test_a_sweep_without_bundle_goes_out_after_the_wait_with_its_own_stamp():
    p = pairer()
    p.add_sweep(100 * MS, 'sweep', 0.0)
    assert p.take(0.09) is None
    assert p.take(0.1).stamp_ns == 100 * MS


def test_a_sensor_missing_in_three_frames_is_not_waited_for_until_it_speaks_again():
    p = pairer()
    for i in range(3):
        p.add_bundle((i + 1) * 100 * MS, i, float(i))
        assert p.take(float(i)) is None
        assert p.take(i + 0.1).bundle == i
    p.add_bundle(400 * MS, 3, 3.0)
    assert p.take(3.0).bundle == 3
    p.add_sweep(500 * MS, 'back', 4.0)
    p.add_bundle(500 * MS, 4, 4.0)
    assert p.take(4.0).sweep == 'back'
    p.add_bundle(600 * MS, 5, 5.0)
    assert p.take(5.0) is None


def test_the_newest_ready_frame_wins_and_older_ones_are_counted():
    p = pairer()
    for i in range(3):
        p.add_bundle((i + 1) * 100 * MS, i, 0.0)
        p.add_sweep((i + 1) * 100 * MS, i, 0.0)
    assert p.take(0.0).bundle == 2
    assert p.dropped == 2
    assert p.take(9.0) is None


def test_the_closest_partner_is_chosen():
    p = pairer()
    p.add_sweep(60 * MS, 'far', 0.0)
    p.add_sweep(95 * MS, 'near', 0.0)
    p.add_bundle(100 * MS, 'bundle', 0.0)
    assert p.take(0.0).sweep == 'near'


def test_a_partner_that_comes_after_its_frame_is_no_frame_and_not_a_dropped_one():
    p = pairer()
    p.add_bundle(100 * MS, 'bundle', 0.0)
    assert p.take(0.1) is not None
    p.add_sweep(110 * MS, 'late', 0.2)
    assert p.take(9.0) is None
    assert (p.late, p.dropped) == (1, 0)


def test_what_is_older_than_the_last_frame_is_dropped_and_counted():
    p = pairer()
    p.add_bundle(500 * MS, 'b', 0.0)
    assert p.take(0.1) is not None
    p.add_sweep(300 * MS, 's', 0.2)
    assert p.take(9.0) is None
    assert p.dropped == 1


def test_after_a_reset_older_stamps_are_welcome():
    p = pairer()
    p.add_bundle(500 * MS, 'b', 0.0)
    assert p.take(0.1) is not None
    p.reset()
    p.add_bundle(100 * MS, 'b', 1.0)
    p.add_sweep(100 * MS, 's', 1.0)
    assert p.take(1.0).stamp_ns == 100 * MS


def play(p, sweeps_ms, bundles_ms, *, bundle_delay_ms=30):
    """Everything comes when it is taken, bundles a little later; asks every 5 ms as the node does."""
    events = [(at, 0, at) for at in sweeps_ms] + [(at + bundle_delay_ms, 1, at) for at in bundles_ms]
    out, events = [], sorted(events)
    for now in range(0, round(max(events)[0]) + 500, 5):
        while events and events[0][0] <= now:
            _, is_bundle, at = events.pop(0)
            (p.add_bundle if is_bundle else p.add_sweep)(round(at * MS), at, now / 1e3)
        while (pair := p.take(now / 1e3)) is not None:
            out.append(pair)
    return out


def test_a_lidar_twice_as_fast_as_the_cameras_gives_up_no_frame_and_the_nearest_sweep_wins():
    for shift in (-24, -10, 1, 10, 24):
        p = pairer()
        bundles = list(range(1000, 7000, 100))
        out = [pair for pair in play(p, [at + shift for at in range(1000, 7000, 50)], bundles) if pair.bundle]
        assert [pair.bundle for pair in out] == bundles
        assert len({pair.sweep - pair.bundle for pair in out}) == 1
        assert all(abs(pair.sweep - pair.bundle) <= 25 for pair in out)
        assert p.dropped == 0
        assert p.unused_sweeps > 50


def test_a_nearer_sweep_that_is_about_to_come_is_waited_for():
    p = pairer()
    p.add_bundle(1900 * MS, 'first', 0.0)
    p.add_sweep(1910 * MS, 1910, 0.0)
    assert p.take(0.0).sweep == 1910
    p.add_sweep(1960 * MS, 1960, 0.01)
    p.add_bundle(2000 * MS, 'bundle', 0.01)
    assert p.take(0.02) is None
    p.add_sweep(2010 * MS, 2010, 0.03)
    assert p.take(0.03).sweep == 2010


def test_a_nearer_sweep_that_does_not_come_is_not_waited_for_long():
    p = pairer()
    p.add_bundle(1900 * MS, 'first', 0.0)
    p.add_sweep(1910 * MS, 1910, 0.0)
    assert p.take(0.0).sweep == 1910
    p.add_sweep(1960 * MS, 1960, 0.0)
    p.add_bundle(1990 * MS, 'bundle', 0.0)
    assert p.take(0.09) is None
    assert p.take(0.1).sweep == 1960


def test_a_bundle_that_the_sweeps_have_passed_by_does_not_wait():
    p = pairer()
    p.add_sweep(100 * MS, 'before', 0.0)
    assert p.take(0.1).sweep == 'before'
    p.add_bundle(200 * MS, 'bundle', 0.2)
    p.add_sweep(260 * MS, 'after', 0.2)
    pair = p.take(0.2)
    assert (pair.bundle, pair.sweep) == ('bundle', None)


@pytest.mark.parametrize('rate_hz', [11, 12, 15, 20])
def test_a_lidar_alone_is_thinned_to_the_rate_and_what_is_given_up_is_counted(rate_hz):
    p = pairer()
    sweeps = [1000 * index / rate_hz for index in range(1, 5 * rate_hz)]
    out = play(p, sweeps, [])
    assert 47 <= len(out) <= 51
    assert len(out) + p.dropped == len(sweeps)
    assert p.unused_sweeps == 0


def test_a_lidar_of_the_rate_is_not_thinned():
    p = pairer()
    sweeps = [100 * index + (-20, 15, 0, 20)[index % 4] for index in range(1, 60)]
    assert len(play(p, sweeps, [])) == 59


def test_cameras_much_slower_than_the_lidar_still_find_their_sweeps():
    out = play(pairer(), [1007 + at for at in range(0, 5000, 100)], range(1000, 6000, 500))
    found = [(pair.bundle, pair.sweep) for pair in out if pair.bundle]
    assert found[1:7] == [(at, at + 7) for at in range(2000, 5000, 500)]  # once their rhythm is known


@pytest.mark.parametrize(
    ('camera_hz', 'lidar_hz'), [(10, 20), (10, 10), (12, 20), (12, 12), (8, 20), (5, 10), (2, 20), (30, 20)]
)
def test_every_frame_of_the_source_is_answered_or_dropped_by_camera_or_pairing(camera_hz, lidar_hz):
    sync = Synchroniser(1, 0, tolerance_s=0.05, wait_s=0.08, max_rate_hz=10.0)
    anchors = [1000 + 1000 * index / camera_hz for index in range(5 * camera_hz)]
    bundles = [bundle.stamp_ns / MS for at in anchors for bundle in sync.add(0, round(at * MS), at, at / 1e3)]
    sweeps = [1007 + 1000 * index / lidar_hz for index in range(5 * lidar_hz)]
    p = Pairer(PairingConfig())
    out = play(p, sweeps, bundles)
    frames = frame_stamps([round(at * MS) for at in anchors], [round(at * MS) for at in sweeps], p.config)
    assert abs(len(frames) - len(out) - sync.dropped_by_policy - p.dropped) <= 1  # at the end of the recording


def test_what_waits_when_time_jumps_is_counted_as_frame_only_where_it_was_one():
    p = pairer()
    p.add_bundle(100 * MS, 'b', 0.0)
    p.add_sweep(130 * MS, 's', 0.0)
    p.reset()
    assert (p.dropped, p.unused_sweeps) == (1, 1)
    p.add_sweep(130 * MS, 's', 0.0)
    p.reset()
    assert (p.dropped, p.unused_sweeps) == (2, 1)
