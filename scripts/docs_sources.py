"""A hook of MkDocs: pages may link to any file of the repository, and the site shows that file.

`docs/explanation/guarantees.md` links to `../../tests/flows/test_states.py`, which works in a clone. For the site, each
such file becomes a page under `source/`, and the link leads there. A link to a file that does not exist is not changed,
so that the strict build fails.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, InclusionLevel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
_LINK = re.compile(r"(?<=\]\()(?P<path>[^)#:\s]+)(?=[#)])")


def repository_links(page: str, markdown: str) -> Iterator[tuple[str, str]]:
    """Each link of `page` (a path below docs/) that leaves docs/, with the path of its file in the repository."""
    for match in _LINK.finditer(markdown):
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), match["path"]))
        if not path.startswith(("docs/", "../")) and (ROOT / path).is_file():
            yield match["path"], path


def source_page(path: str) -> str:
    """The path of the page of a repository's file in the site."""
    return f"source/{path}.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each file that a page links to."""
    linked = {
        path for file in files.documentation_pages() for _, path in repository_links(file.src_uri, file.content_string)
    }
    for path in sorted(linked):
        page = File.generated(config, source_page(path), content=_shown(path), inclusion=InclusionLevel.NOT_IN_NAV)
        files.append(page)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace each link to a file of the repository by a link to its page."""
    folder = posixpath.dirname(page.file.src_uri)
    targets = {
        link: posixpath.relpath(source_page(path), folder or ".")
        for link, path in repository_links(page.file.src_uri, markdown)
    }
    return _LINK.sub(lambda match: targets.get(match["path"], match["path"]), markdown)


def _shown(path: str) -> str:
    """The file as a code block, without colours, which would double the time of a build."""
    text = (ROOT / path).read_text()
    return f"---\nsearch:\n  exclude: true\n---\n# {path}\n\n``````` text\n{text}\n```````\n"
