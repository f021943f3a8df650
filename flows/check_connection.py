"""Try a credentials block out."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.states import Completed

from blocks.load import ProviderName, load_credentials
from graphql_jobs.inputs import Name
from graphql_jobs.titles import title_of
from tasks import check_connection as checking
from tasks.forms import with_form
from tasks.names import named_after
from tasks.run_state import ends_in_a_state


@with_form(provider="Provider", credentials="Name of the credentials block")
@flow(
    name="check-connection",
    flow_run_name=named_after(
        lambda given: f"check {title_of(given['provider'])} block {given['credentials'] or given['provider']}"
    ),
    retries=0,
    validate_parameters=False,
)
@ends_in_a_state
async def check_connection(provider: ProviderName, credentials: Name | None = None) -> State[Any]:
    """Test a saved credentials block: sign in, and read the account and its rights. This starts no job.

    Args:
        credentials: A saved block of this provider. Empty for the block with the provider's name.

    Returns:
        The account, rights, latency and difference of the clocks, as plain JSON.
    """
    block = await load_credentials(provider, credentials or provider)
    connection = await checking(block)
    message = " ".join([connection.describe(), *connection.warnings])
    return Completed(message=message, data=connection.to_json())
