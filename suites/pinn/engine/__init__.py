"""The fast evaluation of a PINN's loss and gradients: the same numbers as DeepXDE's.

`evaluation.make_evaluation` chooses how; `gradients` runs, compiles or captures the whole.
"""
