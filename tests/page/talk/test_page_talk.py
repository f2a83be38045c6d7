"""The page's third tab, where the server has no language model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

if TYPE_CHECKING:
    from tests.page.conftest import Visit

COMMAND = "python start_websocket_server.py --llm http://localhost:11434/v1"


def test_without_a_model_the_tab_says_what_to_start(visit: Visit) -> None:
    visitor = visit(viewport={"width": 390, "height": 844})
    page = visitor.page
    page.click("#tab-talk")
    expect(page.locator("#talk-command")).to_have_text(COMMAND)
    expect(page.locator("#talk")).to_be_hidden()
    page.click("#talk-copy")
    # A browser without a window may have no clipboard.
    expect(page.locator(".talk-setup [role=status]")).to_have_text(re.compile("^(Copied|Selected)"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
