"""What the ears can do, by each protocol that listens, over recognisers that hear loud sounds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kani.core.diarization.clustering import Array
from kani.core.diarization.diarizer import Diarizer
from kani.core.recognizer import NO_WORDS, VOICE_CHUNK_S, Mark, RecognitionEvent
from kani.core.transcriber import TranscribedSegment, TranscriptionOptions
from kani.core.types import Samples
from kani.engines.remote.connectors import RemoteWorker
from kani.engines.remote.link import Link
from kani.engines.remote.recognizer import UNKNOWN, RemoteRecognizer
from kani.engines.remote.unloading import UnloadingLink
from kani.engines.worker.service import Worker
from tests.clients.openai_realtime import BETA, RATE, Client, loud, quiet, realtime
from tests.engines.remote.test_remote import KEY, until, working
from tests.protocols.listening import doors
from tests.protocols.listening.doors import DIARIZING, LIVE, RECORDINGS, VAD, Door, Refused, Speakers
from tests.protocols.listening.house import furnished
from tests.support.loudness import PausingRecognizer

SPEECH = np.concatenate([quiet(0.96), loud(1.2), quiet(2.0)])
WORDS = " ".join(f"w{number}{'.' if number % 5 == 4 else ''}" for number in range(15))
NAMES = ("Zandrell", "Tolliwen")

DOORS = (*RECORDINGS, *LIVE)
SAY_WHY: dict[Door, str] = {
    doors.realtime_transcription: NO_WORDS,
    doors.realtime_beta: NO_WORDS,
    doors.realtime_conversation: NO_WORDS,
    doors.unmute: NO_WORDS,
    doors.library_conversation: NO_WORDS,
    doors.command_line: "no words were recognised",
}
"""What is said of speech without words, where the protocol has a place for it."""
OWN_PROCESS = (
    *(doors.library_recording, doors.library_listening, doors.library_conversation),
    doors.command_line,
)
"""Doors whose recogniser is loaded and freed by the program itself."""


def by_name(these: Sequence[Door | Speakers]) -> Any:
    return pytest.mark.parametrize("door", these, ids=[each.__name__ for each in these])


def understood(door: Door) -> str:
    return WORDS if door in LIVE else "¡boom, hm." if door is doors.openai_translation else "¡bum, hm."


@by_name([door for door in DOORS if door is not doors.unmute])
async def test_expected_words_reach_the_recogniser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: Door
) -> None:
    recognizer = PausingRecognizer()
    async with furnished(tmp_path, monkeypatch, recognizer) as house:
        assert await door(house, SPEECH, NAMES) == understood(door)
        prompt = recognizer.prompts[-1] if door in LIVE else recognizer.options.prompt
        assert "Zandrell, Tolliwen" in prompt
        # The next client expects nothing.
        recognizer.prompts.clear()
        assert await door(house, SPEECH, ()) == understood(door)
        assert not recognizer.prompts and not recognizer.options.prompt


class Wordless(PausingRecognizer):
    """Hears voices and no words, as of robotic speech."""

    def __init__(self) -> None:
        super().__init__(words=[""] * 20)

    async def transcribe(
        self, audio: AsyncIterator[Samples], options: TranscriptionOptions
    ) -> AsyncGenerator[TranscribedSegment, None]:
        async for _ in audio:
            pass
        return
        yield  # of no segment


@by_name(DOORS)
async def test_speech_without_words_is_told_honestly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: Door
) -> None:
    # Without words a turn of Unmute's ends after 4 s.
    speech = np.concatenate([SPEECH, quiet(3.0)])
    async with furnished(tmp_path, monkeypatch, Wordless()) as house:
        if (reason := SAY_WHY.get(door)) is None:
            assert await door(house, speech, ()) == ""
            return
        with pytest.raises(Refused, match=reason):
            await door(house, speech, ())


class TwoVoices:
    """Networks of a diarizer: loud sounds are voices, deep ones of one speaker and high ones of another."""

    def stream(self) -> TwoVoices:
        self._rest = np.zeros(0, np.float32)
        return self

    def feed(self, samples: Samples) -> list[float]:
        chunk = round(VOICE_CHUNK_S * 16_000)
        waiting = np.concatenate([self._rest, samples])
        whole = len(waiting) // chunk * chunk
        self._rest = waiting[whole:]
        return [float(level > 0.1) for level in np.abs(waiting[:whole]).reshape(-1, chunk).mean(1)]

    def embed_stretches(self, stretches: Sequence[Samples], step_s: float) -> list[Array]:
        return [self._embed(stretch, step_s) for stretch in stretches]

    @staticmethod
    def _embed(stretch: Samples, step_s: float) -> Array:
        windows = np.array_split(stretch, max(round(len(stretch) / 16_000 / step_s), 1))
        crossings_a_second = [
            np.count_nonzero(np.diff(np.signbit(each))) / len(each) * 16_000 for each in windows
        ]
        return np.eye(2, dtype=np.float32)[[int(crossings > 800) for crossings in crossings_a_second]]


@by_name(DIARIZING)
async def test_speakers_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: Speakers) -> None:
    high = 0.5 * np.sin(2 * np.pi * 900 * np.arange(RATE) / RATE).astype(np.float32)
    recording = np.concatenate([quiet(1.0), loud(1.0), quiet(1.0), high, loud(1.0), quiet(1.0)])
    networks = TwoVoices()
    diarizer = Diarizer(lambda: (networks, networks))
    async with furnished(tmp_path, monkeypatch, PausingRecognizer(), diarizer) as house:
        said = await door(house, recording)
    assert said == [("A", "¡bum, hm."), ("B", "¡bum, hm."), ("A", "¡bum, hm.")]


class Recording(PausingRecognizer):
    """Keeps what it hears in each recognition."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[list[Samples]] = []

    async def recognize(
        self, audio: AsyncIterator[Samples | Mark], language: str | None
    ) -> AsyncGenerator[RecognitionEvent, None]:
        pieces: list[Samples] = []
        self.heard.append(pieces)

        async def kept() -> AsyncGenerator[Samples | Mark, None]:
            async for piece in audio:
                if not isinstance(piece, Mark):
                    pieces.append(piece)
                yield piece

        async for event in super().recognize(kept(), language):
            yield event


async def beta(client: Client, reduction: Any) -> Any:
    session = {"input_audio_noise_reduction": reduction, "turn_detection": VAD}
    await client.send("transcription_session.update", session=session)
    return (await client.until("transcription_session.updated"))[-1]["session"]["input_audio_noise_reduction"]


async def current(client: Client, kind: str, reduction: Any) -> Any:
    given = {"transcription": {}, "noise_reduction": reduction, "turn_detection": VAD}
    updated = await client.configure(kind, audio={"input": given})
    return updated["session"]["audio"]["input"]["noise_reduction"]


@pytest.mark.parametrize("kind", ["transcription", "realtime", "beta"])
async def test_noise_reduction_is_accepted_and_changes_no_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    recognizer = Recording()
    query, how = ("model=gpt-realtime" if kind == "realtime" else "intent=transcription"), {}
    if kind == "beta":
        how = {"additional_headers": BETA}
    async with furnished(tmp_path, monkeypatch, recognizer) as house:
        for reduction in (None, {"type": "near_field"}):
            async with realtime(house.server.url, query, **how) as client:
                given = beta(client, reduction) if kind == "beta" else current(client, kind, reduction)
                assert await given is None  # which is in force
                await client.append(SPEECH)
                assert await client.transcripts(1) == [WORDS]
                assert not client.of("error")
    plain, reduced = map(np.concatenate, recognizer.heard)
    # The silence at the end is read or not when the connection ends.
    length = min(len(plain), len(reduced))
    assert np.abs(plain[:length]).max() > 0.4 and np.array_equal(plain[:length], reduced[:length])


@by_name([door for door in DOORS if door not in OWN_PROCESS])
async def test_idle_recogniser_is_unloaded_and_hears_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: Door
) -> None:
    async with working(Worker(None, PausingRecognizer()), tmp_path) as address:
        recognizer = RemoteRecognizer(UNKNOWN)
        recognizer.use(UnloadingLink("ears", Link(RemoteWorker(address, KEY, recognizer.changed))))
        recognizer.unload_after(0.01)
        async with furnished(tmp_path, monkeypatch, recognizer) as house:
            for _ in range(2):
                await until(lambda: not recognizer.loaded)
                assert await door(house, SPEECH, ()) == understood(door)
