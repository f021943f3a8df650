"""Flows: what gets deployed. Each submits or adopts jobs, waits for them and hands over (`prefect.yaml`)."""
