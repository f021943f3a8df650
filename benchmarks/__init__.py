"""The benchmark of `make bench`: contestants wait for the same jobs, and the emulator judges them."""
