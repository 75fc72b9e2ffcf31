"""The front door in Python: what `bench.run`, `bench.study` and `bench.load` are made of."""
