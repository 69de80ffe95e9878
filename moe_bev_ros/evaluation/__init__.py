"""Judges and reports: what a run achieved, in numbers and pictures."""
