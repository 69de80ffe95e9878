"""From sensor messages' content to a Frame, and from detections to tracks. No ROS, no run-time."""
