"""Error rate of telling speakers apart, and the time it takes.

    python -m benchmarks.recognition.diarization --human reader_1.wav reader_2.wav --hours 1

Some voices tuned the clustering (``--tuning``), the others judge it. Each file of ``--human`` is the reading
of another person: beckett.wav and two_cities.wav of the wheel moonshine-voice 0.1.5 tuned it, too.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.recognition.diarization.error import DiarizationError, diarization_error
from benchmarks.recognition.diarization.recordings import (
    JUDGING,
    TUNING,
    Conversation,
    conversation,
    human_parts,
    spoken,
)
from benchmarks.report import report_section, table
from kani.core.audio.recording_file import PIECE_S
from kani.core.diarization.diarizer import Diarizer
from kani.core.diarization.turns import SpeakerTurn
from kani.core.types import Samples
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from kani.runtime.voice_detector import SAMPLE_RATE, VoiceDetector

RECORDINGS = 5
"""Conversations of each kind."""


TURNS = 12
SEED = 11
Said = Mapping[str, Sequence[Samples]]


def conversations(said: Said, human: Said, long: int = 0) -> Iterator[Conversation]:
    """Yield the conversations of each kind; long: turns of one more of four voices, if any."""
    rng = np.random.default_rng(SEED)
    kokoro = [voice for voice in said if not voice.startswith("espeak:")]
    robots = [voice for voice in said if voice.startswith("espeak:")]
    for kind, count in (("one Kokoro voice", 1), ("two Kokoro voices", 2), ("four Kokoro voices", 4)):
        for _ in range(RECORDINGS if count <= len(kokoro) else 0):
            chosen = [str(voice) for voice in rng.choice(kokoro, count, replace=False)]
            yield conversation(kind, {voice: said[voice] for voice in chosen}, TURNS, rng)
    for _ in range(RECORDINGS if robots and len(kokoro) > 1 else 0):
        chosen = [*(str(voice) for voice in rng.choice(kokoro, 2, replace=False)), robots[0]]
        yield conversation("two and espeak-ng", {voice: said[voice] for voice in chosen}, TURNS, rng)
    if long and len(kokoro) >= 4:
        chosen = [str(voice) for voice in rng.choice(kokoro, 4, replace=False)]
        yield conversation("four, long", {voice: said[voice] for voice in chosen}, long, rng)
    for _ in range(RECORDINGS if human else 0):
        yield conversation("human readers", human, TURNS, rng)
    for _ in range(RECORDINGS if human and len(kokoro) > 1 else 0):
        chosen = [str(voice) for voice in rng.choice(kokoro, 2, replace=False)]
        yield conversation("human and two", {**human, **{voice: said[voice] for voice in chosen}}, TURNS, rng)


def diarize(diarizer: Diarizer, samples: Samples, speakers: int) -> dict[str, tuple[SpeakerTurn, ...]]:
    """Return the turns of a recording, read in the pieces of the server, by what is known of the number."""
    stream, size = diarizer.stream(SAMPLE_RATE), round(PIECE_S * SAMPLE_RATE)
    for at in range(0, len(samples), size):
        stream.feed(samples[at : at + size])
    return {"found": stream.finish(), "given": stream.finish(speakers)}


def measure(cases: Sequence[Conversation]) -> None:
    """Print the errors of each kind, with the number of speakers found and given."""
    diarizer = Diarizer(VoiceDetector, SpeakerEncoder)
    rows = list[list[str]]()
    for kind in dict.fromkeys(case.kind for case in cases):
        own = [case for case in cases if case.kind == kind]
        turns = [diarize(diarizer, case.samples, case.speakers) for case in own]
        for number in ("found", "given"):
            total, counted = DiarizationError(0.0, 0.0, 0.0, 0.0), 0
            for case, answers in zip(own, turns, strict=True):
                found = answers[number]
                total += diarization_error(case.turns, found)
                counted += len({turn.speaker for turn in found}) == case.speakers
            shares = (
                total.rate,
                *(s / total.speech_s for s in (total.missed_s, total.false_s, total.confused_s)),
            )
            rows.append(
                [kind, number, f"{counted} of {len(own)}", f"{total.speech_s:.0f} s"]
                + [f"{100 * share:.1f} %" for share in shares]
            )
    print(table(["voices", "number", "right number", "speech", "error", "missed", "false", "confused"], rows))


def measure_length(cases: Sequence[Conversation], hours: float) -> None:
    """Print the time and memory of a recording of ``hours``, made of the conversations."""
    once = np.concatenate([case.samples for case in cases])
    samples = np.resize(once, round(hours * 3600 * SAMPLE_RATE))
    stream = Diarizer(VoiceDetector, SpeakerEncoder).stream(SAMPLE_RATE)
    size = round(PIECE_S * SAMPLE_RATE)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    for at in range(0, len(samples), size):
        stream.feed(samples[at : at + size])
    heard = time.process_time()
    turns = stream.finish()
    ended = time.process_time()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    row = [
        f"{hours:g} h",
        f"{heard - begun:.0f} s",
        f"{ended - heard:.1f} s",
        str(len(turns)),
        str(len({turn.speaker for turn in turns})),
        f"{grown:.0f} MiB",
    ]
    head = ["recording", "processor, embeddings", "processor, turns", "turns", "speakers", "memory"]
    print("\n" + table(head, [row]))


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.diarization",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--tuning", action="store_true", help="the voices that may tune, not those that judge"
    )
    parser.add_argument("--human", type=Path, nargs="*", default=[], help="files with one reader each")
    parser.add_argument("--only-human", action="store_true", help="no voices of Kokoro and espeak-ng")
    parser.add_argument("--long", type=int, default=0, help="turns of a long conversation: 600 are an hour")
    parser.add_argument("--hours", type=float, default=0.0, help="measure the time of a recording this long")
    options = parser.parse_args()

    async def say() -> dict[str, list[Samples]]:
        async with spoken() as sentences:
            return {voice: await sentences.of(voice) for voice in (TUNING if options.tuning else JUDGING)}

    said = {} if options.only_human else asyncio.run(say())
    human = {path.stem: human_parts(path) for path in options.human}
    cases = list(conversations(said, human, options.long))
    with report_section("Diarization", "numpy", "onnxruntime"):
        measure(cases)
        if options.hours:
            measure_length(cases, options.hours)


if __name__ == "__main__":
    main()
