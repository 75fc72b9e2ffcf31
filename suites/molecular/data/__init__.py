"""Frames with energies and forces: sources, splits, neighbour lists, batches."""
