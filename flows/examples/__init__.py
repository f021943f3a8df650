"""Example pipelines on the flows of this project. They need the extra `examples` (DuckDB)."""
