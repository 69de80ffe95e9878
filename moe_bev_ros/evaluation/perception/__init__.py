"""What an engine sees, held against what was there."""
