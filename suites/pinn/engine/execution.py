"""How a training step may be executed: choices that change its last digits at most."""

#: ``auto``: the fastest evaluation that gives DeepXDE's losses and gradients.
ENGINES = ("auto", "deepxde")

#: ``auto``: where a run is long enough to pay for it.
COMPILE = ("auto", "on", "off")
