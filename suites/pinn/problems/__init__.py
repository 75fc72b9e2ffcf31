"""The PINN suite's problems, a file for each PDE."""
