"""The text of a session: what tells its language, and that a long one takes short steps."""

import sys
import threading
from asyncio.events import Handle
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest

from benchmarks.text.phrases import REPLIES, REPLIES_TUNING, read_phrases
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.session.voice_resolver import LanguageMemory
from kani.core.types import SpeechRequest
from kani.core.voices import sample_sentences
from kani.engines.espeak.client import EspeakClient
from kani_text.language_detection import detect
from kani_text.languages import primary
from kani_text.normalizer.tables import loaded
from kani_text.normalizer.tables.file import TableSection, read_table_file
from tests.support import sessions
from tests.support.sessions import collect, fed, speak, started
from tests.support.tone import ToneEngine

EVERY = frozenset(primary(voice.language) for voice in EspeakClient.shared().voices) | {"zh"}
EIGHT = ("en", "es", "fr", "it", "pt", "de", "nl", "pl")

UNCLEAR = "OK 3."
ENGLISH = "The weather is very nice today."
FRENCH = "Il fait très beau aujourd'hui."


@asynccontextmanager
async def serving(
    folder: Path, *, server: str | None = None, voice: str | None = None, languages: tuple[str, ...] = EIGHT
) -> AsyncIterator[SpeechService]:
    """server, voice: the defaults that an operator has set."""
    engine = ToneEngine(languages=languages)
    defaults: dict[str, str] = {}
    for tag in languages:
        defaults.setdefault(primary(tag), f"tone_{tag}")
    engine.info = replace(engine.info, default_voices=defaults)
    async with started(folder, engine, default_language=server, default_voice=voice) as service:
        yield service


async def spoken(
    service: SpeechService, text: str, request: SpeechRequest | None = None, **how: object
) -> tuple[str, str]:
    async with fed(service, text, request or SpeechRequest(), **how) as session:
        await collect(session)
        return session.resolved_voice.voice, session.resolved_voice.language


@pytest.mark.parametrize(
    ("text", "request_", "last", "usual", "spoken_by"),
    [
        # What the request says, before all.
        (ENGLISH, SpeechRequest(language="de", voice="tone_fr"), "it", "pt", "tone_fr de"),
        # What the text clearly is.
        (ENGLISH, SpeechRequest(voice="tone_fr", languages=("de",)), "it", "pt", "tone_fr en"),
        # The language of the voice that is named.
        (UNCLEAR, SpeechRequest(voice="tone_fr", languages=("de",)), "it", "pt", "tone_fr fr"),
        # That of the client's last text.
        (UNCLEAR, SpeechRequest(languages=("de",)), "it", "pt", "tone_it it"),
        # The client's first that is spoken.
        (UNCLEAR, SpeechRequest(languages=("sw", "de-CH", "fr")), None, "pt", "tone_de de"),
        # The server's.
        (UNCLEAR, SpeechRequest(), None, "pt", "tone_pt pt"),
        # The protocol's.
        (UNCLEAR, SpeechRequest(), None, None, "tone_nl nl"),
    ],
)
async def test_first_that_tells_the_language_counts(
    tmp_path: Path, text: str, request_: SpeechRequest, last: str | None, usual: str | None, spoken_by: str
) -> None:
    async with serving(tmp_path, server=usual) as service:
        memory = LanguageMemory(last)
        found = await spoken(service, text, request_, fallback_language="nl", memory=memory)
    assert " ".join(found) == spoken_by


async def test_voice_speaks_its_own_language(tmp_path: Path) -> None:
    async with serving(tmp_path, voice="tone_fr") as service:
        assert await spoken(service, UNCLEAR) == ("tone_en", "en")
        assert await spoken(service, FRENCH) == ("tone_fr", "fr")
        assert await spoken(service, UNCLEAR, SpeechRequest(voice="default")) == ("tone_en", "en")
    tags = tuple(msgspec.json.decode(sample_sentences.FILE.read_bytes(), type=dict[str, str]))
    async with serving(tmp_path, languages=tags) as service:
        for tag in tags:
            text = sample_sentences.sentence(tag)
            assert await spoken(service, text, SpeechRequest(voice=f"tone_{tag}")) == (f"tone_{tag}", tag)


async def test_text_that_decided_is_remembered_and_nothing_else(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        memory = LanguageMemory()
        assert await spoken(service, UNCLEAR, memory=memory) == ("tone_en", "en") and memory.last is None
        assert await spoken(service, FRENCH, memory=memory) == ("tone_fr", "fr") and memory.last == "fr"
        assert await spoken(service, UNCLEAR, memory=memory) == ("tone_fr", "fr")
        german = SpeechRequest(language="de-CH")
        assert await spoken(service, UNCLEAR, german, memory=memory) == ("tone_de", "de-CH")
        assert await spoken(service, UNCLEAR, memory=memory) == ("tone_de", "de-CH")
        # Portuguese only for a client that has it first: that does not make it the client's.
        portuguese = SpeechRequest(languages=("pt",))
        memory = LanguageMemory()
        assert await spoken(service, "Chocolate.", portuguese, memory=memory) == ("tone_pt", "pt")
        assert memory.last is None
        assert await spoken(service, UNCLEAR, memory=LanguageMemory()) == ("tone_en", "en")


async def test_region_of_the_voice_is_kept(tmp_path: Path) -> None:
    async with serving(tmp_path, languages=("en-US", "en-GB", "es")) as service:
        british = SpeechRequest(voice="tone_en-GB")
        for text in (ENGLISH, UNCLEAR):
            assert await spoken(service, text, british) == ("tone_en-GB", "en-GB")
    async with serving(tmp_path, languages=("en-US", "en-GB")) as service:
        british = SpeechRequest(voice="tone_en-GB")
        assert await spoken(service, FRENCH, british) == ("tone_en-GB", "en-GB")


async def test_named_voice_waits_for_few_words(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        for text, language in (("Il fait très beau ", "fr"), ("The weather is very nice ", "en")):
            async with service.open(SpeechRequest(voice="tone_fr"), protocol="test") as session:
                session.feed(text[:8])
                with pytest.raises(RuntimeError):
                    assert session.resolved_voice
                session.feed(text[8:])
                assert session.resolved_voice.language == language


async def test_voice_in_a_language_that_cannot_be_detected_keeps_it(tmp_path: Path) -> None:
    """Else each Hawaiian text would be read in the language that looks like it most."""
    async with serving(tmp_path, languages=("en", "es", "haw")) as service:
        hawaiian = SpeechRequest(voice="tone_haw")
        assert await spoken(service, "Aloha kakahiaka! He lā maikaʻi kēia.", hawaiian) == ("tone_haw", "haw")
        async with service.open(hawaiian, protocol="test") as session:
            assert session.resolved_voice.language == "haw"


async def test_server_without_the_default_speaks_what_it_can(tmp_path: Path) -> None:
    async with serving(tmp_path, languages=("de", "fr")) as service:
        assert await spoken(service, UNCLEAR) == ("tone_de", "de")
        assert await spoken(service, UNCLEAR, SpeechRequest(languages=("fr",))) == ("tone_fr", "fr")


@pytest.mark.parametrize("file", [REPLIES, REPLIES_TUNING])
def test_short_replies_are_in_the_language_that_is_expected(file: Path) -> None:
    """At least 98 % of ordinary replies as short as "Sure." (benchmarks.text.short_replies)."""
    replies = read_phrases(file)
    right = dict.fromkeys(EIGHT, 0)
    for language, text in replies:
        right[language] += (detect(text, EVERY, expected=(language,)) or language) == language
    assert len(replies) == 200 and sum(right.values()) >= 196
    assert right["en"] == right["es"] == 25


@pytest.mark.parametrize(("usual", "language"), [(None, "en"), ("en-GB", "en-GB"), ("de", "en")])
async def test_only_language_comes_before_a_text(tmp_path: Path, usual: str | None, language: str) -> None:
    async with serving(tmp_path, server=usual, languages=("en",)) as service:
        french = SpeechRequest(languages=("fr", "en"))
        async with service.open(french, protocol="test", terms=Terms(fallback_language="es")) as session:
            assert session.resolved_voice.language == language
        assert await spoken(service, FRENCH, french) == ("tone_en", language)


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
    async with sessions.serving(ToneEngine(languages=LANGUAGES), tmp_path) as service:
        # The first text with such signs compiles its patterns, once.
        async with fed(service, text[:100], SpeechRequest(language=language)) as session:
            await anext(aiter(session), None)
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
