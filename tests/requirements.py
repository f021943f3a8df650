"""Which distributions pip installs with the wheel, and which ones its modules import."""

from __future__ import annotations

import ast
import re
import sys
from functools import cache
from importlib.metadata import distribution, packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@cache
def installed_with(metadata: str, extra: str) -> set[str]:
    """The distributions that pip installs for a wheel with this METADATA and this extra, by their requirements."""
    waiting = [Requirement(line) for line in re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)]
    waiting = [one for one in waiting if _applies(one, extra)]
    found: set[tuple[str, str]] = set()
    while waiting:
        one = waiting.pop()
        for of in ("", *one.extras):
            if (canonicalize_name(one.name), of) not in found:
                found.add((canonicalize_name(one.name), of))
                further = map(Requirement, distribution(one.name).requires or [])
                waiting += [requirement for requirement in further if _applies(requirement, of)]
    return {str(name) for name, _ in found}


def providers_of(package: str) -> set[str]:
    """The distributions that have a package with this name."""
    return {str(canonicalize_name(name)) for name in _distributions().get(package, [])}


def third_party(source: str) -> set[str]:
    """The packages that a module imports, without those of Python."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found - sys.stdlib_module_names


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


_distributions = cache(packages_distributions)
