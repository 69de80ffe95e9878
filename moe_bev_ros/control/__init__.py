"""From a timed trajectory to throttle, brake and steering, inside a safety envelope."""
