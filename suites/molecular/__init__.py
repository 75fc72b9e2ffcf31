"""The molecular suite: SchNetPack potentials trained on energies and forces."""
