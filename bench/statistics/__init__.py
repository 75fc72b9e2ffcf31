"""Numbers in, verdicts out: effects of arms over problems and seeds."""
