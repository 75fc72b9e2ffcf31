"""The commands of ``python -m bench.suite``, one a module."""
