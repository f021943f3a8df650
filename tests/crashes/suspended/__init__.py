"""Suspended runs on real stacks, while the watcher is killed, Prefect restarts and the provider is unavailable."""
