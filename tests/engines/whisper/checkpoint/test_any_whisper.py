"""Checkpoints of every kind, judged by CTranslate2 and faster-whisper; the base heard from a folder."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import tokenizers
from faster_whisper.tokenizer import Tokenizer

from kani.core.recognizer import Mark, RecognizedWord, Step
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.whisper.checkpoint import live_delay
from kani.engines.whisper.checkpoint.contents import read_contents
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.model import LANGUAGES, Whisper
from kani.runtime.recognition.local_agreement import HypothesisWord
from tests.engines.whisper.checkpoint.conftest import Checkpoint
from tests.engines.whisper.checkpoint.random_checkpoint import KINDS, MELS, Kind, base_as_folder
from tests.engines.whisper.conftest import RATE, Said, silence
from tests.judges.judge import words_of

pytestmark = [pytest.mark.heard, pytest.mark.asyncio(loop_scope="session")]

SECONDS = 3.0
LANGUAGES_OF: dict[Kind, set[str]] = {
    "multilingual": {*LANGUAGES},
    "large-v3": {*LANGUAGES, "yue"},
    "english": {"en"},
}

END = {"multilingual": 50_257, "large-v3": 50_257, "english": 50_256}


@pytest.fixture(autouse=True)
def _fast_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the machine does, live speech is recognised."""
    monkeypatch.setattr(live_delay, "LONGEST_S", math.inf)


@pytest.fixture
def noise() -> Samples:
    return np.random.default_rng(3).normal(0.0, 0.1, round(SECONDS * RATE)).astype(np.float32)


async def once(*parts: Samples) -> AsyncIterator[Samples | Mark]:
    for part in parts:
        yield part


@pytest.mark.parametrize("kind", KINDS)
async def test_prompt_is_that_of_faster_whisper(checkpoint: Checkpoint, kind: Kind) -> None:
    folder = checkpoint(kind)
    whisper = Whisper(read_contents(folder).files, 1)
    assert {*whisper.languages} == LANGUAGES_OF[kind]
    read = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    for task in ("transcribe", "translate"):
        judge = Tokenizer(read, whisper.languages != ("en",), task=task, language="en")
        prompt = whisper.prompt("Zandrell, Tolliwen.", "en", translate=task == "translate")
        begin = prompt.index(judge.sot)
        assert prompt[begin:] == list(judge.sot_sequence)
        assert read.decode(prompt[2:begin]) == " Zandrell, Tolliwen." and prompt[0] == judge.sot_prev


@pytest.mark.parametrize("kind", KINDS)
async def test_answer_is_that_of_the_plain_model(checkpoint: Checkpoint, kind: Kind, noise: Samples) -> None:
    """The exchange of two tokens' names changes no answer, and no time, whatever precedes it."""
    folder = checkpoint(kind)
    whisper = Whisper(read_contents(folder).files, 1)
    plain = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8", intra_threads=1)
    assert plain.n_mels == MELS[kind]
    encoded = whisper.encode(noise)
    prompt = [*whisper.prompt("Zandrell, Tolliwen.", "en", translate=False), whisper._no_timestamps]
    found = whisper.generate(encoded, "en", (), 12, 1, whisper.tokens_before("Zandrell, Tolliwen."))
    never = whisper._never("en", latin=True)
    (answer,) = plain.generate(
        encoded, [prompt], beam_size=1, max_length=12 + len(prompt), suppress_tokens=never
    )
    assert found and found == [token for token in answer.sequences_ids[0] if token < END[kind]]


@pytest.mark.parametrize("kind", KINDS)
async def test_random_checkpoint_listens_and_transcribes(
    checkpoint: Checkpoint, kind: Kind, noise: Samples, tmp_path: Path, said: dict[str, Said]
) -> None:
    made = WhisperRecognizer(models_dir=None, cache_dir=tmp_path, model=str(checkpoint(kind)))
    assert made.info.languages == frozenset()
    await made.start()
    assert made.info.languages == LANGUAGES_OF[kind] and made.info.version == f"whisper-{kind} int8"
    speech = said["en"].samples
    events = [event async for event in made.recognize(once(speech, silence(1)), None)]
    assert sum(isinstance(event, Step) for event in events) == (len(speech) + RATE) // 1280

    async def recording() -> AsyncIterator[Samples]:
        yield speech

    found = [one async for one in made.transcribe(recording(), TranscriptionOptions())]
    assert all(one.language in LANGUAGES_OF[kind] for one in found)
    await made.stop()


async def test_align_gives_times_of_a_model_of_one_language(checkpoint: Checkpoint, noise: Samples) -> None:
    whisper = Whisper(read_contents(checkpoint("english")).files, 1)
    words = [HypothesisWord("a", (11,)), HypothesisWord("b", (12, 13))]
    timed, probability = whisper.align(whisper.encode(noise), "en", (), words, SECONDS)
    assert [one.word for one in timed] == words and probability < 0
    assert 0 <= timed[0].start_s <= timed[0].end_s <= timed[1].end_s <= SECONDS


@pytest.mark.parametrize("kind", KINDS)
async def test_expected_words_stay_within_the_models_context(checkpoint: Checkpoint, kind: Kind) -> None:
    whisper = Whisper(read_contents(checkpoint(kind)).files, 1)
    many = ", ".join(f"Zandrell {number}" for number in range(2_000))
    before = whisper.tokens_before(many)
    assert len(before) == 220 and whisper.text_of(before).endswith("Zandrell 1999")
    assert len(whisper.prompt(many, "en", translate=False)) <= 448 - 224 + 2


async def test_base_from_a_folder_hears_the_same_words(
    recognizer: WhisperRecognizer, said: dict[str, Said], tmp_path: Path
) -> None:
    folder = base_as_folder(tmp_path / "whisper-base")
    made = WhisperRecognizer(models_dir=None, cache_dir=tmp_path, model=str(folder))
    await made.start()
    assert made.info.languages == recognizer.info.languages
    for language, one in said.items():
        audio = silence(0.3), one.samples, silence(1)
        heard = [
            [event async for event in each.recognize(once(*audio), language)] for each in (recognizer, made)
        ]
        assert heard[0] == heard[1]
        words = " ".join(event.text for event in heard[1] if isinstance(event, RecognizedWord))
        assert words_of(words, language) == words_of(one.text, language)
    await made.stop()
