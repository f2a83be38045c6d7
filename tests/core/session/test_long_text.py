"""Steps of the event loop for a text of 10,000 characters that nothing cuts."""

import sys
import threading
from asyncio.events import Handle
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from kani.core.service import SpeechService
from kani.core.types import SpeechRequest
from kani.text.normalizer.tables import loaded
from kani.text.normalizer.tables.file import TableSection, read_table_file
from tests.support.sessions import fed, serving, speak
from tests.support.tone import ToneEngine

MOST_CALLS = 60_000
"""Calls of functions in one step of the event loop: some 6 ms."""

CHUNKS = 20
"""Heard of each text; the rest is spoken by steps of the same kind."""

LANGUAGES = ("es", "en", "zh", "ja", "hi", "ar", "ru")

TEXTS = {
    "japanese": "日本語の文章が続いていて点も丸も無い",
    "han": "天地玄黄宇宙洪荒日月盈昃",
    "one character": "天",
    "han of no assignment": "\U0003fff0\U0002fffe",
    "half-width kana": "ｶﾞｷﾞｱﾌﾟﾘ",
    "marks on one kana": "が" + 9_999 * "\u3099",
    "ideographic spaces": "\u3000",
    "ideographic spaces between": "天\u3000",
    "ruby": "漢字《かんじ》",
    "ruby that is not closed": "漢字《か",
    "directions": "天\u202eאב\u202c地",
    "scripts": "天ب漢д",
    "figures": "7",
    "dates": "2024年4月3日",
    "latin": "a",
    "spanish words": "mañana vamos ",
}


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Collect the number of calls, of Python's and of C's functions, in each step of the event loop."""
    steps = [0]

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code is Handle._run.__code__:
            steps.append(0)
        elif event in ("call", "c_call"):
            steps[-1] += 1

    sys.setprofile(count)
    try:
        yield steps
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("unit", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("language", [None, "zh", "ja"])
async def test_long_text_takes_short_steps(tmp_path: Path, language: str | None, unit: str) -> None:
    text = "".join(islice(cycle(unit), 10_000))
    async with serving(ToneEngine(languages=LANGUAGES), tmp_path) as service:
        with counted_calls() as steps:
            async with fed(service, text, SpeechRequest(language=language)) as session:
                chunks = aiter(session)
                for _ in range(CHUNKS):
                    await anext(chunks, None)
    assert max(steps) < MOST_CALLS


async def test_first_text_of_a_region_reads_its_table_in_a_thread(
    service: SpeechService, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def read(path: Path, region: str) -> TableSection:
        if region:
            threads.append(threading.current_thread())
        return read_table_file(path, region)

    monkeypatch.setattr(loaded, "_loaded", {})
    monkeypatch.setattr(loaded, "read_table_file", read)
    await speak(service, "Son 3,5 km.", SpeechRequest(language="es-MX"))
    assert len(threads) == 1 and threads[0] is not threading.current_thread()
