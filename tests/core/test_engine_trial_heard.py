"""The trial of an engine with the server's own recogniser."""

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from kani.core.late_engine.trial import TRIAL_SENTENCES, TrialFailed, run_trial
from kani.core.types import Samples, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.whisper.engine import WhisperRecognizer
from tests.support.recorded import RATE, RecordedEngine, noise

pytestmark = [pytest.mark.heard, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WhisperRecognizer]:
    recognizer = WhisperRecognizer(models_dir=None, cache_dir=tmp_path_factory.mktemp("cache"))
    await recognizer.start()
    yield recognizer
    await recognizer.stop()


async def spoken(kokoro: KokoroEngine, text: str, language: str = "es") -> Samples:
    segment = Segment(text, kokoro.info.default_voices[language], language)
    return np.concatenate([chunk.samples async for chunk in kokoro.synthesize(segment)])


@pytest.mark.parametrize("language", ["es", "en", "fr", "it", "pt"])
async def test_natural_voice_passes(
    kokoro: KokoroEngine, recognizer: WhisperRecognizer, language: str
) -> None:
    engine = RecordedEngine(await spoken(kokoro, TRIAL_SENTENCES[language], language), language)
    await run_trial(engine, recognizer, language)
    assert [segment.text for segment in engine.segments] == [TRIAL_SENTENCES[language]]


def melody() -> Samples:
    steps = np.repeat([220.0, 247.0, 294.0, 330.0, 294.0, 247.0, 220.0], RATE // 2)
    return (0.3 * np.sin(2 * np.pi * np.cumsum(steps) / RATE)).astype(np.float32)


@pytest.mark.parametrize("samples", [noise(3.5), melody()], ids=["noise", "melody"])
async def test_sound_without_speech_fails(recognizer: WhisperRecognizer, samples: Samples) -> None:
    engine = RecordedEngine(samples)
    with pytest.raises(TrialFailed, match="0% of the words"):
        await run_trial(engine, recognizer, "es")
    assert len({segment.sampling.seed for segment in engine.segments}) == 2
