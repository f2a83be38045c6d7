"""What interrupts an answer: sounds that shall not, and words that shall.

A microphone hears an answer's echo, 12 dB below the listener, or none; and with it a listener's "mhm", a
cough, a keyboard, music, noise, or words of an interruption. Whisper hears each recording; times are of its
audio.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np

from benchmarks.recognition.clips import SAMPLE_RATE
from benchmarks.recognition.measures import at_once
from benchmarks.recognition.streams import seconds, sounds_without_speech, started_recognizer
from benchmarks.recognition.turn_cases import speak
from benchmarks.report import report_section, table
from kani.core.recognizer import STEP_S, RecognizedWord, Step
from kani.core.turns.interruption import Interruption
from kani.core.turns.recent_audio import RecentAudio
from kani.core.types import Samples
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.settings import KokoroSettings
from kani.engines.plugin import Resources
from kani.engines.whisper.engine import WhisperRecognizer
from kani.server import settings

LISTENERS = {"es": ("ef_dora", "em_alex"), "en": ("af_bella", "am_fenrir")}
ANSWERING = {"es": "em_santa", "en": "af_heart"}

BEFORE = {"es": "Cuéntame qué hay que ver en Granada.", "en": "Tell me what there is to see in Granada."}
"""The listener's turn, by which the level of the listener's speech is known."""

ANSWERS = {
    "es": "La Alhambra es lo primero. Después puedes subir al mirador de San Nicolás y cenar en el Albaicín.",
    "en": "The Alhambra comes first. Then you can walk up to the view point and have dinner in the old town.",
}
ATTENTION = {
    "es": ("Mhm.", "Ajá.", "Sí.", "Vale.", "Claro.", "Ya."),
    "en": ("Mhm.", "Uh-huh.", "Yes.", "Okay.", "Right.", "Yeah."),
}
INTERRUPTIONS = {
    "es": ("¡Espera!", "Para un momento.", "No, eso no.", "¿Cuánto cuesta?", "Otra cosa.", "Más lento."),
    "en": (
        "Wait!",
        "Stop for a moment.",
        "No, not that.",
        "How much is it?",
        "Another thing.",
        "More slowly.",
    ),
}
ECHO_DB = -12.0
"""Level of the answer's echo, relative to the listener's speech."""

AT_S = 1.5
"""Where in the answer the listener makes a sound."""

SPEECH_LEVEL = 0.06
"""Root mean square of the listener's speech."""


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """What a microphone hears from a listener's turn on until the end of an answer."""

    kind: str
    language: str
    answer: str
    samples: Samples  # 16 kHz
    answer_s: float  # start of the answer
    at_s: float  # start of the listener's sound

    def with_echo(self, echo: Samples) -> Sound:
        """Return the same with the answer's echo in it."""
        start = round(self.answer_s * SAMPLE_RATE)
        samples = self.samples.copy()
        length = min(len(echo), len(samples) - start)
        samples[start : start + length] += echo[:length]
        return Sound(f"{self.kind}, echo", self.language, self.answer, samples, self.answer_s, self.at_s)


def levelled(samples: Samples, level: float = SPEECH_LEVEL) -> Samples:
    """Return samples of this root mean square, where they sound."""
    audible = samples[np.abs(samples) > 0.05 * np.abs(samples).max()]
    scale = level / float(np.sqrt(np.mean(np.square(audible))))
    return np.asarray(samples * scale, np.float32)


def noises(random: np.random.Generator) -> dict[str, Samples]:
    """Return a cough, keys of a keyboard, music and noise, two seconds each at most."""
    at = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    white = random.standard_normal(len(at))
    cough = white * (np.exp(-(((at - 0.1) / 0.07) ** 2)) + 0.7 * np.exp(-(((at - 0.45) / 0.08) ** 2)))
    low = np.convolve(cough, np.hanning(12) / 6, "same")
    keys = np.zeros(len(at))
    for key in range(10):
        start = int((0.18 * key + random.uniform(0, 0.05)) * SAMPLE_RATE)
        keys[start : start + 400] += white[:400] * np.exp(-np.arange(400) / 80)
    chords = sum(
        np.sin(2 * np.pi * 220 * 2 ** (semitone / 12) * at) * (1 + 0.3 * np.sin(2 * np.pi * 2 * at))
        for semitone in (0, 4, 7, 12)
    )
    melody = sounds_without_speech(2)["melody"]
    found = {"cough": low, "keyboard": keys, "music": np.asarray(chords), "melody": melody, "noise": white}
    return {name: levelled(np.asarray(sound, np.float32)) for name, sound in found.items()}


async def sounds(rounds: int) -> tuple[list[Sound], list[Sound]]:
    """Return sounds that shall not interrupt, and those that shall."""
    engine = KokoroEngine(KokoroSettings(decoder="onnx"), Resources(settings.Settings().cache_dir))
    await engine.start()
    quiet, loud = list[Sound](), list[Sound]()
    for language, voices in LISTENERS.items():
        answer, _ = await speak(engine, language, ANSWERING[language], ANSWERS[language])
        echo = levelled(_roomy(answer), SPEECH_LEVEL * 10 ** (ECHO_DB / 20))
        for number in range(rounds):
            voice = voices[number % len(voices)]
            random = np.random.default_rng(number)
            own: dict[str, dict[str, Samples]] = {"attention": {}, "interruption": {}}
            for kind, texts in (("attention", ATTENTION), ("interruption", INTERRUPTIONS)):
                for text in texts[language]:
                    spoken, _ = await speak(engine, language, voice, text)
                    own[kind][text] = levelled(spoken)
            before, _ = await speak(engine, language, voice, BEFORE[language])
            turn = levelled(before)

            def made(kind: str, sound: Samples, turn: Samples = turn, language: str = language) -> Sound:
                answer_s = len(turn) / SAMPLE_RATE + 1.0
                samples = np.zeros(round((answer_s + 6.5) * SAMPLE_RATE), np.float32)
                samples += 0.0005 * np.random.default_rng(1).standard_normal(len(samples)).astype(np.float32)
                samples[: len(turn)] += turn
                start = round((answer_s + AT_S) * SAMPLE_RATE)
                samples[start : start + len(sound)] += sound
                begun = int(np.flatnonzero(np.abs(sound) > 0.003)[0]) if np.any(sound) else 0
                at_s = answer_s + AT_S + begun / SAMPLE_RATE
                return Sound(kind, language, ANSWERS[language], samples, answer_s, at_s)

            few = [made("silence", np.zeros(1, np.float32))]
            few += [made(name, sound) for name, sound in noises(random).items()]
            few += [made("attention", sound) for sound in own["attention"].values()]
            many = [made("interruption", sound) for sound in own["interruption"].values()]
            quiet += [one for each in few for one in (each, each.with_echo(echo))]
            loud += [one for each in many for one in (each, each.with_echo(echo))]
    await engine.stop()
    return quiet, loud


def _roomy(samples: Samples) -> Samples:
    """Return speech as a microphone hears it from a loudspeaker, with three reflections."""
    echo = np.zeros(len(samples) + SAMPLE_RATE // 5, np.float32)
    for delay_s, gain in ((0.02, 1.0), (0.045, 0.5), (0.08, 0.3), (0.13, 0.15)):
        start = round(delay_s * SAMPLE_RATE)
        echo[start : start + len(samples)] += gain * samples
    return echo


async def interrupted_s(
    recognizer: WhisperRecognizer, sound: Sound, *, by_voice: bool = True
) -> float | None:
    """Return when the answer is interrupted, in seconds of the audio; None if it is not."""
    interruption = Interruption(by_voice=by_voice)
    audio = RecentAudio(SAMPLE_RATE, 1.0)
    audio.add(sound.samples)
    length, now_s, begun = round(STEP_S * SAMPLE_RATE), 0.0, False
    events = recognizer.recognize(at_once(sound.samples), sound.language)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, RecognizedWord):
                if event.start_s >= sound.answer_s and interruption.add_word(event):
                    return now_s
            elif isinstance(event, Step):
                now_s = (event.index + 1) * STEP_S
                if not begun and now_s >= sound.answer_s:
                    begun = True
                    interruption.begin()
                    interruption.said(sound.answer)
                level_db = audio.level_db((event.index + 1) * length, length)
                if interruption.feed(
                    Step(event.index, event.pause_probabilities, event.voices, level_db=level_db)
                ):
                    return now_s
    return None


async def measure(rounds: int) -> None:
    """Print the table."""
    quiet, loud = await sounds(rounds)
    async with started_recognizer() as recognizer:
        rows = []
        for by_voice in (True, False):
            for kind in dict.fromkeys(sound.kind for sound in (*quiet, *loud)):
                some = [sound for sound in (*quiet, *loud) if sound.kind == kind]
                times = [await interrupted_s(recognizer, sound, by_voice=by_voice) for sound in some]
                rows.append(_row(kind, some, times, by_voice=by_voice))
    head = ("sound", "interrupts by", "interrupted", "after the sound's start, median / p95")
    print(table(head, rows) + "\n", flush=True)


def _row(kind: str, sounds: Sequence[Sound], times: Sequence[float | None], *, by_voice: bool) -> list[str]:
    late = [time - sound.at_s for sound, time in zip(sounds, times, strict=True) if time is not None]
    shown = f"{seconds(late)} / {seconds(late, 95)}" if late else "–"
    return [kind, "voice, words" if by_voice else "words", f"{len(late)} of {len(times)}", shown]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.interruptions", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=2, help="listeners of each language")
    chosen = parser.parse_args()
    with report_section("Interruptions", "ctranslate2", "faster-whisper"):
        asyncio.run(measure(chosen.rounds))


if __name__ == "__main__":
    main()
