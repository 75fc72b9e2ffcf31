"""Questions: what a study is, its plan, and how long it takes."""
