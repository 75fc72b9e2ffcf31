"""What is kept of runs: records, checkpoints, weights, and leases on them."""
