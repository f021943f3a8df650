"""What `make` runs: the demo, the stack to click on, the benchmark, the lock."""
