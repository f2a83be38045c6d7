"""The page's third tab, where the server holds no conversations."""

from __future__ import annotations

import re

from playwright.sync_api import Route, expect

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


def test_recogniser_that_hears_no_live_speech_is_named(visit: Visit) -> None:
    def slow(route: Route) -> None:
        health = route.fetch().json()
        route.fulfill(json={**health, "recognizer": {**health["recognizer"], "live": False}})

    visitor = visit(ready=False)
    visitor.page.route("**/health", slow)
    visitor.arrive()
    visitor.page.click("#tab-talk")
    expect(visitor.page.locator(".talk-setup p").first).to_contain_text("too slow for live speech")
    expect(visitor.page.locator("#talk-command")).to_be_hidden()
