"""Live speech is heard whole however long a pass takes, which decides when the next one begins.

The passes are Whisper's own; only their times are set, so that a test is the same on each machine.
"""

from __future__ import annotations

import pytest

from benchmarks.recognition.hard_recordings import Speaker, joined
from engines.kokoro.engine import KokoroEngine
from engines.whisper.engine import WhisperRecognizer
from engines.whisper.passes import PassResult
from engines.whisper.stream import STEP_SAMPLES, RecognitionStream
from speech.recognizer import STEP_S, RecognizedWord
from speech.types import Samples
from tests.engines.whisper.conftest import silence
from tests.judges.judge import word_error_rate

pytestmark = [pytest.mark.heard, pytest.mark.asyncio(loop_scope="session")]

SAID = {
    "birds": (
        "en",
        "af_heart",
        "The birds are singing in the garden this morning. What shall we talk about today?",
    ),
    "train": (
        "en",
        "af_heart",
        "Good morning, the train to the mountains leaves from the other platform today. "
        "Please take your bags with you.",
    ),
    "table": (
        "es",
        "ef_dora",
        "Ahora vamos a poner la mesa para toda la familia. "
        "El médico me recomendó caminar media hora todos los días.",
    ),
}
PASSES_S = (0.15, 0.4, 0.5, 0.65, 1.0)


@pytest.fixture(scope="module")
def speaker(onnx_engine: KokoroEngine, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    return Speaker(onnx_engine, tmp_path_factory.mktemp("said"))


def heard_live(recognizer: WhisperRecognizer, samples: Samples, language: str | None, pass_s: float) -> str:
    """Return the words of speech that comes at real time, where each pass takes ``pass_s`` seconds."""
    now_s, ends_s = 0.0, 0.0
    stream = RecognitionStream(recognizer._detector.stream(), language, clock=lambda: now_s)
    result: PassResult | None = None

    def make_passes(until_s: float) -> None:
        nonlocal now_s, ends_s, result
        while True:
            if result is not None:
                if ends_s > until_s:
                    return
                now_s = max(now_s, ends_s)
                stream.finish_pass(result)
                result = None
            elif stream.pass_due:
                result, ends_s = recognizer._whisper.transcribe(stream.begin_pass()), now_s + pass_s
            else:
                return

    for at in range(0, len(samples), STEP_SAMPLES):
        make_passes(until_s=at / STEP_SAMPLES * STEP_S + STEP_S)
        while stream.full:
            make_passes(until_s=ends_s)
        now_s = max(now_s, at / STEP_SAMPLES * STEP_S + STEP_S)
        stream.feed(samples[at : at + STEP_SAMPLES])
    stream.end()
    while not stream.finished:
        make_passes(until_s=ends_s)
    return " ".join(event.text for event in stream.events if isinstance(event, RecognizedWord))


@pytest.mark.parametrize("name", SAID)
async def test_no_word_is_lost_or_repeated_however_long_a_pass_takes(
    recognizer: WhisperRecognizer, speaker: Speaker, name: str
) -> None:
    language, voice, text = SAID[name]
    speech = joined([silence(0.3), await speaker.say(text, voice, language), silence(1)], 0)
    for pass_s in PASSES_S:
        heard = heard_live(recognizer, speech, None, pass_s)
        # "Ahora vemos": one word of twenty, misheard in any way of listening.
        assert word_error_rate(text, heard, language) <= 0.05, (pass_s, heard)
