"""How real the world is."""
