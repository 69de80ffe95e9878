from moe_bev_ros.core.stamps import Stamp, StampGuard

SECOND = 1_000_000_000


def verdicts(*stamps_s: float) -> list[Stamp]:
    guard = StampGuard()
    return [guard.check(int(stamp * SECOND)) for stamp in stamps_s]


def test_rising_stamps_are_next() -> None:
    assert verdicts(5.0, 5.1, 5.2) == [Stamp.NEXT] * 3


def test_a_repeated_or_slightly_late_stamp_is_dropped_and_not_remembered() -> None:
    assert verdicts(5.0, 5.0, 4.9, 5.05) == [Stamp.NEXT, Stamp.REPEATED, Stamp.REPEATED, Stamp.NEXT]


def test_a_bag_loop_is_a_jump_back_and_goes_on_from_there() -> None:
    assert verdicts(20.0, 1.0, 1.1) == [Stamp.NEXT, Stamp.BACK, Stamp.NEXT]


def test_a_stamp_far_ahead_is_a_jump_and_the_return_too() -> None:
    assert verdicts(5.0, 500.0, 5.1) == [Stamp.NEXT, Stamp.FORWARD, Stamp.BACK]


def test_a_stamp_that_went_on_with_a_long_silence_is_no_jump() -> None:
    guard = StampGuard(0)
    assert guard.check(60_000_000_000, silence_ns=60_000_000_000) is Stamp.NEXT
    assert guard.check(120_000_000_000, silence_ns=1_000_000_000) is Stamp.FORWARD
