"""Rankings: arms that are tuned alike, scored, and timed to a target, within a given time."""
