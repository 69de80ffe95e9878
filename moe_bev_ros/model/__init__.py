"""Networks in plain torch: no ROS, no run-times."""
