"""Prefect's standard test suite for blocks, with every block of the package."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import pytest
from prefect.blocks.core import Block
from prefect.client.schemas import objects
from prefect.server.schemas import core
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite
from pydantic import ValidationError

import blocks

ALL = [getattr(blocks, name) for name in blocks.__all__]


class TestEveryBlockMeetsPrefectsStandard(BlockStandardTestSuite):
    """Description, documentation, described fields, and an example that imports and loads."""

    @pytest.fixture(params=ALL, ids=lambda block: block.__name__)
    def block(self, request: pytest.FixtureRequest) -> type[Block]:
        """Each block class in turn."""
        found: type[Block] = request.param
        return found

    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """No logo: Prefect's client accepts only http(s) addresses, which every browser would fetch."""
        assert block._logo_url is None


def test_prefects_client_refuses_a_logo_that_needs_no_network() -> None:
    """The server would store a `data:` address, but no client could read the block any more: see decision 4."""
    fields = {"name": "aiWARE", "slug": "aiware", "logo_url": "data:image/svg+xml,<svg/>"}
    assert core.BlockType.model_validate(fields).logo_url == fields["logo_url"]
    with pytest.raises(ValidationError, match="logo_url"):
        objects.BlockType.model_validate(fields)


def test_every_block_of_the_package_is_exported() -> None:
    """A block class that `blocks.__all__` lacks would not be registered by `prefect block register -m blocks`."""
    modules = [import_module(f"blocks.{module.name}") for module in iter_modules(blocks.__path__)]
    defined = {
        name
        for module in modules
        for name, member in vars(module).items()
        if isinstance(member, type) and issubclass(member, Block) and member.__module__ == module.__name__
    }
    assert defined - {"CheckedOnLoad"} == set(blocks.__all__)
