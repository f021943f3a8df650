"""Flows, which prefect.yaml deploys. Each submits or adopts jobs, waits for them and starts downstream deployments."""
