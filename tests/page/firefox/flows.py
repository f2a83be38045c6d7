"""The page in Firefox: flows of the other modules once more, and what they see by Chromium's means alone.

Run by its path, ``python -m pytest -m server -n 0 tests/page/firefox/flows.py``, on a machine with nothing
else to do: pytest does not collect it by itself, as playback at times stands still on a loaded machine. The
cause of that is not known.

Left to Chromium: tests that read the socket's frames, that emulate colours or motion, or that render audio
offline (Firefox's OfflineAudioContext has no ``suspend``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.page.firefox import launch
from tests.page.test_page_gallery import (  # noqa: F401 - collected here, with this module's browser
    test_voice_is_found_heard_marked_and_chosen,
)
from tests.page.test_page_speaking import (  # noqa: F401
    LONG,
    TEXT,
    samples,
    test_everything_is_done_with_the_keyboard_alone,
    words,
)
from tests.page.test_page_voices import (  # noqa: F401
    test_a_voice_is_recorded_with_the_microphone,
    visitor,
)
from tests.support.patience import WITHIN_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.page.conftest import Visit


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Firefox's own folder; what it saves lies in ``saved``."""
    return tmp_path_factory.mktemp("firefox")


# Of one test: after a minute or two of several tests a Firefox that is driven like this answers no more.
@pytest.fixture
def browser(recording: Path, folder: Path) -> Iterator[Browser]:
    """Firefox, without a window."""
    if name := launch.missing():
        pytest.skip(f"{name} is not installed")
    with sync_playwright() as playwright, launch.running(playwright, folder, recording) as browser:
        yield browser


def test_words_light_up_and_the_audio_is_saved(visit: Visit, folder: Path) -> None:
    opened = visit()
    opened.speak(TEXT, "en")
    opened.wait_for_end()
    opened.assert_lit(words(TEXT))
    done = opened.text("#status")
    opened.page.click("#download")
    pcm, rate = samples(_saved(folder / "saved", ".wav"))
    assert done == f"Done, {len(pcm) / 2 / rate:.1f} s"
    assert opened.text("#problem") == ""


def test_stop_is_silence(visit: Visit) -> None:
    opened = visit()
    opened.speak(LONG, "en")
    opened.wait_for_sound()
    opened.page.click("#stop")
    expect(opened.page.locator("#status")).to_contain_text("Stopped at ")
    assert opened.page.locator("#words .now").count() == 0


def _saved(folder: Path, suffix: str) -> bytes:
    """The one file that Firefox saved, once it is whole: playwright is not told of it."""
    ends = time.monotonic() + WITHIN_S
    while time.monotonic() < ends:
        files = [path for path in folder.glob(f"*{suffix}") if path.stat().st_size]
        if files and not list(folder.glob("*.part")):
            return files[0].read_bytes()
        time.sleep(0.05)
    raise AssertionError(f"no {suffix} file in {folder}")
