"""The page of HTTP calls, in a browser."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.conftest import ServerProcess
from tests.page.conftest import Visit
from tests.support.patience import WITHIN_S


@pytest.mark.parametrize(("scheme", "width"), [("light", 1180), ("dark", 360)])
def test_docs_page_shows_calls_and_copies_a_command_that_works(
    visit: Visit, espeak_server: ServerProcess, tmp_path: Path, scheme: str, width: int
) -> None:
    url = f"{espeak_server.http_url}/docs"
    visitor = visit(
        url=url,
        ready=False,
        color_scheme=scheme,
        viewport={"width": width, "height": 800},
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = visitor.page
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(url)
    visitor.wait_for(".call")
    assert visitor.violations() == ""
    page.fill("#filter", "post speak captioned")
    assert visitor.text("#state").startswith("1 of ")
    page.fill("#filter", "/tts")
    page.click("#post_tts > summary")
    expect(page.locator("#post_tts")).to_contain_text("duration")
    assert "0.1 to 300" in visitor.text("#post_tts")
    assert page.eval_on_selector("html", "html => html.scrollWidth <= html.clientWidth")
    assert visitor.violations() == ""
    page.click("#post_tts .curl-head button")
    expect(page.locator("#state")).to_have_text(re.compile("^Copied"))
    command = page.evaluate("navigator.clipboard.readText()")
    subprocess.run(["sh", "-c", f"{command} --silent --fail"], cwd=tmp_path, check=True, timeout=WITHIN_S)
    assert (tmp_path / "answer").read_bytes().startswith(b"RIFF")
    assert {each.split("/")[2] for each in requested} == {url.split("/")[2]}
