"""What INT8 costs."""
