"""Write the package's README: the repository's, with links that readers of PyPI can follow.

PyPI shows no other file of the repository. So a link to a document leads to the site of the documents (see
deploy/site/), if ``[project.urls]`` has its address as ``Documentation``. Without an address, and for files
that the site lacks, a link becomes its text, and a picture is left out.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PAGES = {"README": "start", "WEBSOCKET_README": "kani-protocol"}
"""Documents at the root of the repository, and their pages on the site."""

LINK = re.compile(r"\[([^\[\]]+)\]\((?!https?:)([^)\s#]*)(#[^)\s]*)?\)")
PICTURE = re.compile(r'^<img src="docs/.*>\n\n', re.MULTILINE)


class PackageReadme(MetadataHookInterface):
    """Hook of Hatch's ``[tool.hatch.metadata.hooks.custom]``, which calls it at each build."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set ``readme`` of the project's metadata."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        site = metadata.get("urls", {}).get("Documentation")
        metadata["readme"] = {"content-type": "text/markdown", "text": package_readme(text, site)}


def package_readme(text: str, site: str | None) -> str:
    """Return README's text without a relative link.

    site: the address of the documents' site; None if it has none.
    """

    address = site and site.rstrip("/")

    def link(found: re.Match[str]) -> str:
        label, target, anchor = found.groups()
        page = _page(target or "README.md")
        return f"[{label}]({address}/{page}{anchor or ''})" if address and page is not None else label

    text = text.replace('src="docs/', f'src="{address}/') if address else PICTURE.sub("", text)
    return LINK.sub(link, text)


def _page(path: str) -> str | None:
    """Return the site's page of a document, relative to the site; None if it has none."""
    if not path.endswith(".md"):
        return None
    name = path.removesuffix(".md")
    page = PAGES.get(name) or name.removeprefix("docs/").removesuffix("README")
    return f"{page}/" if page else ""
