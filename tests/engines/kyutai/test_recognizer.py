"""Kyutai's recogniser: the network beside transformers' own, the words of tokens, and the contract."""

from __future__ import annotations

import asyncio
import gc
import random
import shutil
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import torch
from safetensors.torch import load_file, save_file
from transformers import KyutaiSpeechToTextForConditionalGeneration, PreTrainedTokenizerFast

from kani.core.errors import Busy, EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.kyutai.batch import StepBatcher
from kani.engines.kyutai.checkpoint import quantise
from kani.engines.kyutai.delays import Delays
from kani.engines.kyutai.engine import KyutaiRecognizer
from kani.engines.kyutai.network import Network
from kani.engines.kyutai.settings import KyutaiSettings
from kani.engines.kyutai.step import Frame, StepResult, Stream, Token
from kani.engines.kyutai.stream import RecognitionStream
from kani.engines.kyutai.words import END_OF_PADDING, MAX_WORD_TOKENS, WordAssembler
from kani.engines.plugin import Resources
from tests.engines.checkpoints import Damage, changed, cut, edited, removed, tampered
from tests.engines.kyutai.random_checkpoint import DELAY_S, TINY, random_checkpoint, random_model

FRAME = 1920
FRAMES = 40
"""Frames of each recording: thrice as many as the tiny model's windows have."""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint on disk. Read-only."""
    return random_checkpoint(tmp_path_factory.mktemp("kyutai") / "stt-1b-en_fr")


@pytest.fixture(scope="session")
def recordings() -> list[Samples]:
    """Noise with a loudness that changes with each frame, so that its codes do."""
    chance = np.random.default_rng(1)
    return [
        (chance.standard_normal(FRAME * FRAMES) * chance.uniform(0.05, 0.8, FRAMES).repeat(FRAME)).astype(
            np.float32
        )
        for _ in range(4)
    ]


def generated(model: Any, samples: Samples) -> list[int]:
    """Text tokens that transformers' ``generate`` writes for a recording, one a frame."""
    with torch.inference_mode():
        values = torch.from_numpy(samples)[None, None].to(model.dtype)
        tokens = model.generate(
            input_values=values,
            padding_mask=torch.ones(1, len(samples)),
            audio_window_size=1,
            do_sample=False,
        )
    return [int(token) for token in tokens[0, 1:]]


PAD, W = 3, END_OF_PADDING
DELAYS = Delays(before=0, text=6, after=19)
TEXTS = {10: " The", 11: " train", 12: "ing", 13: ".", 14: " New York", 1: ""}


def decode(tokens: Sequence[int]) -> str:
    return "".join(TEXTS.get(token, " x") for token in tokens)


def assembled(tokens: Sequence[int], first: int = 5) -> list[tuple[str, int, int]]:
    """Text, start and end in frames of the words of tokens; the first is that of audio at 0 s."""
    words = WordAssembler(DELAYS, PAD, decode)
    found = [word for at, number in enumerate(tokens, first) for word in words.take(Token(number, at, -0.1))]
    return [(word.text, round(word.start_s / STEP_S), round(word.end_s / STEP_S)) for word in found]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([PAD, W, 10, PAD, W, 11, 12, PAD], [("The", 1, 3), ("training", 4, 7)]),
        ([W, 10, W, 11, 13, W], [("The", 0, 2), ("train.", 2, 5)]),
        # Without its token before it, a word begins with its first piece.
        ([PAD, 10, PAD, PAD, 11, PAD], [("The", 1, 2), ("train", 4, 5)]),
        # Two words in one piece share its time.
        ([W, 14, PAD, PAD], [("New", 0, 1), ("York", 1, 2)]),
        ([W, 1, PAD, W, 10, PAD], [("The", 3, 5)]),
        ([W, W, PAD, W], []),
        ([W, *[10] * (MAX_WORD_TOKENS + 1)], [("The", at, at + 1) for at in range(MAX_WORD_TOKENS)]),
    ],
)
def test_tokens_are_joined_to_words_with_times(
    tokens: Sequence[int], words: list[tuple[str, int, int]]
) -> None:
    assert assembled(tokens) == words


def test_tokens_before_the_audio_are_no_words() -> None:
    assert assembled([10, PAD, W, 11, PAD], first=0) == []
    assert assembled([10, PAD, W, 11, PAD], first=3) == [("train", 0, 2)]


def test_word_does_not_begin_before_the_end_of_the_last_one() -> None:
    words = WordAssembler(DELAYS, PAD, decode)
    found = []
    for number, position, ended_s in ((10, 6, 1.0), (11, 8, 1.2)):
        words.take(Token(number, position, -0.1))
        found += words.finish(ended_s)
    assert [(word.start_s, word.end_s) for word in found] == [(DELAYS.time_s(6), 1.0), (1.0, 1.2)]


def test_pause_is_likely_only_behind_the_last_word() -> None:
    """Speech of 1 s, its last word written 0.5 s later; then silence."""
    stream = RecognitionStream(DELAYS, WordAssembler(DELAYS, PAD, decode))
    written = {12: W, 13: 10, 14: PAD, 16: W, 17: 11, 18: 12, 19: 12, 20: 12, 21: 13, 22: PAD}
    stream.add_mark(Mark(1), at_s=5 * STEP_S)
    stream.add_mark(Mark(2), at_s=13 * STEP_S)
    for at in range(50):
        tokens = (Token(written.get(at + 1, PAD), at + 1, -0.1),)
        stream.take(StepResult(tokens, None), [0.9 if at < 12 else 0.01] * (2 + at % 2))
    events = list(stream.events)
    kinds = [event.index if isinstance(event, Step) else event for event in events]
    texts = [event.text for event in events if not isinstance(event, Step | Mark)]
    assert texts == ["The", "traininginging."]
    likely = next(e.index for e in events if isinstance(e, Step) and e.pause_probabilities[2] >= 0.6)
    last_word = next(i for i, e in enumerate(events) if getattr(e, "text", "") == texts[-1])
    assert last_word < kinds.index(likely) and likely == 21
    # A mark waits for the words that begin before it: here for the delay, then for the last word's end.
    assert kinds.index(9) < kinds.index(Mark(1)) < kinds.index(11)
    assert last_word < kinds.index(Mark(2)) < kinds.index(22)
    assert [e.pause_probabilities[0] for e in events if isinstance(e, Step)][5] == 0


def test_end_of_the_audio_ends_the_last_word() -> None:
    stream = RecognitionStream(DELAYS, WordAssembler(DELAYS, PAD, decode))
    for at, number in enumerate((W, 10), 5):
        stream.take(StepResult((Token(number, at, -0.1),), None), [0.9])
    stream.add_mark(Mark(1), at_s=2 * STEP_S)
    stream.finish()
    word, mark = list(stream.events)[-2:]
    assert (getattr(word, "text", ""), mark) == ("The", Mark(1))


FIRST_TOKEN = TINY["bos_token_id"]
SLOTS = 3


@pytest.fixture(scope="module")
def model() -> Any:
    """The tiny model in float64, so that rounding decides no token."""
    return random_model().double()


@pytest.fixture(scope="module")
def expected(model: Any, recordings: list[Samples]) -> list[list[int]]:
    tokens = [generated(model, samples) for samples in recordings]
    # A model that hears nothing would be equal by any bug.
    assert len({tuple(one) for one in tokens}) == len(tokens) and len(set(tokens[0])) > 10
    return tokens


def frame_of(samples: Samples, at: int) -> Samples:
    return samples[at * FRAME : (at + 1) * FRAME]


def heard(network: Network, samples: Samples, count: int) -> list[int]:
    """Tokens of the first frames of a recording, by itself."""
    stream = Stream(0)
    frames = ([Frame(stream, frame_of(samples, at))] for at in range(count))
    return [token.number for frame in frames for token in network.step(frame)[0].tokens]


@pytest.mark.parametrize("seed", range(3))
def test_streams_that_join_and_leave_have_the_tokens_of_generate(
    model: Any, recordings: list[Samples], expected: list[list[int]], seed: int
) -> None:
    network = Network(model, None, slots=SLOTS, first_token=FIRST_TOKEN)
    chance = random.Random(seed)
    waiting = [0, 1, 2, 3, 0, 1]
    running: dict[int, tuple[int, Stream, list[int], int]] = {}
    while waiting or running:
        free = [row for row in range(SLOTS) if row not in running]
        if waiting and free and chance.random() < 0.3:
            # One in three is cancelled on its way: its row is taken over in whatever state it is.
            frames = FRAMES if len(waiting) % 3 else chance.randrange(1, FRAMES)
            row = chance.choice(free)
            running[row] = (waiting.pop(), Stream(row), [], frames)
        batch = [row for row in running if chance.random() < 0.8]
        chance.shuffle(batch)
        if not batch:
            continue
        frames_now = [
            Frame(
                running[row][1], frame_of(recordings[running[row][0]], max(0, running[row][1].position - 1))
            )
            for row in batch
        ]
        for row, result in zip(batch, network.step(frames_now), strict=True):
            number, stream, tokens, frames = running[row]
            tokens += [token.number for token in result.tokens]
            if stream.position > frames:
                assert tokens[:FRAMES] == expected[number][: len(tokens)]
                del running[row]


def test_pause_heads_read_the_hidden_state_behind_each_frame(
    model: Any, recordings: list[Samples], expected: list[list[int]]
) -> None:
    # Within the window one pass over all positions is the same as frame after frame.
    count = TINY["sliding_window"] - 1
    heads = torch.randn(4, 6, TINY["hidden_size"], generator=torch.Generator().manual_seed(5)).double()
    network = Network(model, heads, slots=1, first_token=FIRST_TOKEN)
    stream = Stream(0)
    found = [network.step([Frame(stream, frame_of(recordings[0], at))])[0].pauses for at in range(count)]
    with torch.inference_mode():
        values = torch.from_numpy(recordings[0][: count * FRAME])[None, None].double()
        codes = model.codec_model.encode(values).audio_codes.transpose(1, 2)
        begin = torch.full_like(codes[:, :1], TINY["audio_bos_token_id"])
        text = torch.tensor([[FIRST_TOKEN, *expected[0][:count]]])
        ids = torch.cat([text[..., None], torch.cat([begin, codes], 1)], 2)
        hidden = model.model(input_ids=ids).last_hidden_state[0, 1:]
        wanted = (hidden @ heads.transpose(1, 2)).softmax(-1)[..., 0].T
    assert torch.allclose(torch.tensor(found, dtype=torch.float64), wanted, atol=1e-6)
    assert wanted.std() > 0.01


def test_streams_in_int8_do_not_hear_their_neighbours(recordings: list[Samples]) -> None:
    count = FRAMES // 2
    model = random_model()
    quantise(model)
    network = Network(model, None, slots=2, first_token=FIRST_TOKEN)
    alone = [heard(network, one, count) for one in recordings[:2]]
    streams = [Stream(1), Stream(0)]
    beside: list[list[int]] = [[], []]
    for at in range(count):
        frames = [Frame(stream, frame_of(one, at)) for stream, one in zip(streams, recordings, strict=False)]
        for tokens, result in zip(beside, network.step(frames), strict=True):
            tokens += [token.number for token in result.tokens]
    assert beside == alone


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


def _drop_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.fc1.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def _add_heads(folder: Path) -> None:
    save_file({"extra_heads.0.weight": torch.zeros(6, 32)}, folder / "heads.safetensors")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (edited("config.json", model_type="lfm2"), "model_type 'lfm2', not 'kyutai_speech_to_text'"),
        (edited("config.json", hidden_size=64), "cannot be loaded"),
        (edited("config.json", hidden_size="wide"), "hidden_size"),
        (edited("config.json", sliding_window=None), "sliding_window"),
        (edited("config.json", bos_token_id=10**6), "bos_token_id is 1000000"),
        (edited("preprocessor_config.json", audio_delay_seconds=-1), "audio_delay_seconds is -1"),
        (cut("model.safetensors"), "model.safetensors is not a safetensors file"),
        (tampered("model.safetensors"), "model.safetensors in the cache fails its SHA-256: delete it"),
        (_drop_weight, "model.layers.1.mlp.fc1.weight is missing"),
        (_add_heads, "extra_heads has to be 4 matrices"),
        (removed("tokenizer.json"), "has no tokenizer.json"),
        (changed("tokenizer.json", "{}"), "tokenizer of .* cannot be read"),
        (removed("model.safetensors"), "has no file 'model.safetensors'"),
    ],
)
async def test_unsuitable_checkpoint_is_refused_with_the_file_and_the_cure(
    folder: Path, tmp_path: Path, damage: Damage, complaint: str
) -> None:
    broken = shutil.copytree(folder, tmp_path / "stt-1b-en_fr")
    # Which token begins a text is then the config's own entry.
    edited("generation_config.json", bos_token_id=None)(broken)
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
