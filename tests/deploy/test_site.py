"""The documents as a static site."""

import os
import re
from pathlib import Path

import pytest

import kani
from deploy.package_readme import package_readme
from tests.conftest import ROOT
from tests.support.programs import python

pytestmark = pytest.mark.server

LOADED = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)="?(?:https?:)?//[^">\s]+')
"""What a page loads from another server."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning: a dead link or anchor is one."""
    folder = tmp_path_factory.mktemp("site")
    config = str(ROOT / "deploy" / "site" / "mkdocs.yml")
    # Without -q, which would keep warnings from --strict.
    command = ("-m", "mkdocs", "build", "--strict", "-f", config, "-d", folder)
    python(*command, cwd=folder, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    return folder


def test_every_document_is_a_page_that_can_be_searched_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md")]
    assert len(pages) > 30
    for page in pages:
        address = page.parent if page.name == "README.md" else page.with_suffix("")
        assert (site / address / "index.html").exists(), page
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    assert "prompt_wav_url" in index and "KANI_RATE_PER_MINUTE" in index
    html = [path.read_text(encoding="utf-8") for path in site.rglob("*.html")]
    assert not [found for page in html for found in LOADED.findall(page)]
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles and not [style for style in styles if re.search(r"url\(['\"]?(?:https?:)?//", style)]
    calls = (site / "http-reference" / "index.html").read_text(encoding="utf-8")
    assert "POST /v1/audio/speech" in calls and "response_format" in calls
    library = (site / "library-reference" / "index.html").read_text(encoding="utf-8")
    assert all(f'id="kani.{name}"' in library for name in kani.__all__)


def test_links_of_the_package_readme_lead_to_the_site(site: Path) -> None:
    address = "https://docs.example/speech"
    text = package_readme((ROOT / "README.md").read_text(encoding="utf-8"), f"{address}/")
    found = re.findall(rf"\]\({address}/([^)#]*)(?:#([^)]*))?\)", text)
    assert len(found) > 30
    for page, anchor in found:
        html = (site / page / "index.html").read_text(encoding="utf-8")
        assert not anchor or f'id="{anchor}"' in html, page
    assert (site / re.findall(rf'src="{address}/([^"]+)"', text)[0]).exists()
    assert not re.findall(r"\]\((?!https?:)", text)
