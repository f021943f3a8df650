"""The programs that `make` runs: the demo, the stack, the lock, the documentation's tables."""
