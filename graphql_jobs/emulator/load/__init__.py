"""The emulator's parts for the benchmark: jobs with given durations, a judge, and fast answers."""
