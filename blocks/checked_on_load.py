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
    _Base = object  # a subclass of Block would be a separate block type


class CheckedOnLoad(_Base):
    """Mixin for a block class, before its other bases.

    The UI and the API check a block only against its JSON schema, so a wrong block can be saved.
    """

    @classmethod
    def _load_from_block_document(cls, block_document: Any, validate: bool = True) -> Self:
        """Load a block, for `load` and `aload`. Raises `InvalidInput`, which names the block and its wrong fields.

        Prefect's error names no field and recommends to load the block without validation.
        """
        try:
            return super()._load_from_block_document(block_document, validate=validate)
        except RuntimeError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            found = invalid_input(error.__cause__, "it")
            told = f"{found.parameter}: {found.problem} Correct it in the UI under Blocks."
            raise InvalidInput(f"{cls.get_block_type_name()} block {block_document.name!r}", told) from None
