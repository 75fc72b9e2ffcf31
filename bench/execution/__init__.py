"""Many runs: found, shared out between processes, trained side by side."""
