"""Drives in a closed loop, and what they are worth."""
