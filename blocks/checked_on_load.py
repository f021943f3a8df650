"""The base class of all blocks here: loading a saved block with wrong fields raises an error that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from prefect.blocks.core import Block
from pydantic import ValidationError

from graphql_jobs.errors import InvalidInput
from graphql_jobs.inputs import invalid_input

if TYPE_CHECKING:
    _Base = Block
else:
    _Base = object  # a subclass of Block would be a block type of its own


class CheckedOnLoad(_Base):
    """Mixin for a block class, before its other bases.

    The UI and the API check a block against its JSON schema only, so that a wrong block can be saved.
    """

    @classmethod
    def _load_from_block_document(cls, block_document: Any, validate: bool = True) -> Self:
        """Called by `load` and `aload`. Raises `InvalidInput` that names the block and its wrong fields.

        Prefect's own error names no field and advises to load the block without validation.
        """
        try:
            return super()._load_from_block_document(block_document, validate=validate)
        except RuntimeError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            found = invalid_input(error.__cause__, "it")
            told = f"{found.parameter}: {found.problem} Correct it in the UI under Blocks."
            raise InvalidInput(f"{cls.get_block_type_name()} block {block_document.name!r}", told) from None
