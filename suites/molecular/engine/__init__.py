"""The training step of a potential on batches of static shape, traced and compiled."""
