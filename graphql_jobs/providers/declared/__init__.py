"""Any job API by declaration: a YAML file instead of an adapter in Python (docs/how-to/declare-a-provider.md)."""

from graphql_jobs.providers.declared.client import DeclaredClient, declared_client
from graphql_jobs.providers.declared.load import problems_of, read_declaration
from graphql_jobs.providers.declared.model import Declaration
from graphql_jobs.providers.declared.spec import DeclaredSpec

__all__ = ["Declaration", "DeclaredClient", "DeclaredSpec", "declared_client", "problems_of", "read_declaration"]
