"""The page in a Firefox with settings that no driver changes, and the guard of all tests in Firefox."""

import re
import wave
from io import BytesIO

import pytest
from playwright.sync_api import Error, Page, expect

from tests.conftest import ServerProcess
from tests.page.conftest import HANGS_AFTER_S, LONG, TEXT, Within
from tests.page.firefox.launch import Preferences
from tests.page.visitor import Visitor

pytestmark = pytest.mark.browsers("firefox")


@pytest.fixture(scope="module")
def preferences() -> Preferences:
    """No site may store anything, and the colours are the visitor's, whatever the page says."""
    return {
        "network.cookie.cookieBehavior": 2,
        "browser.display.document_color_use": 2,
        "ui.useAccessibilityTheme": 1,
    }


def test_page_speaks_where_nothing_can_be_stored(visitor: Visitor, page: Page) -> None:
    refused = page.evaluate("() => { try { return localStorage.length; } catch ({ name }) { return name; } }")
    assert refused == "SecurityError"
    visitor.say(TEXT, "en")
    visitor.assert_lit(re.findall(r"\w+", TEXT))
    assert visitor.text("#problem") == ""
    with wave.open(BytesIO(visitor.download())) as saved:
        assert saved.readframes(saved.getnframes()) == visitor.pcm()
    # At least since this page was opened, there is a history.
    page.locator("#history li button").first.click()
    expect(page.locator("#status")).to_contain_text("Done")
    assert "Playing again" in visitor.statuses()


def test_forced_colours_show_the_word_that_is_heard(visitor: Visitor) -> None:
    assert visitor.page.evaluate("matchMedia('(forced-colors: active)').matches")
    visitor.speak(LONG, "en")
    now, unsaid = visitor.backgrounds()
    assert now != unsaid


def test_hung_page_fails_its_own_test_alone(browsers: Within, espeak_server: ServerProcess) -> None:
    with browsers(HANGS_AFTER_S) as browser:
        page = browser.new_page()
        page.goto(f"{espeak_server.http_url}/")
    with browsers(1), pytest.raises(Error, match="closed"):
        page.evaluate("for (;;);")
    with browsers(HANGS_AFTER_S) as browser:
        assert browser.new_page().evaluate("6 * 7") == 42
