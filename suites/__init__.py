"""The suites: families of problems, each with its own builder."""
