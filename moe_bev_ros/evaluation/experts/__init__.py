"""Which frame expert is good at what."""
