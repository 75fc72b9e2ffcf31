"""A user's problem, looked at once before anything is planned: its shapes, its points, its data."""
