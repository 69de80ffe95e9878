"""An edge driving stack for ROS 2: cameras and LiDAR in, objects, a path and throttle/brake out."""
