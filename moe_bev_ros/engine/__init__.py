"""Engines: a Frame in, detections out. The only room that may import an inference run-time."""
