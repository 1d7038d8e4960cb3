"""The reference decoder that travels in edge bundles; it imports nothing of this project."""
