"""The fast evaluation of a PINN's loss and gradients: the same numbers as DeepXDE's.

`choose` decides how; `gradients` runs, compiles or captures the whole.
"""
