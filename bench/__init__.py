"""The common harness: arms, tasks, training, records. It knows no PDE and no molecule."""
