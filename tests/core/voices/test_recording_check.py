"""Faults of recordings, one at a time, in synthetic speech with the server's own detectors."""

import asyncio
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kani.core.audio.pcm import decode_recording, wav
from kani.core.engine import Engine
from kani.core.errors import InvalidRequest
from kani.core.types import Recording, Samples, Segment
from kani.core.voices.recording_check import RecordingCheck, count_clipped_places
from kani.core.voices.recording_quality import true_runs
from kani.engines.espeak.engine import EspeakEngine
from kani.engines.kokoro.engine import KokoroEngine
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from kani.runtime.voice_detector import VoiceDetector
from tests.core.voices import recording_faults as faults

pytestmark = pytest.mark.heard

TEXTS = (
    "The old bakery opens early in the morning.",
    "My younger sister wants to learn how to play the violin this summer.",
    "Your blue suitcase is standing next to the wardrobe in the hall.",
)
MORE_TEXTS = (
    "We took the night train because the flights were far too expensive.",
    "Please remember to water the plants on the balcony while I am away.",
    "Nobody in the village knew who had painted the old fence green.",
)
WOMAN, MAN = "af_heart", "am_michael"
RATE = 24_000


async def _said(engine: Engine, voice: str, texts: Sequence[str] = TEXTS) -> Recording:
    rate = engine.info.sample_rate
    pause = np.zeros(rate // 3, np.float32)
    pieces: list[Samples] = [pause]
    for text in texts:
        pieces += [chunk.samples async for chunk in engine.synthesize(Segment(text, voice, "en-US"))]
        pieces.append(pause)
    return Recording(np.concatenate(pieces), rate)


@pytest.fixture(scope="module")
def recordings(kokoro: KokoroEngine) -> dict[str, Recording]:
    """A dozen seconds of three voices, without a fault."""

    async def made() -> dict[str, Recording]:
        espeak = EspeakEngine()
        await espeak.start()
        found = {voice: await _said(kokoro, voice) for voice in (WOMAN, MAN)}
        found["espeak:en-us"] = await _said(espeak, "espeak:en-us")
        await espeak.stop()
        return found

    return asyncio.run(made())


@pytest.fixture(scope="module")
def speakers(kokoro: KokoroEngine) -> tuple[Recording, Recording]:
    """Six sentences of two voices.

    Where they take turns, only the windows without a change of turns tell them apart. With three sentences
    each, four to nine windows are such, as their edges lie; with four, the likeness is as great as the limit.
    """

    async def made() -> tuple[Recording, Recording]:
        texts = TEXTS + MORE_TEXTS
        return await _said(kokoro, WOMAN, texts), await _said(kokoro, MAN, texts)

    return asyncio.run(made())


@pytest.fixture(scope="module")
def good(recordings: dict[str, Recording]) -> Recording:
    return recordings[WOMAN]


@pytest.fixture(scope="module")
def judge() -> RecordingCheck:
    return RecordingCheck(VoiceDetector(), SpeakerEncoder())


def behind(recording: Recording, sound: faults.Sound, decibels: float) -> Recording:
    """``recording`` with the sound ``decibels`` below the speech."""
    random = np.random.default_rng(1)
    return faults.over(recording, sound(len(recording.samples), recording.sample_rate, random), decibels)


def only(judge: RecordingCheck, recording: Recording) -> str:
    (sentence,) = judge(recording)
    return sentence


def test_good_recordings_get_no_advice(judge: RecordingCheck, recordings: dict[str, Recording]) -> None:
    for recording in recordings.values():
        assert judge(recording) == ()
    good = recordings[MAN]
    copies = {
        "quieter": decode_recording(wav(faults.louder(good, -15).samples, good.sample_rate)),
        "48 kHz": faults.at_rate(good, 48_000),
        "MP3": faults.encoded(good, "mp3", 64_000),
        "Opus": faults.encoded(good, "opus", 24_000),
        "a quiet room": behind(good, faults.pink, 35),
    }
    for name, copy in copies.items():
        assert judge(copy) == (), name


@pytest.mark.parametrize(
    "sound", [faults.white, faults.pink, faults.chords, faults.melody, faults.tone, faults.clicks]
)
@pytest.mark.parametrize("seconds", [0.5, 5])
def test_recording_needs_speech(judge: RecordingCheck, sound: faults.Sound, seconds: float) -> None:
    samples = sound(int(seconds * RATE), RATE, np.random.default_rng(1))
    for level in (0.001, 0.9):
        heard = np.asarray(samples * (level / np.abs(samples).max()), np.float32)
        with pytest.raises(InvalidRequest, match="reference: there is no speech in it"):
            judge(Recording(heard, RATE))


@pytest.mark.parametrize("count", [1, 300, 3 * RATE])
def test_silent_recording_is_refused(judge: RecordingCheck, count: int) -> None:
    for value in (0.0, 0.1):
        with pytest.raises(InvalidRequest, match="no speech"):
            judge(Recording(np.full(count, value, np.float32), RATE))


@pytest.mark.parametrize(
    ("fault", "advice"),
    [
        (lambda good: faults.cut(good, 2.0), r"There are only \d\.\d s of speech in it: say more"),
        (lambda good: faults.with_offset(good, 0.05), r"Its middle is 0\.05 away from zero"),
        (lambda good: faults.in_room(good, 1.0, 0), "The room echoes"),
        (faults.telephone, "There is nothing above 4 kHz in it"),
        (lambda good: faults.at_rate(good, 8_000), "There is nothing above 4 kHz in it"),
    ],
    ids=["short", "offset", "echo of a second", "telephone", "8 kHz"],
)
def test_single_fault_is_reported(
    judge: RecordingCheck, good: Recording, fault: Callable[[Recording], Recording], advice: str
) -> None:
    assert re.match(advice, only(judge, fault(good)))


def test_room_is_accepted_and_every_fault_reported(judge: RecordingCheck, good: Recording) -> None:
    assert judge(faults.in_room(good, 0.3, 6)) == ()
    told = judge(behind(faults.with_offset(faults.telephone(good), 0.05), faults.hum, 14))
    assert [sentence.split()[0] for sentence in told] == ["Its", "The", "There"]
    level = 20 * np.log10(faults.speech_level(good.samples)) - 35
    sentence = only(judge, faults.louder(good, -35))
    assert int(sentence.removeprefix("It is very quiet, ").split()[0]) == pytest.approx(-level, abs=3)


def test_silence_is_reported_and_speech_in_it_measured(judge: RecordingCheck, good: Recording) -> None:
    sentence = only(judge, faults.with_silence(good, 0.7))
    assert sentence.endswith("% of it is silence: cut that out.")
    assert 70 <= int(sentence.partition("%")[0]) <= 80
    # Noise is none.
    assert only(judge, behind(faults.with_silence(good, 0.7), faults.pink, 14)).startswith("There is noise")
    told = judge(faults.with_silence(behind(faults.cut(good, 2.3), faults.white, 14), 0.96))
    assert [sentence.partition(" of ")[0].split()[-1] for sentence in told[:2]] == ["s", "96%"]
    assert [sentence.split(",")[0] for sentence in told[2:]] == ["There is noise behind the voice"]


def test_clipped_places_are_counted(good: Recording) -> None:
    limit = float(np.abs(good.samples).max()) / 4
    clipped = np.clip(good.samples, -limit, limit)
    tops = np.concatenate([true_runs(side >= limit) for side in (clipped, -clipped)])
    begins = np.sort(tops[tops[:, 1] - tops[:, 0] >= 3, 0]) / good.sample_rate
    places = 1 + np.count_nonzero(np.diff(begins) >= 0.05)
    assert places > 10
    assert count_clipped_places(Recording(clipped, good.sample_rate)) == pytest.approx(places, abs=1)


@pytest.mark.parametrize(("decibels", "codec"), [(6, ""), (12, ""), (12, "mp3"), (12, "opus")])
def test_clipping_is_reported(judge: RecordingCheck, good: Recording, decibels: float, codec: str) -> None:
    clipped = faults.louder(faults.clipped(good, decibels), -10)
    if codec:
        clipped = faults.encoded(clipped, codec, 32_000)
    assert any("It is clipped in" in sentence for sentence in judge(clipped))


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        *((noise, "There is noise behind") for noise in (faults.white, faults.pink)),
        *((tune, "There is music or another tone") for tune in (faults.chords, faults.melody)),
        (faults.hum, "The mains hum in it"),
    ],
)
def test_background_is_classified_with_distance(
    judge: RecordingCheck, good: Recording, sound: faults.Sound, told: str
) -> None:
    sentence = only(judge, behind(good, sound, 14))
    assert sentence.startswith(told)
    assert int(sentence.partition("only ")[2].split()[0]) == pytest.approx(14, abs=5)


@pytest.mark.parametrize("cut_s", [0.0, 0.2, 0.4, 0.6])
def test_several_speakers_are_reported(
    judge: RecordingCheck, speakers: tuple[Recording, Recording], cut_s: float
) -> None:
    """Wherever the windows begin."""
    for mixed in (faults.alternating(*speakers), *(faults.halves(*speakers, part) for part in (0.0, 0.3))):
        heard = Recording(mixed.samples[round(cut_s * mixed.sample_rate) :], mixed.sample_rate)
        assert only(judge, heard).startswith("Several people seem to speak in it")


def test_speaker_check_needs_encoder(recordings: dict[str, Recording]) -> None:
    judge = RecordingCheck(VoiceDetector())
    mixed = faults.alternating(recordings[WOMAN], recordings[MAN])
    assert judge(mixed) == ()
    assert only(judge, faults.with_offset(mixed, 0.05)).startswith("Its middle")


def test_threads_check_concurrently(judge: RecordingCheck, recordings: dict[str, Recording]) -> None:
    given = [recordings[WOMAN], faults.telephone(recordings[MAN]), faults.cut(recordings[MAN], 2.0)] * 2
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(judge, given)) == [judge(recording) for recording in given]
