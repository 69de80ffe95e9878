"""The simulator: roads, traffic, cameras, LiDAR and the vehicle."""
