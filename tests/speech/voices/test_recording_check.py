"""What is wrong with a recording: real speech, real listeners, one fault at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.voices import recording_judge_faults as faults
from engines.espeak.engine import EspeakEngine
from engines.kokoro.engine import KokoroEngine, KokoroSettings
from engines.speaker_encoder.encoder import SpeakerEncoder
from engines.whisper.vad import VoiceDetector
from speech.engine import Engine
from speech.errors import InvalidRequest
from speech.types import Recording, Samples, Segment
from speech.voices.clipping import count_clipped_places
from speech.voices.recording_check import RecordingCheck
from speech.voices.recording_quality import true_runs

TEXTS = (
    "The old bakery opens early in the morning.",
    "My younger sister wants to learn how to play the violin this summer.",
    "Your blue suitcase is standing next to the wardrobe in the hall.",
)
WOMAN, MAN = "af_heart", "am_michael"
RATE = 24_000


async def _said(engine: Engine, voice: str) -> Recording:
    rate = engine.info.sample_rate
    pause = np.zeros(rate // 3, np.float32)
    pieces: list[Samples] = [pause]
    for text in TEXTS:
        pieces += [chunk.samples async for chunk in engine.synthesize(Segment(text, voice, "en-US"))]
        pieces.append(pause)
    return Recording(np.concatenate(pieces), rate)


@pytest.fixture(scope="module")
def recordings(cache: Path) -> dict[str, Recording]:
    """A dozen seconds of each of three voices, with nothing wrong."""

    async def made() -> dict[str, Recording]:
        kokoro = KokoroEngine(KokoroSettings(models_dir=None, cache_dir=cache, decoder="auto"))
        espeak = EspeakEngine()
        await kokoro.start()
        await kokoro.wait_until_loaded()
        await espeak.start()
        found = {voice: await _said(kokoro, voice) for voice in (WOMAN, MAN)}
        found["espeak:en-us"] = await _said(espeak, "espeak:en-us")
        await kokoro.stop()
        await espeak.stop()
        return found

    return asyncio.run(made())


@pytest.fixture(scope="module")
def good(recordings: dict[str, Recording]) -> Recording:
    """One of them."""
    return recordings[WOMAN]


@pytest.fixture(scope="module")
def judge() -> Iterator[RecordingCheck]:
    """The judge, with the listeners that the server gives it."""
    yield RecordingCheck(VoiceDetector(), SpeakerEncoder())


def behind(recording: Recording, sound: faults.Sound, decibels: float) -> Recording:
    """``recording`` with that sound so far below the speech."""
    random = np.random.default_rng(1)
    return faults.over(recording, sound(len(recording.samples), recording.sample_rate, random), decibels)


def only(judge: RecordingCheck, recording: Recording) -> str:
    """The one thing that is told of it."""
    (sentence,) = judge(recording)
    return sentence


@pytest.mark.slow
def test_nothing_is_said_of_good_recordings(judge: RecordingCheck, recordings: dict[str, Recording]) -> None:
    """Whoever speaks, and at other rates, levels, and through codecs."""
    for recording in recordings.values():
        assert judge(recording) == ()
    good = recordings[MAN]
    copies = {
        "quieter": faults.in_16_bits(faults.louder(good, -15)),
        "48 kHz": faults.at_rate(good, 48_000),
        "MP3": faults.encoded(good, "mp3", 64_000),
        "Opus": faults.encoded(good, "opus", 24_000),
        "a quiet room": behind(good, faults.pink, 35),
    }
    for name, copy in copies.items():
        assert judge(copy) == (), name


@pytest.mark.parametrize(
    "sound", [faults.white, faults.pink, faults.band, faults.melody, faults.tone, faults.clicks]
)
@pytest.mark.parametrize("seconds", [0.5, 5])
def test_a_recording_that_nobody_speaks_in_is_refused(
    judge: RecordingCheck, sound: faults.Sound, seconds: float
) -> None:
    """However loud it is."""
    samples = sound(int(seconds * RATE), RATE, np.random.default_rng(1))
    for level in (0.001, 0.9):
        heard = np.asarray(samples * (level / np.abs(samples).max()), np.float32)
        with pytest.raises(InvalidRequest, match="reference: there is no speech in it"):
            judge(Recording(heard, RATE))


@pytest.mark.parametrize("count", [1, 300, 3 * RATE])
def test_silence_is_refused(judge: RecordingCheck, count: int) -> None:
    """Also a single sample of it, and silence with an offset."""
    for value in (0.0, 0.1):
        with pytest.raises(InvalidRequest, match="no speech"):
            judge(Recording(np.full(count, value, np.float32), RATE))


def test_less_than_three_seconds_of_speech_are_too_few(judge: RecordingCheck, good: Recording) -> None:
    """It says how many there are."""
    assert "s of speech in it: say more" in only(judge, faults.cut(good, 2.0))


def test_silence_for_more_than_half_of_it_is_to_be_cut_out(judge: RecordingCheck, good: Recording) -> None:
    """It says how much there is."""
    sentence = only(judge, faults.with_silence(good, 0.7))
    assert sentence.endswith("% of it is silence: cut that out.")
    assert 70 <= int(sentence.partition("%")[0]) <= 80


def test_a_little_speech_in_much_silence_is_found(judge: RecordingCheck, good: Recording) -> None:
    """Neither its level nor what is behind it is that of the silence."""
    told = judge(faults.with_silence(behind(faults.cut(good, 2.3), faults.white, 14), 0.96))
    assert [sentence.partition(" of ")[0].split()[-1] for sentence in told[:2]] == ["s", "96%"]
    assert [sentence.split(",")[0] for sentence in told[2:]] == ["There is noise behind the voice"]


def test_speech_that_is_too_quiet_is_told_with_its_level(judge: RecordingCheck, good: Recording) -> None:
    """The level is that of the speech, not of the pauses."""
    level = 20 * np.log10(faults.speech_level(good.samples)) - 35
    sentence = only(judge, faults.louder(good, -35))
    assert int(sentence.removeprefix("It is very quiet, ").split()[0]) == pytest.approx(-level, abs=3)


def test_clipping_is_counted_by_places(good: Recording) -> None:
    """Each is a stretch that samples stay at the limit in; those less than 50 ms apart are one."""
    limit = float(np.abs(good.samples).max()) / 4
    clipped = np.clip(good.samples, -limit, limit)
    tops = np.concatenate([true_runs(side >= limit) for side in (clipped, -clipped)])
    begins = np.sort(tops[tops[:, 1] - tops[:, 0] >= 3, 0]) / good.sample_rate
    places = 1 + np.count_nonzero(np.diff(begins) >= 0.05)
    assert places > 10
    assert count_clipped_places(Recording(clipped, good.sample_rate)) == pytest.approx(places, abs=1)


@pytest.mark.parametrize(("decibels", "codec"), [(6, ""), (12, ""), (12, "mp3"), (12, "opus")])
def test_clipping_is_told_also_behind_a_codec(
    judge: RecordingCheck, good: Recording, decibels: float, codec: str
) -> None:
    """Whatever the level is now."""
    clipped = faults.louder(faults.clipped(good, decibels), -10)
    if codec:
        clipped = faults.encoded(clipped, codec, 32_000)
    assert any("It is clipped in" in sentence for sentence in judge(clipped))


def test_a_constant_offset_is_told(judge: RecordingCheck, good: Recording) -> None:
    """And nothing else is believed because of it."""
    assert only(judge, faults.with_offset(good, 0.05)).startswith("Its middle is 0.05 away from zero")


@pytest.mark.parametrize(
    ("sound", "told"),
    [
        (faults.white, "There is noise behind the voice"),
        (faults.pink, "There is noise behind the voice"),
        (faults.fan, "There is noise behind the voice"),
        (faults.chords, "There is music or another tone behind the voice"),
        (faults.melody, "There is music or another tone behind the voice"),
        (faults.band, "There is music or another tone behind the voice"),
        (faults.hum, "The mains hum in it"),
    ],
)
def test_what_is_heard_behind_the_voice_is_told_with_its_distance(
    judge: RecordingCheck, good: Recording, sound: faults.Sound, told: str
) -> None:
    """Noise, music and hum are told apart."""
    sentence = only(judge, behind(good, sound, 14))
    assert sentence.startswith(told)
    assert int(sentence.partition("only ")[2].split()[0]) == pytest.approx(14, abs=5)


def test_a_room_that_echoes_is_told_and_a_living_room_is_not(judge: RecordingCheck, good: Recording) -> None:
    """An echo of a second, as loud as the voice; of 0.3 s, 6 dB below."""
    assert only(judge, faults.in_room(good, 1.0, 0)).startswith("The room echoes")
    assert judge(faults.in_room(good, 0.3, 6)) == ()


def test_a_telephone_is_told(judge: RecordingCheck, good: Recording) -> None:
    """Also where the file's rate says nothing of it, and where it does."""
    for narrow in (faults.telephone(good), faults.at_rate(good, 8_000)):
        assert only(judge, narrow).startswith("There is nothing above 4 kHz in it")


def test_several_speakers_are_told(judge: RecordingCheck, recordings: dict[str, Recording]) -> None:
    """By turns, one behind the other, and partly together."""
    both = recordings[WOMAN], recordings[MAN]
    for mixed in (
        faults.alternating(*both),
        faults.halves(*both, overlap=0.0),
        faults.halves(*both, overlap=0.3),
    ):
        assert only(judge, mixed).startswith("Several people seem to speak in it")


def test_without_an_encoder_nobody_looks_for_several_speakers(recordings: dict[str, Recording]) -> None:
    """All else is told as before."""
    judge = RecordingCheck(VoiceDetector())
    mixed = faults.alternating(recordings[WOMAN], recordings[MAN])
    assert judge(mixed) == ()
    assert only(judge, faults.with_offset(mixed, 0.05)).startswith("Its middle")


def test_several_faults_are_all_told(judge: RecordingCheck, good: Recording) -> None:
    """Each by a sentence of its own."""
    told = judge(behind(faults.with_offset(faults.telephone(good), 0.05), faults.hum, 14))
    assert [sentence.split()[0] for sentence in told] == ["Its", "The", "There"]


def test_several_threads_judge_at_once(judge: RecordingCheck, recordings: dict[str, Recording]) -> None:
    """Each gets its own answer."""
    given = [recordings[WOMAN], faults.telephone(recordings[MAN]), faults.cut(recordings[MAN], 2.0)] * 2
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(judge, given)) == [judge(recording) for recording in given]
