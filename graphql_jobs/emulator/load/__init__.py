"""What the benchmark needs of the emulator: jobs with given durations, a judge, and fast answers."""
