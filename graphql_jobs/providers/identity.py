"""Whose credentials a client uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose credentials these are. `rights` is None if the provider does not tell them."""

    account: str
    rights: tuple[str, ...] | None = None
    #: The rights without which this project cannot work, and which `rights` does not have.
    missing: tuple[str, ...] = ()
