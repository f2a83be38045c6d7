"""Sounds over an answer, and whether they are taken for an interruption.

No server and no clock: the recogniser hears each sound over an answer, and each step of it is judged as in a
conversation (``kani.core.turns.interruption``). So counts and times of audio do not depend on the load. The
time to the rest is until a voice is heard, and the time to the decision until it is known to interrupt; what
the machine computes comes on top.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.conversations.interjections import LISTENER, NOISES, WORDS, Sound, noises, spoken
from benchmarks.recognition.clips import JUDGING_VOICES
from benchmarks.recognition.clips import SAMPLE_RATE as RATE
from benchmarks.recognition.streams import started_recognizer
from benchmarks.recognition.turn_cases import Speak, speaker
from benchmarks.report import median, ms, percentile, report_section, table
from kani.core.conversation.echo import HEARD_S, AnswerAudio
from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.turns.interruption import Verdict, VoiceOverAnswer
from kani.core.turns.speech_gate import SpeechGate
from kani.core.types import Samples
from kani.engines.whisper.engine import WhisperRecognizer

TEXTS = {
    "es": "Primero vamos al mercado y compramos fruta, y luego volvemos a casa por el parque. Allí hay un "
    "lago con patos, y los niños dan de comer a los peces. Por la tarde leemos un libro junto a la ventana.",
    "en": "First we go to the market and buy some fruit, and then we walk home through the park. There is a "
    "lake with ducks, and the children feed the fish. In the afternoon we read a book by the window.",
}
"""Answers."""

BEFORE_S, AFTER_S = 0.8, 2.0
"""Seconds of an answer before a sound, and of silence after it."""

ROOM = np.float32(10 ** (-65 / 20))
"""Amplitude of the noise of a quiet room."""

ROOM_S = 0.2
"""Seconds from when audio is played until the microphone hears it."""

ECHO, ECHO_S, ECHO_DB = "echo", 2.0, -12.0
IN_A_ROOM = "echo in a room"
KINDS = {**dict.fromkeys(NOISES, 20), ECHO: 10, IN_A_ROOM: 10, "listener": 30, "words": 50}
"""Kinds of sounds, and how many of each."""


Over = tuple[Sound, Samples]
"""A sound, and the answer that it is heard over."""


@dataclass(slots=True)
class Found:
    """Results of the sounds of one kind; seconds of audio from the first sound."""

    sounds: int = 0
    rested: list[float] = field(default_factory=list)
    interrupted: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)  # rests for nothing, to their end
    names: list[str] = field(default_factory=list)  # of those that were not as they should be


async def judge(
    recognizer: WhisperRecognizer, sound: Sound, answer: Samples, found: Found, wanted: bool
) -> None:
    """Judge one sound over an answer, at another place of a step each; wanted: whether it interrupts."""
    before_s = BEFORE_S + found.sounds % 5 * STEP_S / 5
    before, after = (np.zeros(round(seconds * RATE), np.float32) for seconds in (before_s, AFTER_S))
    heard = np.concatenate([before, sound.samples, after])
    heard += ROOM * np.random.default_rng(0).standard_normal(len(heard)).astype(np.float32)
    audio = AnswerAudio(RATE)
    audio.add(answer, 0.0)
    voice, gate, chunks, now_s = None, SpeechGate(), list[float](), 0.0

    def is_echo(samples: Samples, sample_rate: int) -> bool:
        return audio.is_in(samples, sample_rate, now_s)

    def last() -> Samples:
        end = round(now_s * RATE)
        return heard[max(end - round(HEARD_S * RATE), 0) : end]

    found.sounds += 1
    rested = interrupted = False
    async for event in recognizer.recognize(_pieces(heard), sound.language):
        if isinstance(event, RecognizedWord) and voice is not None:
            voice.add_word(event)
        if not isinstance(event, Step):
            continue
        now_s = (event.index + 1) * STEP_S
        chunks += event.voices
        before = gate.speaking
        for each in event.voices:
            gate.feed(each)
        if voice is None and gate.speaking and not before:
            voice = VoiceOverAnswer(is_echo, RATE)
        if voice is None:
            continue
        verdict = voice.judge(event, last)
        if voice.voiced_s and not rested:
            rested = True
            found.rested.append(now_s - before_s)
        if verdict is Verdict.NOTHING:
            voice = None
            found.ended += [now_s - before_s] if rested else []
        elif verdict is Verdict.INTERRUPTS:
            interrupted = True
            found.interrupted.append(now_s - before_s)
            break
    if interrupted != wanted:
        found.names.append(sound.name)


async def _pieces(samples: Samples) -> AsyncIterator[Samples]:
    step = round(STEP_S * RATE)
    for at in range(0, len(samples), step):
        yield samples[at : at + step]


async def _answers(speak: Speak) -> dict[str, Samples]:
    """Return an answer in each language, at 16 kHz."""
    return {
        language: (await speak(language, JUDGING_VOICES[language][0], text))[0]
        for language, text in TEXTS.items()
    }


def echoes(count: int, answers: dict[str, Samples], *, room: bool) -> list[Over]:
    """Return what a microphone hears of answers, from another place of them each; room: that adds its own."""
    made = []
    for at in range(count):
        language = [*answers][at % 2]
        answer = np.roll(answers[language], -round(0.7 * at * RATE))
        heard = np.convolve(answer, _reverberation(at))[: len(answer)] if room else answer
        first = round((BEFORE_S - ROOM_S) * RATE)
        back = np.float32(10 ** (ECHO_DB / 20)) * heard[first:][: round(ECHO_S * RATE)]
        made.append((Sound(ECHO, language, back.astype(np.float32)), answer))
    return made


def _reverberation(seed: int) -> Samples:
    """Return the response of a room of 0.3 s that adds as much sound as comes straight."""
    decay = np.exp(-6.9 * np.arange(round(0.3 * RATE)) / (0.3 * RATE))
    response = np.random.default_rng(seed).standard_normal(len(decay)) * decay
    response *= 1 / np.sqrt(np.square(response).sum())
    response[0] = 1.0
    return response.astype(np.float32)


async def measure(kinds: Sequence[str], share: float) -> None:
    """Print the table; share: part of the number of sounds of each kind."""
    sounds = dict[str, list[Over]]()
    async with speaker() as speak:
        answers = await _answers(speak)
        for kind in kinds:
            count = max(2, round(share * KINDS[kind]))
            if kind in (ECHO, IN_A_ROOM):
                sounds[kind] = echoes(count, answers, room=kind == IN_A_ROOM)
                continue
            texts = LISTENER if kind == "listener" else WORDS
            made = noises(kind, count) if kind in NOISES else await spoken(texts, count, speak)
            sounds[kind] = [(sound, answers[sound.language]) for sound in made]
    found = {kind: Found() for kind in kinds}
    async with started_recognizer() as recognizer:
        for kind in kinds:
            for sound, answer in sounds[kind]:
                await judge(recognizer, sound, answer, found[kind], kind == "words")
    print(table(HEAD, [row(kind, each) for kind, each in found.items()]) + "\n")
    for kind, each in found.items():
        print(f"{kind}, not as it should be: {', '.join(each.names) or 'none'}")


HEAD = (
    "over an answer",
    "sounds",
    "interrupted",
    "rested, first sound to rest: median / p95",
    "first sound to its end",
    "first sound to interruption",
)


def row(kind: str, found: Found) -> list[str]:
    """Return the cells of one kind."""
    return [
        kind,
        str(found.sounds),
        str(len(found.interrupted)),
        f"{len(found.rested)}, {times(found.rested)}",
        times(found.ended),
        times(found.interrupted),
    ]


def times(seconds: Sequence[float]) -> str:
    """Return median and 95th percentile."""
    return f"{ms(median(seconds))} / {ms(percentile(seconds, 95))}" if seconds else "-"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.conversations.judged_sounds", description=__doc__
    )
    parser.add_argument("kinds", nargs="*", default=[*KINDS], help=f"of {', '.join(KINDS)}")
    parser.add_argument("--share", type=float, default=1.0, help="part of the sounds: 0.1 for a quick look")
    chosen = parser.parse_args()
    with report_section("Sounds over answers, judged", "ctranslate2", "faster-whisper", "onnxruntime"):
        asyncio.run(measure(chosen.kinds, chosen.share))


if __name__ == "__main__":
    main()
