"""The PINN suite's networks."""
