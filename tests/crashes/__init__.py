"""The crash test: flow-run processes on real workers are killed at chosen points, and run again (`make crash-test`)."""
