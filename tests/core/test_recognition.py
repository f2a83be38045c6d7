"""Streams that are listened to: the recogniser's languages, its limits, and that audio reaches it whole."""

import asyncio
import io
import math
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kani.core.audio.mp4 import OpenIndex
from kani.core.audio.pcm import wav
from kani.core.audio.resampling import LEAD_S, LowDelayResampler
from kani.core.errors import Busy, EngineUnavailable, UnsupportedLanguage
from kani.core.expected_words import MAX_TEXT, MAX_WORD, MAX_WORDS, as_prompt, fault
from kani.core.observer import Observer
from kani.core.recognition_service import RecognitionService
from kani.core.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, RecognizerInfo, Step
from kani.core.service import SpeechService
from kani.core.session import recognition
from kani.core.session.admission import Admission, Limits
from kani.core.session.recognition import (
    MAX_BACKLOG_PIECES,
    MAX_BACKLOG_S,
    PIECE_BYTES,
    RecognitionSession,
)
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.whisper.likely_languages import LANGUAGES, LATER_LANGUAGES
from tests.core.turns.test_turns import Model
from tests.support.event_loop import settle
from tests.support.listener import Listener
from tests.support.loudness import RATE, STEP, LoudnessRecognizer, PausingRecognizer
from tests.support.patience import WITHIN_S, happens
from tests.support.sessions import started
from tests.support.tone import ToneEngine

LOUD = 0.5


class HeldRecognizer(LoudnessRecognizer):
    """Waits for ``gate`` before it yields a step; its first start may fail."""

    def __init__(self, starts: bool = True) -> None:
        super().__init__()
        self.gate: asyncio.Semaphore | None = None
        self.languages: list[str | None] = []
        self.under_way = self.started = 0
        self.running = False
        self._starts = starts

    async def start(self) -> None:
        self.started += 1
        await asyncio.sleep(0)
        if not self._starts:
            self._starts = True
            raise EngineUnavailable("no ears: buy some")
        self.running = True

    async def stop(self) -> None:
        assert not self.under_way
        self.running = False

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        self.languages.append(language)
        self.under_way += 1
        try:
            async with aclosing(super().recognize(audio, language)) as events:
                async for event in events:
                    if isinstance(event, Step) and self.gate is not None:
                        await self.gate.acquire()
                    yield event
        finally:
            self.under_way -= 1


@asynccontextmanager
async def hearing(
    tmp_path: Path, recognizer: HeldRecognizer | None = None, observer: Observer | None = None, **limits: int
) -> AsyncIterator[tuple[SpeechService, HeldRecognizer]]:
    recognizer = recognizer or HeldRecognizer()
    how: dict[str, Any] = {"limits": Limits(**limits), "observer": observer, "recognizer": recognizer}
    async with started(tmp_path, ToneEngine(), **how) as service:
        before = asyncio.all_tasks()
        yield service, recognizer
        await settle()
        assert service.state().sessions == 0
        assert recognizer.under_way == 0
        assert asyncio.all_tasks() == before
    assert not recognizer.running


def listen(service: SpeechService, rate: int = 24_000, language: str | None = None) -> RecognitionSession:
    return service.recognition.open_recognition(protocol="test", sample_rate=rate, language=language)


async def heard(session: RecognitionSession) -> list[RecognitionEvent]:
    return [event async for event in session.events()]


@pytest.mark.parametrize("rate", [24_000, 16_000, 48_000, 8_000])
async def test_step_follows_each_80_ms_without_delay(tmp_path: Path, rate: int) -> None:
    frame = round(STEP_S * rate)
    async with hearing(tmp_path) as (service, _), listen(service, rate) as session:
        events = session.events()
        for index in range(5):
            await session.feed(np.full(frame, LOUD if index == 3 else 0.0, np.float32))
            if index == 3:
                # The resampler's lead of 2 ms is taken from its times.
                word = await anext(events)
                lead_s = LEAD_S if rate != RATE else 0.0
                assert word == RecognizedWord("bum", 3 * STEP_S - lead_s, 4 * STEP_S - lead_s)
            step = await anext(events)
            assert isinstance(step, Step) and step.index == index
            assert session.backlog_samples == 0
        await events.aclose()


@example([17], 8_000)
@example([32, 1], 8_000)
@example([46], 22_050)
@given(st.lists(st.integers(1, 4000), max_size=12), st.sampled_from([8_000, 22_050, 24_000, 48_000]))
def test_resampler_returns_due_samples_for_any_pieces(sizes: list[int], rate: int) -> None:
    wave = np.sin(np.arange(sum(sizes)) * 2 * np.pi * 440 / rate).astype(np.float32)
    resampler, given_so_far, at = LowDelayResampler(rate, RATE), [], 0
    for size in sizes:
        given_so_far.append(resampler.feed(wave[at : at + size]))
        at += size
        assert sum(map(len, given_so_far)) == at * RATE // rate
    if len(wave) > 2000:
        out = np.concatenate(given_so_far)
        lead = round(LEAD_S * RATE)
        expected = np.sin((np.arange(len(out)) - lead) * 2 * np.pi * 440 / RATE)
        assert np.abs(out - expected)[lead + 100 : -50].max(initial=0.0) < 1e-3


async def test_marks_follow_their_audio_and_wait_for_the_backlog(tmp_path: Path) -> None:
    async with hearing(tmp_path) as (service, _), listen(service, RATE) as session:
        await session.feed(np.zeros(2 * STEP, np.float32))
        await session.mark(7)
        await session.feed(np.zeros(STEP, np.float32))
        await session.mark(-1)
        session.finish()
        events = await heard(session)
    told = [event.index if isinstance(event, Step) else event for event in events]
    assert told == [0, 1, Mark(7), 2, Mark(-1)]
    async with hearing(tmp_path) as (service, _), listen(service, RATE) as session:
        for _ in range(MAX_BACKLOG_PIECES):
            await session.mark(0)
        blocked = asyncio.create_task(session.mark(1))
        await settle()
        assert not blocked.done()
        session.finish()
        await blocked


class Watch(Observer):
    heard_s = 0.0
    open = 0

    def __init__(self) -> None:
        self.behind_s: list[float] = []

    def recognition_opened(self, protocol: str) -> None:
        self.open += 1

    def recognition_closed(self, protocol: str) -> None:
        self.open -= 1

    def audio_recognized(self, protocol: str, audio_s: float, lag_s: float) -> None:
        self.heard_s += audio_s
        self.behind_s.append(lag_s)


async def test_lag_excludes_audio_fed_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("kani.core.session.recognition.time", SimpleNamespace(perf_counter=lambda: now))
    watch, recognizer = Watch(), HeldRecognizer()
    recognizer.gate = asyncio.Semaphore(1)
    async with hearing(tmp_path, recognizer, watch) as (service, _), listen(service, RATE) as session:
        assert watch.open == 1
        await session.feed(np.zeros(3 * STEP, np.float32))
        events = session.events()
        await anext(events)
        prompt = watch.behind_s[-1]
        now += 10 * STEP_S
        recognizer.gate.release()
        await anext(events)
        slow = watch.behind_s[-1]
        await session.feed(np.zeros(round(10 * RATE), np.float32))
        session.finish()
        for _ in range(200):
            recognizer.gate.release()
        async for _ in events:
            pass
    assert watch.open == 0 and watch.heard_s == pytest.approx(10 + 3 * STEP_S)
    assert prompt == 0 and slow == pytest.approx(STEP_S) and watch.behind_s[-1] == 0


async def test_feed_waits_for_backlog(tmp_path: Path) -> None:
    async with hearing(tmp_path) as (service, recognizer), listen(service, RATE) as session:
        recognizer.gate = asyncio.Semaphore(0)
        reading = asyncio.create_task(heard(session))
        await session.feed(np.zeros(round(MAX_BACKLOG_S * RATE), np.float32))
        blocked = asyncio.create_task(session.feed(np.full(10 * RATE, LOUD, np.float32)))
        await settle()
        assert not blocked.done()
        assert session.backlog_samples == round((MAX_BACKLOG_S + 10) * RATE)
        for _ in range(round((MAX_BACKLOG_S + 10) / STEP_S)):
            recognizer.gate.release()
        await blocked
        session.finish()
        events = await reading
    assert sum(isinstance(event, Step) for event in events) == 875
    assert sum(isinstance(event, RecognizedWord) for event in events) == 125


async def test_sessions_of_a_connection_share_its_backlog(tmp_path: Path) -> None:
    """However a session ends, its part of the backlog is free."""
    minute = np.zeros(round(MAX_BACKLOG_S * RATE), np.float32)
    async with hearing(tmp_path) as (service, _):
        backlog, budget = service.recognition.open_backlog(), service.budgets.recognition
        for end in ("cancel", "finish", "leave", "read", "break"):
            how: dict[str, Any] = {"protocol": "test", "sample_rate": RATE, "backlog": backlog}
            with suppress(ZeroDivisionError):
                async with (
                    service.recognition.open_recognition(**how) as first,
                    service.recognition.open_recognition(**how) as second,
                ):
                    await first.feed(minute)
                    assert budget.used == backlog.share.size > minute.nbytes
                    await second.mark(1)
                    waiting = asyncio.create_task(second.feed(minute[: 21 * RATE]))
                    await settle()
                    assert not waiting.done()
                    if end == "break":
                        waiting.cancel()
                        _ = 1 // 0
                    if end == "read":
                        first.finish()
                        await heard(first)
                    elif end == "finish":
                        second.finish()
                    else:
                        first.cancel()
                    await waiting
                    if end == "cancel":
                        second.cancel()
                        await second.feed(minute)
                        assert budget.used == 0
            assert budget.used == backlog.share.size == 0


async def test_connection_that_holds_much_waits_while_all_hold_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "PATIENCE_S", 0.5)
    async with hearing(tmp_path) as (service, recognizer):
        budget = service.budgets.recognition
        budget.limit, budget.small = 30 * RATE, 4 * RATE
        async with listen(service, RATE) as large, listen(service, RATE) as small:
            await large.feed(np.zeros(7 * RATE, np.float32))
            await small.feed(np.zeros(RATE // 2, np.float32))
            with pytest.raises(Busy, match="too much audio waits to be recognised: try again later"):
                await large.feed(np.zeros(RATE, np.float32))
            # One with a reader is patient: each second that is read begins its wait anew.
            await small.feed(np.zeros(RATE // 4, np.float32))
            recognizer.gate = asyncio.Semaphore(0)
            reading = asyncio.create_task(heard(large))
            blocked = asyncio.create_task(large.feed(np.zeros(RATE, np.float32)))
            while not blocked.done():
                recognizer.gate.release()
                await asyncio.sleep(0)
            await blocked
            large.cancel()
            recognizer.gate = None
            reading.cancel()
            await asyncio.wait([reading])
        assert budget.used == 0


async def test_piece_counts_until_all_of_it_is_read(tmp_path: Path) -> None:
    """A part of an array keeps the whole of it in memory."""
    async with hearing(tmp_path) as (service, recognizer):
        recognizer.gate = asyncio.Semaphore(0)
        async with listen(service, RATE) as session:
            reading = asyncio.create_task(heard(session))
            await session.feed(np.zeros(10 * RATE, np.float32))
            await settle()
            assert service.budgets.recognition.used == 10 * RATE * 4 + PIECE_BYTES
            for _ in range(round(10 / STEP_S)):
                recognizer.gate.release()
            await happens(lambda: service.budgets.recognition.used == 0)
            session.finish()
            assert sum(isinstance(event, Step) for event in await reading) == 125


async def test_closed_session_stops_its_recogniser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hearing(tmp_path) as (service, recognizer):
        for fed in (0, 3 * STEP):
            recognizer.gate = asyncio.Semaphore(1)
            async with listen(service, RATE) as session:
                reading = asyncio.create_task(heard(session))
                await session.feed(np.zeros(fed, np.float32))
                await happens(lambda: recognizer.under_way == 1)
                reading.cancel()
                await asyncio.wait([reading])
                assert recognizer.under_way == 0
    loaded, recognizer = asyncio.Event(), HeldRecognizer()
    monkeypatch.setattr(recognizer, "start", loaded.wait)
    async with hearing(tmp_path, recognizer) as (service, _):
        async with listen(service) as session:
            reading = asyncio.create_task(heard(session))
            await settle()
            session.cancel()
            assert await reading == []
        loaded.set()


async def test_first_session_starts_recogniser_for_all(tmp_path: Path) -> None:
    recognizer = HeldRecognizer(starts=False)
    async with hearing(tmp_path, recognizer) as (service, _):
        assert not recognizer.started
        async with listen(service) as session:
            session.finish()
            with pytest.raises(EngineUnavailable, match="buy some"):
                await heard(session)
        async with listen(service) as one, listen(service) as other:
            leaving = asyncio.create_task(heard(one))
            staying = asyncio.create_task(heard(other))
            await asyncio.sleep(0)
            leaving.cancel()
            other.finish()
            assert await staying == []
        assert recognizer.started == 2


async def test_session_judges_turns_only_when_it_is_asked_to(tmp_path: Path) -> None:
    model = Model(1.0)
    async with started(tmp_path, ToneEngine(), recognizer=PausingRecognizer(), turn_model=model) as service:
        # Five words, of which the last ends a sentence; and more of the next, which has no end.
        sound, pause = np.full(5 * STEP, LOUD, np.float32), np.zeros(9 * STEP, np.float32)
        samples = np.concatenate([pause, sound, pause, sound[: 2 * STEP], pause])
        judged = []
        for judges in (False, True):
            async with listen(service, RATE, "en") as session:
                session.judges_turns = judges
                await session.feed(samples)
                session.finish()
                judged.append([event.complete for event in await heard(session) if isinstance(event, Step)])
        assert judged[0] == [None] * len(judged[1])
        first, second = judged[1][14:23], judged[1][25:]
        assert set(first) == {None, True} and first[-1] is True
        assert set(second) == {None, False} and second[-1] is False
        assert 1 <= len(model.heard) <= 2  # once in a pause, unless the words tell before


async def test_recognition_is_refused_by_reason(tmp_path: Path) -> None:
    async with hearing(tmp_path, max_connections=1) as (service, recognizer):
        async with listen(service, language="es-MX") as session:
            with pytest.raises(Busy):
                listen(service)
            session.finish()
            await heard(session)
        assert recognizer.languages == ["es"]
        with pytest.raises(UnsupportedLanguage, match="known: en, es"):
            listen(service, language="xx")
        service.recognition.recognizer = None
        with pytest.raises(EngineUnavailable, match="KANI_RECOGNIZER"):
            listen(service)
        service.recognition.recognizer = Listener()
        with pytest.raises(EngineUnavailable, match="listener transcribes no recordings"):
            service.recognition.open_transcription(protocol="p", options=TranscriptionOptions())
        service.recognition.recognizer = recognizer


async def test_drain_recognises_audio_fed_so_far(tmp_path: Path) -> None:
    async with hearing(tmp_path) as (service, _):
        async with listen(service, RATE) as session:
            reading = asyncio.create_task(heard(session))
            await session.feed(np.zeros(2 * STEP, np.float32))
            draining = asyncio.create_task(service.drain(60.0))
            assert [event.index for event in await reading if isinstance(event, Step)] == [0, 1]
            assert session.finished
            await session.feed(np.zeros(STEP, np.float32))
            with pytest.raises(Busy):
                listen(service)
            assert not draining.done()
        await draining


class SpanishRecognizer(LoudnessRecognizer):
    """Hears words of a language."""

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        async with aclosing(super().recognize(audio, language)) as events:
            async for event in events:
                yield replace(event, language="es") if isinstance(event, RecognizedWord) else event


class OlderRecognizer(SpanishRecognizer):
    """Knows of no expected language."""

    def recognize_prompted(  # type: ignore[override]
        self, audio: AsyncIterator[Samples | Mark], language: str | None, prompt: str, *candidates: str
    ) -> AsyncGenerator[RecognitionEvent, None]:
        return super().recognize_prompted(audio, language, prompt, *candidates)


@pytest.mark.parametrize(
    ("recognizer", "words", "expected"),
    [
        (SpanishRecognizer(), (1, 3, 1), "es"),
        # Push-to-talk: replies of one word.
        (SpanishRecognizer(), (1, 1, 1), "es"),
        (OlderRecognizer(), (1, 3, 1), None),
    ],
)
async def test_next_session_of_a_connection_expects_the_language_of_two_words(
    recognizer: SpanishRecognizer, words: tuple[int, ...], expected: str | None
) -> None:
    service = RecognitionService(recognizer, Observer(), Admission(Limits(), Observer()))
    backlog = service.open_backlog()
    for steps in words:
        listening = service.open_recognition(protocol="test", sample_rate=16_000, backlog=backlog)
        async with listening as session:
            await session.feed(np.full(round(steps * STEP_S * 16_000), 0.5, np.float32))
            session.finish()
            await heard(session)
    assert recognizer.expected == [expected]
    assert backlog.language == "es"


NAMES = """es=es es-MX=es PT_br=pt spa=es Spanish=es español=es no=no nb-NO=no norwegian=no gl=gl yo=yo
    en_US=en jw=jv jav=jv auto= und= fil=tl fil-PH=tl tl=tl tgl=tl iw-IL=he ji=yi yid=yi glg=gl mya=my
    in_ID=id mo=ro nb=no nno=nn sh=sr-Latn cmn-Hans-CN=zh zh-cmn=zh zh-yue=yue zh-HK=zh-HK"""


def test_language_has_code_tag_and_name_and_an_unknown_one_is_refused() -> None:
    recognizer = LoudnessRecognizer()
    recognizer.info = RecognizerInfo("loudness", "1", 16_000, frozenset((*LANGUAGES, *LATER_LANGUAGES)))
    whisper = RecognitionService(recognizer, Observer(), Admission(Limits(), Observer()))
    for name, _, code in (pair.partition("=") for pair in NAMES.split()):
        assert whisper.spoken(name) == (code or None), name
    for name in ("xx", "klingon", "tlh", "\0", "es\n" * 1000):
        with pytest.raises(UnsupportedLanguage):
            whisper.spoken(name)


async def test_start_that_is_cancelled_leaves_it_unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = asyncio.Event()

    async def load(_: LoudnessRecognizer) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(LoudnessRecognizer, "start", load)
    admission = Admission(Limits(), Observer())
    service = RecognitionService(LoudnessRecognizer(), Observer(), admission, starts_early=True)
    starting = asyncio.create_task(service.prepare())
    await begun.wait()
    await service.stop()
    assert service.still_loading and not service.loaded
    with pytest.raises(asyncio.CancelledError):
        await starting


@pytest.mark.parametrize("reads", [0, 3])
async def test_file_of_a_cancelled_transcription_is_read_by_nobody(reads: int) -> None:
    """Whether it is being opened or read."""
    waits, go = threading.Event(), threading.Event()

    class File(io.BytesIO):
        left = reads

        def read(self, size: int | None = -1) -> bytes:
            self.left -= 1
            if self.left < 0:
                waits.set()
                go.wait(WITHIN_S)
            return super().read(size)

    file = File(wav(np.zeros(1_000_000, np.float32), 16_000))
    admission = Admission(Limits(), Observer())
    service = RecognitionService(PausingRecognizer(), Observer(), admission)
    async with service.open_transcription(protocol="p", options=TranscriptionOptions()) as session:
        segments = session.segments(file, math.inf)
        first = asyncio.create_task(anext(segments))
        await happens(waits.is_set)
        first.cancel()
        await settle()
        assert not first.done()
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert OpenIndex._all_bytes == 0


def test_expected_words_have_limits_and_come_before_the_text() -> None:
    assert fault(["a" * MAX_WORD] * MAX_WORDS) == ""
    assert fault(["a"] * (MAX_WORDS + 1)) == "too many (at most 1000)"
    assert fault(["a", "a" * (MAX_WORD + 1)]) == "an entry is too long (at most 100 characters)"
    assert as_prompt([]) == "" and as_prompt(["Zandrell", "Tolliwen"]) == "Zandrell, Tolliwen."
    assert as_prompt(["Zandrell"], "Dear all") == "Zandrell. Dear all"
    long = as_prompt(["a" * MAX_WORD] * MAX_WORDS, "Tolliwen")
    assert len(long) == MAX_TEXT and long.endswith(" Tolliwen")
