"""The common harness: arms, tasks, training, records. It knows no PDE and no molecule."""

import os

# Before anything imports NumPy or torch: results must not depend on the number of cores.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
