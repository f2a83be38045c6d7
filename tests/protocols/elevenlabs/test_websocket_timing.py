"""Character times of ElevenLabs' WebSockets, against the tone engine's exact ones."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from typing_extensions import override

from kani.core.audio.encoding import AudioFormat
from kani.core.audio.ogg_pages import write_page
from kani.core.service import SpeechService
from kani.core.session.session import SpeechSession
from kani.core.timing.characters import FormsClock, TimedCharacters, TimedForms
from kani.core.types import Segment, Span, SpeechChunk, SpeechRequest
from kani.protocols.elevenlabs.voice_settings import VoiceSettings
from kani.protocols.elevenlabs.websocket import context as websocket_context
from kani.protocols.elevenlabs.websocket.context import Context
from kani.protocols.elevenlabs.websocket.messages import (
    Alignment,
    Alignments,
    ClientMessage,
    GenerationConfig,
    MessageWriter,
)
from kani.protocols.elevenlabs.websocket.timed_audio import (
    AlignmentClock,
    AudioClock,
    TimedAudioFramer,
    TimedEncoder,
)
from tests.clients.elevenlabs.wire import Character, ReceivedSpeech, assert_tiles
from tests.support.event_loop import settle
from tests.support.patience import WITHIN_S, happens
from tests.support.sessions import audio, collect, fed, serving, spans_of
from tests.support.tone import RATE, ToneEngine

PCM = AudioFormat("pcm", RATE)
ODD_SPEED = 0.97
ODD = SpeechRequest(language="es", speed=ODD_SPEED)
TEXTS = st.lists(
    st.sampled_from(["hola ", "qué tal", ". ", ", ", "\n\n", "3,5 € ", "¿Sí? ", "…", "🎉", "\u200f", " y "]),
    min_size=1,
    max_size=12,
).filter(lambda pieces: not pieces[0].isspace())


@asynccontextmanager
async def context(
    service: SpeechService,
    *,
    absolute: bool = False,
    strict: bool = False,
    auto_mode: bool = False,
    asked: list[VoiceSettings] | None = None,
) -> AsyncIterator[Context]:
    """asked: gets the settings with which a session is opened."""

    def start(voice: VoiceSettings) -> SpeechSession:
        if asked is not None:
            asked.append(voice)
        return service.open(ODD, protocol="test")

    opened = Context(
        start,
        TimedEncoder(PCM, AlignmentClock(absolute=absolute)),
        cut=not absolute,
        strict=strict,
        auto_mode=auto_mode,
        audio_tags=False,
    )
    try:
        yield opened
    finally:
        await opened.aclose()


async def hear(opened: Context) -> ReceivedSpeech:
    """Return the messages of a context, parsed."""
    heard = ReceivedSpeech()
    async for data, timing in opened.audio():
        heard.add(json.loads(MessageWriter().audio(data, timing)))
    return heard


async def spoken(
    service: SpeechService, *pieces: str, absolute: bool = False, strict: bool = False
) -> ReceivedSpeech:
    async with context(service, absolute=absolute, strict=strict) as opened:
        for piece in pieces:
            opened.handle_message(ClientMessage(text=piece))
        opened.finish()
        return await hear(opened)


def starts(characters: list[Character], words: list[tuple[str, float]]) -> list[tuple[str, float]]:
    found, at = [], 0
    for word, _ in words:
        assert "".join(each.text for each in characters[at : at + len(word)]) == word
        found.append((word, characters[at].start / 1000))
        at += len(word)
    assert at == len(characters)
    return found


@tried(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=TEXTS)
async def test_normalized_alignment_matches_engine_text(tmp_path: Path, pieces: list[str]) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        heard = await spoken(service, *pieces, absolute=True)
    said = "".join(each.text for each in heard.normalized)
    assert said.split() == " ".join(segment.text for segment in engine.segments).split()
    assert_tiles(heard.normalized)
    if heard.normalized:
        written = heard.absolute()
        assert (heard.normalized[0].start, written[0].start) == (0, 0)
        assert (
            heard.normalized[-1].start + heard.normalized[-1].duration
            <= written[-1].start + written[-1].duration
        )


class BreathingEngine(ToneEngine):
    """Takes a breath before each word, in one chunk with it."""

    def __init__(self, breath_s: float) -> None:
        super().__init__()
        self._breath_s = breath_s

    @override
    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        at_s, breath = 0.0, np.full(round(self._breath_s * RATE), 0.1, np.float32)
        async for chunk in super().synthesize(segment):
            (span,) = chunk.spans
            begins_s = at_s + self._breath_s
            span = replace(span, start_s=begins_s, end_s=begins_s + chunk.duration_s)
            breathed = SpeechChunk(np.concatenate([breath, chunk.samples]), RATE, at_s, (span,))
            yield breathed
            at_s = breathed.end_s


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("breath_s", [0.0, 0.7, 1.6])
async def test_flushed_text_is_heard_up_to_text_that_was_not(
    tmp_path: Path, absolute: bool, breath_s: float
) -> None:
    engine = BreathingEngine(breath_s)  # a frame's edge may be in the breath
    async with serving(engine, tmp_path) as service, context(service, absolute=absolute) as opened:
        opened.handle_message(ClientMessage(text="a ", flush=True))
        opened.handle_message(ClientMessage(text="y ve. No más. "))
        opened.close()
        heard = await hear(opened)
    assert heard.text.strip() == "a"
    # With the pause after it, or without
    length_s = 0.1 / ODD_SPEED + 2 * breath_s
    assert length_s - 0.02 < len(heard.audio) / 2 / RATE < length_s + 0.2


@pytest.mark.parametrize("writes", [False, True])
async def test_times_match_core_by_every_way_to_count(tmp_path: Path, writes: bool) -> None:
    engine = ToneEngine(writes=writes)
    pieces = ["Uno, dos, ", "tres y cua", "tro. ", "¿Qué tal ", "estás hoy? "] * 30
    async with serving(engine, tmp_path) as service:
        text = "".join(pieces)
        async with fed(service, text, ODD) as session:
            chunks = await collect(session)
        since_start = await spoken(service, *pieces, absolute=True)
        added_up = await spoken(service, *pieces)
        strict = await spoken(service, *pieces, strict=True)
    # The core's own, with the start of each of its spans in seconds.
    words = [(text[span.start : span.end], span.start_s) for span in spans_of(chunks)]
    for heard, characters in (
        (since_start, since_start.absolute()),
        (added_up, added_up.summed()),
        (added_up, added_up.audio_relative(RATE)),
        (strict, strict.audio_relative(RATE)),
    ):
        assert len(heard.samples) == len(audio(chunks))
        assert_tiles(characters)
        for (word, told_s), (_, start_s) in zip(starts(characters, words), words, strict=True):
            assert told_s == pytest.approx(start_s, abs=0.00051), word
        end_s = (characters[-1].start + characters[-1].duration) / 1000
        assert end_s == pytest.approx(len(heard.samples) / RATE, abs=0.0011)


@tried(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=TEXTS, absolute=st.booleans(), strict=st.booleans())
async def test_alignment_has_all_characters_of_client(
    tmp_path: Path, pieces: list[str], absolute: bool, strict: bool
) -> None:
    async with serving(ToneEngine(), tmp_path) as service:
        heard = await spoken(service, *pieces, absolute=absolute, strict=strict)
    text = "".join(pieces)
    assert heard.text == text if text[-1].isspace() else heard.text == text + " "
    characters = heard.absolute() if absolute else heard.summed()
    assert_tiles(characters)
    assert characters[0].start == 0
    end_s = (characters[-1].start + characters[-1].duration) / 1000
    assert end_s == pytest.approx(len(heard.samples) / RATE, abs=0.0011)
    # A figure of several words is told when all of it has been said.
    assert absolute or ("3,5" in text and not strict) or characters == heard.audio_relative(RATE)


def frame(start: int, loud: int, *spans: Span) -> SpeechChunk:
    samples = np.where(np.arange(100) < loud, 0.5, 0.0).astype(np.float32)
    return SpeechChunk(samples, RATE, start / RATE, spans)


def test_framer_holds_untimed_speech_only_if_strict() -> None:
    frames = [
        frame(0, 100),
        frame(100, 50, Span(0, 4, 0.0, 0.15)),
        frame(200, 0),
        frame(300, 100, Span(4, 5, 0.15, 0.3), Span(5, 8, 0.3, 0.4)),
    ]
    for strict, expected in (
        (False, [(100, ""), (50, "hola"), (250, " uno")]),
        (True, [(150, "hola"), (250, " uno")]),
    ):
        clock = FormsClock()
        clock.feed("hola uno")
        pieces = TimedAudioFramer(clock, RATE, cut_at_characters=True, strict=strict)
        found = [piece for each in frames for piece in pieces.feed(each)] + pieces.finish()
        told = [(len(piece.samples), piece.characters.written.text) for piece in found if len(piece.samples)]
        assert told == expected


def test_characters_of_buffered_audio_are_sent_together() -> None:
    times = AlignmentClock(absolute=False)
    first = TimedForms(TimedCharacters("ab", (0.0, 0.1004, 0.2006)))
    together = TimedForms() + first + TimedForms(TimedCharacters("c", (0.2006, 0.3)))
    assert together == TimedForms(TimedCharacters("abc", (0.0, 0.1004, 0.2006, 0.3)))
    assert times.take(together, b"").written == Alignment("abc", [0, 100, 201], [100, 101, 99])
    assert times.take(TimedForms(TimedCharacters("d", (0.3, 0.4506))), b"").written == Alignment(
        "d", [0], [151]
    )


@pytest.mark.parametrize(
    ("name", "codec", "bit_rate", "data", "starts_ms"),
    [
        ("pcm_1000", "pcm", None, bytes(600), 0),
        ("ulaw_1000", "ulaw", None, bytes(250), 50),
        ("mp3_1000_8", "mp3", 8_000, bytes(260), 40),
        ("opus_48000_32", "opus", 32_000, write_page([b"x"], 48 * 320, 0, 1, 0), 0),
        ("opus_48000_32", "opus", 32_000, write_page([b"x"], 48 * 280, 0, 1, 0), 0),
    ],
)
def test_times_of_dialogues_count_from_the_audio_before(
    name: str, codec: str, bit_rate: int | None, data: bytes, starts_ms: int
) -> None:
    times = AudioClock(AudioFormat(codec, RATE, bit_rate, name))
    first = times.take(TimedForms(TimedCharacters("ab", (0.0, 0.1, 0.3))), data)
    assert first.written == Alignment("ab", [0, 100], [100, 200])
    second = times.take(TimedForms(TimedCharacters("c", (0.3, 0.5))), data)
    assert second.written is not None and second.written.starts_ms == [starts_ms]


@pytest.mark.parametrize("absolute", [False, True])
def test_both_alignments_have_same_origin(absolute: bool) -> None:
    times = AlignmentClock(absolute=absolute)
    assert times.take(TimedForms(), b"") == Alignments()
    one = TimedForms(TimedCharacters("5", (0.0, 0.4)), TimedCharacters("five", (0.0, 0.1, 0.2, 0.3, 0.4)))
    told = times.take(one, b"")
    assert told.normalized == Alignment("five", [0, 100, 200, 300], [100] * 4)
    assert times.take(TimedForms(TimedCharacters("*", (0.4, 0.6))), b"").normalized is None
    told = times.take(TimedForms(TimedCharacters("a", (0.6, 0.9)), TimedCharacters("a", (0.4, 0.9))), b"")
    assert (told.written, told.normalized) == (
        (Alignment("a", [600], [300]), Alignment("a", [400], [500]))
        if absolute
        else (Alignment("a", [0], [300]), Alignment("a", [0], [300]))
    )


@pytest.fixture
def flush_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_context, "FLUSH_AFTER_S", 0.0)


async def segments(engine: ToneEngine, count: int) -> list[str]:
    """Texts of the engine's segments, once there are so many and the loop has nothing left to do."""
    await happens(lambda: len(engine.segments) >= count)
    await settle()
    return [segment.text.strip() for segment in engine.segments]


@pytest.mark.usefixtures("flush_at_once")
async def test_schedule_speaks_unfinished_sentence(tmp_path: Path) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service, context(service, absolute=True) as opened:

        def write(*texts: str) -> None:
            for text in texts:
                opened.handle_message(ClientMessage(text=text, generation_config=GenerationConfig((50, 60))))

        # Too short; inside a word; replaced by further text before the loop runs; then spoken.
        for text in ("una frase que no termina ", "y que sigue y sigue todaví"):
            write(text)
            assert await segments(engine, 0) == []
        write("a ", "más ")
        first = "una frase que no termina y que sigue y sigue todavía más"
        assert await segments(engine, 1) == [first]
        # The next entry counts from here.
        write("veinticinco letras o más. "[:25] * 2)
        assert await segments(engine, 1) == [first]
        write("otras diez.")
        assert (await segments(engine, 2))[1].startswith("veinticinco letras o más.")
        opened.finish()
        assert [alignments async for _, alignments in opened.audio()]


@pytest.mark.usefixtures("flush_at_once")
async def test_trigger_lowers_schedule_to_smallest_entry(tmp_path: Path) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service, context(service) as opened:
        opened.handle_message(ClientMessage(text="a" * 49 + " "))
        assert await segments(engine, 0) == []
        opened.handle_message(ClientMessage(text="b ", try_trigger_generation=True))
        assert await segments(engine, 1) == ["a" * 49 + " b"]


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize(
    ("messages", "auto_mode"),
    [
        ([ClientMessage(text="uno dos. ", flush=True)], False),
        ([ClientMessage(text="uno dos. "), ClientMessage(text="", flush=True)], False),
        ([ClientMessage(text="uno dos.", flush=True)], False),
        ([ClientMessage(text="uno dos. ")], True),
    ],
)
async def test_flushed_text_comes_with_its_last_mark(
    tmp_path: Path, messages: list[ClientMessage], auto_mode: bool, absolute: bool
) -> None:
    heard = ReceivedSpeech()
    async with (
        serving(ToneEngine(), tmp_path) as service,
        context(service, absolute=absolute, auto_mode=auto_mode) as opened,
    ):
        for message in messages:
            opened.handle_message(message)
            await settle()
        blocks = opened.audio()
        async with asyncio.timeout(WITHIN_S):
            while heard.text != "uno dos. ":
                heard.add(json.loads(MessageWriter().audio(*await anext(blocks))))
        opened.handle_message(ClientMessage(text="tres. "))
        opened.finish()
        async for data, timing in blocks:
            heard.add(json.loads(MessageWriter().audio(data, timing)))
    assert heard.text == "uno dos. tres. "


@pytest.mark.parametrize("auto_mode", [False, True])
async def test_auto_mode_flushes_each_message(tmp_path: Path, auto_mode: bool) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        async with context(service, absolute=True, auto_mode=auto_mode) as opened:
            for text in (" ", "uno dos", " ", "tres"):
                opened.handle_message(ClientMessage(text=text))
            opened.finish()
            heard = await hear(opened)
    assert heard.text == "uno dos tres "
    assert [segment.text.strip() for segment in engine.segments] == (
        ["uno dos", "tres"] if auto_mode else ["uno dos tres"]
    )


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (["uno dos"], ["tres"], "uno dos "),
        (["uno dos "], [], "uno dos "),
        ([], ["uno dos tres. cuatro. "], ""),
    ],
)
async def test_closed_context_speaks_flushed_text_only(
    tmp_path: Path, before: list[str], after: list[str], text: str
) -> None:
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service, context(service, absolute=True) as opened:
        for piece in before:
            opened.handle_message(ClientMessage(text=piece, flush=True))
        for piece in after:
            opened.handle_message(ClientMessage(text=piece))
        opened.close()
        opened.handle_message(ClientMessage(text="never heard. "))
        heard = await hear(opened)
    assert heard.text == text
    assert len(heard.samples) / RATE == pytest.approx(0.6 if text else 0.0, abs=0.4)


async def test_voice_settings_apply_until_first_text(tmp_path: Path) -> None:
    asked: list[VoiceSettings] = []
    settings = [VoiceSettings(speed=speed) for speed in (0.8, 0.9, 1.1)]
    async with serving(ToneEngine(), tmp_path) as service:
        async with context(service, absolute=True, asked=asked) as opened:
            for text, each in zip((" ", "uno ", "dos. "), settings, strict=True):
                opened.handle_message(ClientMessage(text=text, voice_settings=each))
            opened.finish()
            assert (await hear(opened)).text == "uno dos. "
    assert asked == [settings[1]]
