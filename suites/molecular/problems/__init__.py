"""The molecular suite's problems."""
