"""One run: the loop, the optimiser, the device, signals and limits."""
