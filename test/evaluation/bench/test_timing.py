from __future__ import annotations

from moe_bev_ros.evaluation.bench.timing import Row, format_rows, interleaved


def test_both_sides_are_called_in_turn() -> None:
    calls: list[str] = []
    row = interleaved('turns', lambda: calls.append('a'), lambda: calls.append('b'), 3)
    assert calls == ['a', 'b'] * 4
    assert row.ours_ms_min <= row.ours_ms_median
    assert row.ratio_min > 0


def test_a_row_is_one_line_under_its_heads() -> None:
    lines = format_rows(
        [Row('first', 1.0, 2.0, 0.5, 0.5, 2.0, 4.0), Row('second one', 1.0, 2.0, 0.5, 0.5, 2.0, 4.0)]
    ).splitlines()
    assert len(lines) == 4
    assert len({len(line) for line in lines}) == 1
    assert lines[3].split() == ['second', 'one', '1.000', '2.000', '0.500', '0.500', '2.00', '4.00']
