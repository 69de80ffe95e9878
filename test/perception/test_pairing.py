from moe_bev_ros.perception.pairing import Pairer, PairingConfig

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
