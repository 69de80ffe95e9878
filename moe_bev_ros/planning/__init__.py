"""From objects and a map to a timed trajectory."""
