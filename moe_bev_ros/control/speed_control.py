"""PID on the speed error around the plan's own acceleration, which does most of the work (feed-forward)."""

from __future__ import annotations

from dataclasses import dataclass

from moe_bev_ros.control.limits import clipped


@dataclass(frozen=True)
class SpeedGains:
    """Gains of the speed loop.

    Attributes:
        proportional: [m/s2 per m/s].
        integral: [m/s2 per m].
        derivative: [m/s2 per m/s2].
        max_integral_mps2: the integral part never exceeds this.
    """

    proportional: float = 1.0
    integral: float = 0.15
    derivative: float = 0.0
    max_integral_mps2: float = 0.8


@dataclass(frozen=True)
class SpeedState:
    """What the loop remembers: the integral part [m/s2] and the last error [m/s]."""

    integral_mps2: float = 0.0
    error_mps: float | None = None


def speed_control(
    gains: SpeedGains,
    state: SpeedState,
    *,
    error_mps: float,
    feed_forward_mps2: float,
    dt_s: float,
    limits_mps2: tuple[float, float],
) -> tuple[float, SpeedState]:
    """One step: acceleration within the limits [m/s2], and the next state.

    Anti-windup: while the output sits at a limit, the integral does not grow further into it.
    """
    growth = gains.integral * error_mps * dt_s
    integral = clipped(state.integral_mps2 + growth, -gains.max_integral_mps2, gains.max_integral_mps2)
    rate = (error_mps - state.error_mps) / dt_s if state.error_mps is not None and dt_s > 0.0 else 0.0
    others = feed_forward_mps2 + gains.proportional * error_mps + gains.derivative * rate
    low, high = limits_mps2
    wanted = others + integral
    if (wanted > high and growth > 0.0) or (wanted < low and growth < 0.0):
        integral = state.integral_mps2
        wanted = others + integral
    return clipped(wanted, low, high), SpeedState(integral, error_mps)
