"""A server's answers to a recording, and the page that shows them."""

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.page.visitor import Visitor

ENGLISH = (("Good morning, Mr. Brown!", 0.2), ("The sun is out. Shall we go?", 2.0))
"""What is said, and when it begins: sentences of one server's segment are rows of their own."""
ARABIC = (("صباح الخير!", 0.2), ("الشمس مشرقة اليوم.", 2.0))
WORD_S = 0.4


def events(said: tuple[tuple[str, float], ...], speakers: str = "") -> str:
    """A server's answer: segments with the times of their words, and at last, with speakers, the turns."""
    told: list[dict[str, Any]] = []
    for text, start in said:
        words = [
            {"word": word, "start": start + n * WORD_S, "end": start + (n + 1) * WORD_S}
            for n, word in enumerate(text.split())
        ]
        told.append({"segment": {"text": text, "start": start, "end": words[-1]["end"]}, "words": words})
    for (text, start), speaker in zip(said, speakers, strict=False):
        end = start + len(text.split()) * WORD_S
        told.append({"text": text, "start": start, "end": end, "speaker": speaker})
    return "".join(f"data: {json.dumps(event)}\n\n" for event in told)


def transcribe(visitor: Visitor, recording: Path, answer: str) -> Page:
    """Have the page show what a server answers."""
    page = visitor.page
    page.route(
        "**/v1/audio/transcriptions",
        lambda route: route.fulfill(content_type="text/event-stream", body=answer),
    )
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen-results")).to_be_visible()
    return page
