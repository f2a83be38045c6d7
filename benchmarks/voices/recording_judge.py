"""Hits and false alarms of the recording check, by fault and strength."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations

import numpy as np

from benchmarks.report import measure, median, table
from benchmarks.voices import recording_judge_faults as faults
from benchmarks.voices.recording_judge_speech import Clip, clips
from kani.core.errors import InvalidRequest
from kani.core.types import Recording
from kani.core.voices.recording_check import RecordingCheck
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from kani.runtime.voice_detector import VoiceDetector

Change = Callable[[Recording], Recording]

TOLD = {
    "clipped": "clipping",
    "noise": "noise",
    "music": "music",
    "mains": "hum",
    "echoes": "echo",
    "quiet,": "level",
    "telephone": "band",
    "zero": "offset",
    "silence": "silence",
    "people": "speakers",
    "say more": "little speech",
}
"""Words of each sentence that no other has, and what the tables call it."""

EVERY = 6
"""One recording of this many gets each fault."""

PAIRS = 40
_RATE = 24_000
_TIMES = 5


@cache
def good() -> list[Clip]:
    """The good recordings."""
    return clips()


@cache
def judge() -> RecordingCheck:
    """The check with all its detectors."""
    return RecordingCheck(VoiceDetector(), SpeakerEncoder())


def found(recording: Recording) -> set[str]:
    """Advice on a recording in the tables' words; "no speech" if it is refused."""
    try:
        sentences = judge()(recording)
    except InvalidRequest:
        return {"no speech"}
    return {next(name for word, name in TOLD.items() if word in sentence) for sentence in sentences}


def background(sound: faults.Sound, decibels: float) -> Change:
    """Add a sound this far below the speech."""

    def changed(recording: Recording) -> Recording:
        random = np.random.default_rng(len(recording.samples))
        made = sound(len(recording.samples), recording.sample_rate, random)
        return faults.in_16_bits(faults.over(recording, made, decibels))

    return changed


def coded(change: Change, codec: str, bit_rate: int) -> Change:
    """The changed recording after a codec."""
    return lambda recording: faults.encoded(change(recording), codec, bit_rate)


def clipped(decibels: float) -> Change:
    """Clipped by this much, in 16 bits."""
    return lambda recording: faults.in_16_bits(faults.clipped(recording, decibels))


def same(recording: Recording) -> Recording:
    """As a WAV file has it."""
    return faults.in_16_bits(recording)


COPIES: dict[str, Change] = {
    "as they are": same,
    "12 dB quieter": lambda recording: same(faults.louder(recording, -12)),
    "at 48 kHz": lambda recording: same(faults.at_rate(recording, 48_000)),
    "MP3, 128 kbit/s": coded(same, "mp3", 128_000),
    "MP3, 48 kbit/s": coded(same, "mp3", 48_000),
    "Opus, 24 kbit/s": coded(same, "opus", 24_000),
    "noise 35 dB below": background(faults.pink, 35),
    "living room (0.3 s of echo, 6 dB below)": lambda recording: same(faults.in_room(recording, 0.3, 6)),
}

FAULTS: list[tuple[str, str, bool, Change]] = [
    *(
        ("clipping", f"{decibels} dB over full scale", decibels >= 6, clipped(decibels))
        for decibels in (1, 3, 6, 12, 20)
    ),
    *(
        ("clipping", f"{decibels} dB, then {name}", decibels >= 12, coded(clipped(decibels), codec, bit_rate))
        for name, codec, bit_rate in (("MP3 64k", "mp3", 64_000), ("Opus 24k", "opus", 24_000))
        for decibels in (3, 6, 12, 20)
    ),
    *(
        ("noise", f"{sound.__name__}, {decibels} dB below", decibels <= 15, background(sound, decibels))
        for sound in faults.NOISES
        for decibels in (10, 15, 18, 25)
    ),
    *(
        ("music", f"{sound.__name__}, {decibels} dB below", decibels <= 15, background(sound, decibels))
        for sound in faults.MUSIC
        for decibels in (10, 15, 20)
    ),
    *(
        ("hum", f"50 Hz, {decibels} dB below", decibels <= 15, background(faults.hum, decibels))
        for decibels in (10, 15, 20)
    ),
    *(
        (
            "echo",
            f"{seconds:g} s, {direct:g} dB below",
            seconds >= 1 and direct <= 0,
            lambda recording, seconds=seconds, direct=direct: faults.in_room(recording, seconds, direct),
        )
        for seconds in (0.6, 1.0, 1.5)
        for direct in (6, 0, -6)
    ),
    *(
        (
            "level",
            f"{decibels} dB",
            decibels <= -35,
            lambda recording, decibels=decibels: same(faults.louder(recording, decibels)),
        )
        for decibels in (-25, -35, -45)
    ),
    ("band", "telephone", True, faults.telephone),
    ("band", "8 kHz file", True, lambda recording: same(faults.at_rate(recording, 8_000))),
    (
        "band",
        "telephone, noise 40 dB below",
        True,
        lambda r: background(faults.pink, 40)(faults.telephone(r)),
    ),
    *(
        (
            "offset",
            f"{offset:g}",
            True,
            lambda recording, offset=offset: same(faults.with_offset(recording, offset)),
        )
        for offset in (0.03, 0.1)
    ),
    *(
        (
            "silence",
            f"{share:.0%}",
            share >= 0.6,
            lambda recording, share=share: same(faults.with_silence(faults.cut(recording, 10), share)),
        )
        for share in (0.6, 0.8)
    ),
    *(
        (
            "little speech",
            f"{seconds:g} s",
            True,
            lambda recording, seconds=seconds: same(faults.cut(recording, seconds)),
        )
        for seconds in (1.5, 2.5)
    ),
]
"""Fault, strength, clear case or not, and the function that adds it."""


def alarms() -> None:
    """Number of good recordings that get advice."""
    rows, all_found, all_judged = [], 0, 0
    for name, change in COPIES.items():
        for kind in ("plain", "expressive", "espeak"):
            of_kind = [clip.recording for clip in good() if clip.kind == kind]
            advice = [found(change(recording)) for recording in of_kind]
            wrong = Counter(what for one in advice for what in one)
            complained = sum(map(bool, advice))
            all_found, all_judged = all_found + complained, all_judged + len(advice)
            named = ", ".join(f"{what} {count}" for what, count in wrong.items()) or "–"
            rows.append((name, kind, f"{complained} of {len(advice)}", named))
    rows.append(("**all**", "", f"**{all_found} of {all_judged} ({all_found / all_judged:.1%})**", ""))
    print(table(("good recordings", "speech", "complained of", "of what"), rows), flush=True)


def hits() -> None:
    """Number of faulty recordings with their fault found."""
    rows = []
    for fault, strength, clear, change in FAULTS:
        rows.append(_row(fault, strength, clear, [change(clip.recording) for clip in good()[::EVERY]]))
    for strength, clear, recordings in _two_speakers():
        rows.append(_row("speakers", strength, clear, recordings))
    print(table(("fault", "strength", "clear case", "found", "other advice"), rows), flush=True)


def _row(fault: str, strength: str, clear: bool, recordings: Sequence[Recording]) -> tuple[str, ...]:
    advice = [found(recording) for recording in recordings]
    right = sum(fault in one for one in advice)
    others = Counter(what for one in advice for what in one if what != fault)
    named = ", ".join(f"{what} {count}" for what, count in others.most_common()) or "–"
    return (
        fault,
        strength,
        "yes" if clear else "",
        f"{right} of {len(advice)} ({right / len(advice):.0%})",
        named,
    )


def _two_speakers() -> list[tuple[str, bool, list[Recording]]]:
    long = [clip for clip in good() if clip.kind == "plain" and clip.recording.duration_s > 7]
    pairs = [(one, other) for one, other in combinations(long, 2) if one.voice != other.voice]
    chosen = np.random.default_rng(1).choice(len(pairs), PAIRS, replace=False)
    named: dict[str, list[tuple[Recording, Recording]]] = {"man and woman": [], "two of one sex": []}
    for one, other in (pairs[at] for at in chosen):
        alike = one.voice[1] == other.voice[1]
        named["two of one sex" if alike else "man and woman"].append((one.recording, other.recording))
    return [
        row
        for who, both in named.items()
        for row in (
            (f"{who}, a sentence each", True, [faults.alternating(*pair) for pair in both]),
            (f"{who}, a half each", True, [faults.halves(*pair, 0.0) for pair in both]),
            (f"{who}, halves, 30 % together", False, [faults.halves(*pair, 0.3) for pair in both]),
            (f"{who}, halves, 50 % together", False, [faults.halves(*pair, 0.5) for pair in both]),
        )
    ]


def empty() -> None:
    """Print which recordings are refused."""
    rows = []
    for sound in (*faults.NOISES, *faults.MUSIC, faults.hum, faults.tone, faults.clicks):
        advice = []
        for seconds in (4, 15, 60):
            samples = sound(seconds * _RATE, _RATE, np.random.default_rng(seconds))
            advice.append(
                found(Recording(np.asarray(0.2 * samples / np.abs(samples).max(), np.float32), _RATE))
            )
        refused = sum(one == {"no speech"} for one in advice)
        rows.append((sound.__name__, f"{refused} of {len(advice)}"))
    print(table(("no speech", "refused"), rows), flush=True)


def times() -> None:
    """Print the processor time for 10 and 60 s."""
    joined = np.concatenate([clip.recording.samples for clip in good() if clip.kind == "plain"])
    rows = []
    for seconds in (10, 60):
        recording = Recording(joined[: seconds * _RATE], _RATE)
        taken = []
        for _ in range(_TIMES):
            begun = time.process_time()
            judge()(recording)
            taken.append(time.process_time() - begun)
        rows.append((f"{seconds} s", f"{median(taken):.2f} s"))
    print(table(("recording", "processor time"), rows), flush=True)


if __name__ == "__main__":
    parts = {"alarms": alarms, "hits": hits, "empty": empty, "time": times}
    measure("voices.recording_judge", __doc__, "The judge of recordings", parts)
