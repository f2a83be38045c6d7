"""Kyutai's recogniser by the contract of the recognisers, from a checkpoint on disk."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import random
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import torch
from safetensors.torch import load_file, save_file
from transformers import KyutaiSpeechToTextForConditionalGeneration, PreTrainedTokenizerFast

from kani.core.errors import Busy, EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.recognizer import Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.kyutai.batch import StepBatcher
from kani.engines.kyutai.engine import KyutaiRecognizer
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.kyutai.step import Frame, StepResult, Token
from kani.engines.plugin import Resources
from tests.engines.kyutai.conftest import FRAME, FRAMES, generated
from tests.engines.kyutai.random_checkpoint import DELAY_S

SLOTS = 3


def recognizer_of(model: str | Path, cache: Path, *, may_fetch: bool = False) -> KyutaiRecognizer:
    resources = Resources(cache, may_fetch=may_fetch, device="cpu", precision="float32")
    return KyutaiRecognizer(KyutaiSettings(model=str(model), slots=SLOTS), resources)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[KyutaiRecognizer]:
    made = recognizer_of(folder, tmp_path_factory.mktemp("cache"))
    await made.start()
    yield made
    await made.stop()


async def pieces(samples: Samples, size: int, *marks: Mark) -> AsyncIterator[Samples | Mark]:
    for at in range(0, len(samples), size):
        yield samples[at : at + size]
    for mark in marks:
        yield mark


async def recognized(
    recognizer: KyutaiRecognizer, samples: Samples, size: int, *marks: Mark
) -> list[RecognitionEvent]:
    return [event async for event in recognizer.recognize(pieces(samples, size, *marks), None)]


def words_of(folder: Path, samples: Samples) -> list[str]:
    """Words of transformers' tokens for a recording and the silence that the checkpoint wants after it."""
    model = KyutaiSpeechToTextForConditionalGeneration.from_pretrained(folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    silence = np.zeros(int((DELAY_S + 1) / 0.08 + 1) * FRAME, np.float32)
    tokens = generated(model, np.concatenate([samples, silence]))
    runs: list[list[int]] = [[]]
    # The text of the first frame stands at the sixth position.
    for token in tokens[5:]:
        if token in (0, 3):
            runs.append([])
        else:
            runs[-1].append(token)
    return " ".join(str(tokenizer.decode(run, skip_special_tokens=True)) for run in runs).split()


@pytest.mark.asyncio(loop_scope="module")
async def test_words_are_those_of_generate_however_the_audio_is_cut(
    recognizer: KyutaiRecognizer, folder: Path, recordings: list[Samples]
) -> None:
    samples = recordings[0]
    sizes = (300, FRAME, 7 * FRAME + 5, len(samples))
    found = await asyncio.gather(*(recognized(recognizer, samples, size, Mark(3)) for size in sizes[:SLOTS]))
    found.append(await recognized(recognizer, samples, sizes[-1], Mark(3)))
    # The last token of the silence is not asked of transformers.
    expected = words_of(folder, samples)[:-1]
    for events in found:
        words = [event for event in events if isinstance(event, RecognizedWord)]
        assert [word.text for word in words][: len(expected)] == expected and len(words) > 5
        starts = [word.start_s for word in words]
        assert starts == sorted(starts) and all(word.start_s <= word.end_s for word in words)
        assert [event.index for event in events if isinstance(event, Step)] == list(range(FRAMES))
        assert [event for event in events if isinstance(event, Mark)] == [Mark(3)]
        assert sum(len(event.voices) for event in events if isinstance(event, Step)) == FRAMES * 80 // 32


@pytest.mark.asyncio(loop_scope="module")
async def test_cancelled_streams_leave_nothing_behind(
    recognizer: KyutaiRecognizer, recordings: list[Samples]
) -> None:
    chance = random.Random(0)

    async def listen(events: int) -> None:
        taken = 0
        async for _ in recognizer.recognize(pieces(recordings[1], 3000), None):
            taken += 1
            if taken >= events:
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    async def cancel_some() -> None:
        tasks = [asyncio.create_task(listen(chance.randrange(1, 3))) for _ in range(20)]
        # Some are cancelled before they have a place, some while they wait for one.
        for task in chance.sample(tasks, 10):
            await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait(tasks)
        assert all(task.cancelled() for task in tasks)

    async def tensors() -> int:
        # After the steps that still run for them.
        await recognized(recognizer, recordings[1][:FRAME], FRAME)
        gc.collect()
        return sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())

    await cancel_some()
    before = await tensors()
    for _ in range(9):
        await cancel_some()
    assert await tensors() <= before
    assert recognizer.free_slots == SLOTS


@pytest.mark.asyncio(loop_scope="module")
async def test_recording_is_transcribed_to_the_same_words(
    recognizer: KyutaiRecognizer, recordings: list[Samples]
) -> None:
    live = await recognized(recognizer, recordings[2], FRAME)
    segments = [
        segment
        async for segment in recognizer.transcribe(
            pieces(recordings[2], 20_000),  # type: ignore[arg-type]
            TranscriptionOptions(language="fr"),
        )
    ]
    words = [word for segment in segments for word in segment.words]
    assert [word.text for word in words] == [word.text for word in live if isinstance(word, RecognizedWord)]
    assert "".join(segment.text for segment in segments).split() == [word.text for word in words]
    assert all(segment.language == "fr" and 0 <= segment.no_speech_probability <= 1 for segment in segments)
    with pytest.raises(InvalidRequest, match="does not translate"):
        await anext(recognizer.transcribe(pieces(recordings[2], FRAME), TranscriptionOptions(translate=True)))  # type: ignore[arg-type]


class ScriptedNetwork:
    """A network that fails for frames of negative samples."""

    slots = 2

    def step(self, frames: list[Frame]) -> list[StepResult]:
        if any(frame.samples[0] < 0 for frame in frames):
            raise RuntimeError("out of memory")
        return [StepResult((Token(3, 0, 0.0),), None) for _ in frames]


async def test_failed_step_ends_its_streams_alone() -> None:
    batcher = StepBatcher(ScriptedNetwork(), ThreadPoolExecutor(1), wait_s=0)
    good, bad = np.ones(FRAME, np.float32), -np.ones(FRAME, np.float32)
    async with batcher.stream() as first:
        async with batcher.stream() as second:
            with pytest.raises(Busy, match="all 2 streams"):
                async with batcher.stream():
                    raise AssertionError
            with pytest.raises(EngineFailed):
                await batcher.step(second, bad)
        assert await batcher.step(first, good)
    assert batcher.free_slots == 2


def _edit(name: str, **entries: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    return edit


def _drop_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.fc1.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def _tamper(folder: Path) -> None:
    """As the hub's cache has it: a link to a file that is named by its SHA-256."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    blob = folder / hashlib.sha256(content).hexdigest()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    path.unlink()
    path.symlink_to(blob.name)


def _add_heads(folder: Path) -> None:
    save_file({"extra_heads.0.weight": torch.zeros(6, 32)}, folder / "heads.safetensors")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (_edit("config.json", model_type="lfm2"), "model_type 'lfm2', not 'kyutai_speech_to_text'"),
        (_edit("config.json", hidden_size=64), "cannot be loaded"),
        (_edit("config.json", hidden_size="wide"), "hidden_size"),
        (_edit("config.json", sliding_window=None), "sliding_window"),
        (_edit("config.json", bos_token_id=10**6), "bos_token_id is 1000000"),
        (_edit("preprocessor_config.json", audio_delay_seconds=-1), "audio_delay_seconds is -1"),
        (_cut, "model.safetensors is not a safetensors file"),
        (_tamper, "model.safetensors in the cache fails its SHA-256: delete it"),
        (_drop_weight, "model.layers.1.mlp.fc1.weight is missing"),
        (_add_heads, "extra_heads has to be 4 matrices"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer of .* cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no file 'model.safetensors'"),
    ],
)
async def test_unsuitable_checkpoint_is_refused_with_the_file_and_the_cure(
    folder: Path, tmp_path: Path, damage: Callable[[Path], None], complaint: str
) -> None:
    broken = shutil.copytree(folder, tmp_path / "stt-1b-en_fr")
    # Which token begins a text is then the config's own entry.
    _edit("generation_config.json", bos_token_id=None)(broken)
    damage(broken)
    recognizer = recognizer_of(broken, tmp_path)
    with pytest.raises(EngineUnavailable, match=complaint) as refused:
        await recognizer.start()
    assert "--recognizer whisper" in str(refused.value) and str(tmp_path) not in str(refused.value)
    await recognizer.stop()


async def test_checkpoint_that_is_not_here_is_refused_with_the_cure(tmp_path: Path) -> None:
    recognizer = recognizer_of("kyutai/stt-2.6b-en-trfs@main", tmp_path)
    assert recognizer.info.languages == {"en"}
    with pytest.raises(EngineUnavailable, match="is not here, and is not fetched unasked or with --no-fetch"):
        await recognizer.start()
    await recognizer.stop()
