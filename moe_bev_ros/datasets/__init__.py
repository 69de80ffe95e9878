"""Readers and writers of recorded data: rosbag2 and folders of frames."""
