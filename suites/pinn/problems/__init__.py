"""The PINN suite's problems, one file a PDE."""
