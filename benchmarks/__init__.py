"""The benchmark that `make bench` runs: contestants wait for the same jobs, and the emulator judges them."""
