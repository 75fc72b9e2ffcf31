"""What a run depends on: its specification, random streams, training, a user's own code."""
