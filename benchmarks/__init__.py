"""The benchmark that `make bench` runs: programs wait for the same jobs, and the emulator judges their reports."""
