"""Recordings of which nothing is lost, doubled or translated: replies, codes, digits, two languages."""

import io
import wave

import numpy as np
import pytest

from benchmarks.recognition.hard_recordings import Speaker, joined
from benchmarks.recognition.repeats import hear
from kani.core.audio.recording_file import RecordingFile
from kani.core.transcriber import TranscriptionOptions
from kani.engines.whisper import plausibility, recording_pass
from kani.engines.whisper.engine import WhisperRecognizer
from kani.protocols.wyoming.events import AudioFormat
from kani.protocols.wyoming.recognition import mono
from kani.runtime.recognition.recording_chunks import ChunkCutter
from kani.runtime.voice_detector import VoiceDetector
from tests.engines.whisper.conftest import RATE, silence
from tests.engines.whisper.test_recordings import pieces, text_of, transcribed
from tests.judges.judge import word_error_rate, words_of

pytestmark = [pytest.mark.heard, pytest.mark.asyncio(loop_scope="session")]

MEETING = (
    "Good afternoon, and welcome to our weekly meeting. Today we will talk about the garden, the new library "
    "and the school bus."
)
GARDEN = "Thank you. The garden has grown a lot this spring."
LONG = "You said: the quick brown fox jumps over the lazy dog. That is a fine sentence."


@pytest.mark.parametrize(
    ("language", "parts", "gap_s"),
    [
        ("en", {"af_heart": "The results of the third experiment were good.", "am_michael": "Yes."}, 0.5),
        ("en", {"bf_emma": "My sister has just moved into a new flat.", "bm_george": "Thank you."}, 0.5),
        ("es", {"em_alex": "La farmacia de la esquina cierra a las nueve.", "ef_dora": "Gracias."}, 0.5),
        ("it", {"im_nicola": "Il treno per Bologna parte dal binario sette.", "if_sara": "Non ancora."}, 0.4),
        ("en", {"am_michael": MEETING, "bf_emma": GARDEN}, 0.4),
    ],
)
@pytest.mark.parametrize("way", ["file", "file, no language"])
async def test_other_voice_that_answers_is_written(
    recognizer: WhisperRecognizer,
    speaker: Speaker,
    language: str,
    parts: dict[str, str],
    gap_s: float,
    way: str,
) -> None:
    spoken = joined([await speaker.say(text, voice, language) for voice, text in parts.items()], gap_s)
    heard = await hear(recognizer, spoken, way, language)
    said = " ".join(parts.values())
    assert word_error_rate(said, heard, language) <= 0.15, heard
    assert words_of(heard, language)[-1] == words_of(said, language)[-1], heard


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("The code is four two seven, nine nine one.", "427991"),
        ("My number is five five five, zero one nine nine.", "5550199"),
        ("Four.", "4"),
        ("Eight.", "8"),
        ("Three.", "3"),
    ],
)
@pytest.mark.parametrize("bare", [False, True])
async def test_digits_are_written_once(
    recognizer: WhisperRecognizer, speaker: Speaker, said: str, digits: str, bare: bool
) -> None:
    """bare: without silence around them."""
    spoken = await speaker.say(said, "af_heart", "en")
    heard = await hear(recognizer, spoken if bare else joined([spoken], 0), "file", "en")
    names = "zero one two three four five six seven eight nine".split()
    written = "".join(str(names.index(word)) if word in names else word for word in words_of(heard, "en"))
    assert "".join(filter(str.isdigit, written)) == digits, heard


@pytest.mark.parametrize("gap_s", [0.7, 1.0, 2.5])
async def test_second_language_is_kept(recognizer: WhisperRecognizer, speaker: Speaker, gap_s: float) -> None:
    first, second = "The match was cancelled because of the snow.", "Dejé las llaves encima de la mesa."
    parts = [await speaker.say(first, "am_michael", "en"), await speaker.say(second, "ef_dora", "es")]
    segments = await transcribed(recognizer, joined(parts, gap_s))
    by_language = {
        language: text_of([one for one in segments if one.language == language]) for language in ("en", "es")
    }
    assert word_error_rate(first, by_language["en"], "en") <= 0.15, by_language
    assert word_error_rate(second, by_language["es"], "es") <= 0.15, by_language


async def test_quiet_and_cut_off_speech_is_heard(
    recognizer: WhisperRecognizer, speaker: Speaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Please put the blue folder on my desk."
    spoken = joined([await speaker.say(said, "bm_george", "en")], 0)
    quiet = spoken * np.float32(0.001 / np.abs(spoken).max())
    assert words_of(await hear(recognizer, quiet, "file", "en"), "en") == words_of(said, "en")
    # As in scripts of several tokens a letter; here by a shorter limit.
    for module in (recording_pass, plausibility):
        monkeypatch.setattr(module, "MAX_TOKENS", 14)
    spoken = joined([await speaker.say(LONG, "af_heart", "en")] * 2, 0.04)
    assert word_error_rate(f"{LONG} {LONG}", await hear(recognizer, spoken, "file", "en"), "en") <= 0.1


async def test_beginning_belongs_to_the_first_word(recognizer: WhisperRecognizer, speaker: Speaker) -> None:
    """The detector of voices finds a voice late that nothing comes before."""
    spoken = await speaker.say(LONG, "af_heart", "en")
    cutter = ChunkCutter(VoiceDetector().recording())
    (chunk,) = [*cutter.feed(spoken), *cutter.finish()]
    assert chunk.start == 0
    options = TranscriptionOptions(language="en")
    heard = [one async for one in recognizer.transcribe(pieces(spoken[: RATE // 2], silence(1)), options)]
    assert words_of(text_of(heard), "en")[:1] == ["you"]


@pytest.mark.parametrize("other", [-1.0, -0.8, 0.0, 0.5, 1.0])
async def test_channels_that_cancel_each_other_are_not_mixed(other: float) -> None:
    """As of a balanced line that was recorded in stereo."""
    sound = np.sin(np.arange(RATE, dtype=np.float32) / 20) * 0.5
    pcm = (np.stack([sound, sound * other], axis=1) * 32767).astype("<i2").tobytes()
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((2, 2, RATE, 0, "NONE", ""))
        written.writeframes(pcm)
    file.seek(0)
    expected = sound if other < 0 else sound * (1 + other) / 2
    with RecordingFile(file, RATE, 10) as recording:
        read = recording.read()
    for heard in (read, mono(pcm, AudioFormat(RATE, 2, 2))):
        assert heard is not None and np.allclose(heard, expected, atol=1e-3)
