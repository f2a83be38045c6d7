"""The page in a Firefox with settings that no driver changes: it stores nothing, and colours are forced."""

from __future__ import annotations

import wave
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.page.firefox import launch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.page.conftest import Visit

TEXT = "One small step, one giant leap."
PREFERENCES = {
    # No site may store anything.
    "network.cookie.cookieBehavior": 2,
    # The visitor's colours, whatever the page says.
    "browser.display.document_color_use": 2,
    "ui.useAccessibilityTheme": 1,
}


@pytest.fixture(scope="module")
def browser(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Firefox with ``PREFERENCES``."""
    if missing := launch.missing():
        pytest.skip(f"{missing} is not installed")
    folder = tmp_path_factory.mktemp("firefox")
    with sync_playwright() as playwright:
        with launch.running(playwright, folder, recording, **PREFERENCES) as running:
            yield running


def test_the_page_speaks_where_nothing_can_be_stored(visit: Visit) -> None:
    visitor = visit()
    page = visitor.page
    refused = page.evaluate("() => { try { return localStorage.length; } catch ({ name }) { return name; } }")
    assert refused == "SecurityError"
    visitor.speak(TEXT, "en")
    visitor.wait_for_end()
    visitor.assert_lit(TEXT.replace(",", "").replace(".", "").split())
    assert visitor.text("#problem") == ""
    with wave.open(BytesIO(visitor.download())) as saved:
        assert saved.readframes(saved.getnframes()) == visitor.pcm()
    # Of this page's time, at least, there is a history.
    page.locator("#history li button").first.click()
    expect(page.locator("#status")).to_contain_text("Done")
    assert "Playing again" in visitor.statuses()


def test_forced_colours_show_the_word_that_is_heard_in_firefox(visit: Visit) -> None:
    visitor = visit()
    assert visitor.page.evaluate("matchMedia('(forced-colors: active)').matches")
    visitor.speak("The quick brown fox jumps over the lazy dog and runs. " * 8, "en")
    now, unsaid = visitor.page.wait_for_function(
        """() => {
            const [now, words] = ["#words .now", "#words"].map((one) => document.querySelector(one));
            return now && [now, words].map((one) => getComputedStyle(one).backgroundColor);
        }"""
    ).json_value()
    assert now != unsaid
