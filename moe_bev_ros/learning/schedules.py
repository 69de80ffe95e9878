"""What changes over a run: the rate, and how much of the network is left out."""

from __future__ import annotations

NUM_SPARSITIES = 8


def rate_share(progress: float, warm_up_share: float, decay_share: float) -> float:
    """Share of the full rate: it rises linearly, stays, and falls linearly to zero at the end.

    Warm-up, stable, decay (Hu et al. 2024, MiniCPM): a longer run goes on from the end of the plateau.

    Args:
        progress: 0 at the first step, 1 after the last.
    """
    rising = (progress + 1e-3) / warm_up_share if progress < warm_up_share else 1.0
    falling = (1.0 - progress) / decay_share if progress > 1.0 - decay_share else 1.0
    return min(1.0, rising, falling)


def sparsity_at(progress: float, dense_share: float, first: float, full_share: float, last: float) -> float:
    """Share of (expert, patch) pairs left out: none, then ``first``, rising in steps to ``last`` at ``full_share``.

    In steps, because libraries prepare and keep a kernel for every shape that they meet.
    """
    if progress < dense_share or last <= 0.0:
        return 0.0
    first = min(first, last)
    ramp = min(1.0, (progress - dense_share) / max(1e-9, full_share - dense_share))
    return first + (last - first) * int(ramp * NUM_SPARSITIES) / NUM_SPARSITIES
