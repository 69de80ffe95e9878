"""Values that all rooms share: poses, cameras, frames, objects, plans, commands. numpy only."""
