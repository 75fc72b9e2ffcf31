"""Training steps of the problems as an expert writes them by hand in JAX.

They are what `speed pinn` compares with, beside stock DeepXDE: the same points, weights, loss terms
and optimiser, written for one problem each. JAX is an extra (``pip install dcbench[jax]``); nothing
but the comparison uses it.
"""
