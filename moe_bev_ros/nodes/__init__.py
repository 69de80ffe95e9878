"""The only room that imports rclpy. A node converts, calls one pure object and publishes."""
