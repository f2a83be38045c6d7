"""Live speech is heard whole however long a pass takes, which decides when the next one begins.

The passes are Whisper's own; only their times are set, so that a test is the same on each machine.
"""

from __future__ import annotations

import pytest

from benchmarks.recognition.hard_recordings import Speaker, joined
from kani.core.recognizer import STEP_S, RecognizedWord
from kani.core.types import Samples
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.live_pass import transcribe
from kani.runtime.recognition.passes import PassResult
from kani.runtime.recognition.stream import STEP_SAMPLES, RecognitionStream
from tests.engines.whisper.conftest import silence
from tests.judges.judge import edit_distance, words_of

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


class Listening:
    """Live speech at real time, by a clock of its own; each pass takes ``pass_s`` seconds of it."""

    def __init__(self, recognizer: WhisperRecognizer, pass_s: float) -> None:
        self.now_s = 0.0
        self._whisper = recognizer._whisper
        self._pass_s = pass_s
        self._stream = RecognitionStream(recognizer._detector.stream(), None, clock=lambda: self.now_s)
        self._running: tuple[float, PassResult] | None = None  # when it ends

    def hear(self, samples: Samples) -> str:
        """Return the words of a stream that ends after ``samples``."""
        for number, at in enumerate(range(0, len(samples), STEP_SAMPLES), 1):
            self._pass_time(number * STEP_S)
            while self._stream.full:
                self._end_pass()
            self._stream.feed(samples[at : at + STEP_SAMPLES])
        self._stream.end()
        while not self._stream.finished:
            self._end_pass()
        return " ".join(event.text for event in self._stream.events if isinstance(event, RecognizedWord))

    def _pass_time(self, until_s: float) -> None:
        self._begin_pass()
        while self._running is not None and self._running[0] <= until_s:
            self._end_pass()
        self.now_s = max(self.now_s, until_s)

    def _begin_pass(self) -> None:
        if self._running is None and self._stream.pass_due:
            self._running = self.now_s + self._pass_s, transcribe(self._whisper, self._stream.begin_pass())

    def _end_pass(self) -> None:
        """Go on to the end of the pass that runs or is due, and begin the next one."""
        self._begin_pass()
        assert self._running is not None
        ends_s, result = self._running
        self.now_s, self._running = max(self.now_s, ends_s), None
        self._stream.finish_pass(result)
        self._begin_pass()


@pytest.mark.parametrize("name", SAID)
async def test_no_word_is_lost_or_repeated_however_long_a_pass_takes(
    recognizer: WhisperRecognizer, speaker: Speaker, name: str
) -> None:
    language, voice, text = SAID[name]
    speech = joined([silence(0.3), await speaker.say(text, voice, language), silence(1)], 0)
    for pass_s in PASSES_S:
        heard = words_of(Listening(recognizer, pass_s).hear(speech), language)
        said = words_of(text, language)
        # One word may be heard as another: the speech differs in its last bits with the number of threads.
        assert len(heard) == len(said), (pass_s, heard)
        assert edit_distance(said, heard) <= 1, (pass_s, heard)
