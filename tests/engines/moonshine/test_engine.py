"""Moonshine: its networks beside transformers' own, its recogniser, and checkpoints that are refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soxr
import torch
from safetensors.torch import load_file, save_file

from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.recognizer import STEP_S, Mark, RecognitionEvent, RecognizedWord, Step
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.espeak.client import EspeakClient
from kani.engines.moonshine.checkpoint import FRAME_SAMPLES, ROW_S, Weights, read_sizes
from kani.engines.moonshine.decoder import Decoder
from kani.engines.moonshine.decoding_loop import DecodingLoop, Pass, StreamState
from kani.engines.moonshine.encoder import Encoder
from kani.engines.moonshine.engine import MoonshineRecognizer
from kani.engines.moonshine.model import Moonshine
from kani.engines.moonshine.settings import MoonshineSettings
from kani.engines.moonshine.words import timed_words, token_ends
from kani.engines.plugin import Resources
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.passes import PassInput
from tests.engines.moonshine.random_checkpoint import random_checkpoint, random_model, tokenizer_of
from tests.support.espeak_audio import audio


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint on disk. Read-only."""
    return random_checkpoint(tmp_path_factory.mktemp("moonshine") / "moonshine-streaming-tiny")


@pytest.fixture(scope="session")
def speech() -> Samples:
    """Two sentences with a second of silence after each, at 16 kHz."""
    client = EspeakClient.shared()
    parts = []
    for text in ("The old bakery opens early in the morning.", "There is fresh bread on the table."):
        said = audio(client, text, "en-us").astype(np.float32) / 2**15
        parts += [soxr.resample(said, client.sample_rate, 16_000), np.zeros(16_000, np.float32)]
    return np.concatenate(parts).astype(np.float32)


def sound(seconds: float, seed: int = 1) -> Samples:
    """Noise with a colour and a loudness that change every tenth of a second."""
    chance = np.random.default_rng(seed)
    parts = []
    for _ in range(round(10 * seconds)):
        colour = chance.standard_normal(int(chance.integers(2, 40)))
        parts.append(chance.uniform(0.02, 0.5) * np.convolve(chance.standard_normal(1600), colour, "same"))
    return np.concatenate(parts).astype(np.float32)


def encoded(model: Any, samples: Samples) -> torch.Tensor:
    """Rows of transformers' encoder for all of a recording's whole frames."""
    whole = torch.tensor(samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES])[None]
    # Without a mask transformers' encoder has no windows.
    mask = torch.ones(whole.shape, dtype=torch.long)
    with torch.inference_mode():
        rows = model.model.encoder(whole.to(model.dtype), attention_mask=mask)
    return torch.Tensor(rows.last_hidden_state[0])


def generated(model: Any, samples: Samples, prefix: tuple[int, ...], most: int) -> list[int]:
    """Tokens that transformers' ``generate`` writes after ``prefix``, the one that ends the text included."""
    whole = torch.tensor(samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES])[None]
    begun = [model.config.bos_token_id, *prefix]
    with torch.inference_mode():
        tokens = model.generate(
            input_values=whole.to(model.dtype),
            attention_mask=torch.ones(whole.shape, dtype=torch.long),
            decoder_input_ids=torch.tensor([begun]),
            max_new_tokens=most,
            do_sample=False,
        )
    return [int(token) for token in tokens[0, len(begun) :]]


def attention(*rows: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Tokens that attend to so many rows each, one after the other, and all of them to the first row."""
    whole = np.full((len(rows), sum(rows)), 0.01, np.float32)
    at = 0
    for token, count in enumerate(rows):
        whole[token, at : at + count] = 0.5
        at += count
    whole[:, 0] = 0.9
    return whole


@pytest.mark.parametrize("rows", [(4, 6, 5), (1, 9), (7,), (3, 3, 3, 3, 30)])
def test_rows_are_divided_where_the_attention_moves_on(rows: tuple[int, ...]) -> None:
    assert token_ends(attention(*rows)).tolist() == np.cumsum(rows).tolist()


def test_token_without_attention_of_its_own_has_no_time() -> None:
    found = attention(5, 5, 5)
    found[1] = 0.01
    first, second, last = token_ends(found)
    assert first <= second <= last == 15 and first >= 5


def test_words_have_the_times_of_their_tokens_after_those_that_are_known() -> None:
    words = [HypothesisWord("Long", (5, 6)), HypothesisWord("ago.", (7,))]
    # A known token, three of the words, and the end of the text.
    timed = timed_words(words, 1, attention(10, 5, 6, 7, 20), [-0.1, -2.0, -0.5])
    rows = [time_s / ROW_S for one in timed for time_s in (one.start_s, one.end_s)]
    assert rows == pytest.approx([10, 21, 21, 28])
    assert [one.probability for one in timed] == pytest.approx([math.exp(-2), math.exp(-0.5)])
    assert timed_words([], 1, attention(3, 3), []) == ()


MOST = 30
STREAMS, PASSES = 4, 8
RATE = 16_000


@pytest.fixture(scope="module")
def model() -> Any:
    """Transformers' own, with the weights of ``folder``."""
    return random_model().double()


@pytest.fixture(scope="module")
def networks(folder: Path) -> tuple[Encoder, Decoder]:
    encoder, decoder = read_sizes(folder)
    weights = Weights.of_folder(folder, torch.float64)
    return Encoder(weights, encoder), Decoder(weights, decoder, encoder.width)


@pytest.fixture
def loop(networks: tuple[Encoder, Decoder]) -> Iterator[DecodingLoop]:
    made = DecodingLoop(*networks)
    yield made
    made.stop()


def never() -> bool:
    return False


def answer(
    loop: DecodingLoop, state: StreamState, samples: Samples, *prefix: int, start: int = 0
) -> list[int]:
    """The tokens of a pass."""
    found = loop.run(Pass(state, samples, start, prefix, MOST, never))
    assert found.attention.shape[0] == 1 + len(prefix) + len(found.tokens)
    return list(found.tokens)


def expected(model: Any, samples: Samples, *prefix: int) -> list[int]:
    tokens = generated(model, samples, prefix, MOST)
    return [token for token in tokens if token not in model.config.eos_token_id]


@pytest.mark.parametrize("sizes", [(80,), (80, 160, 240, 1120), (2400,), (16_000, 80, 4000)])
def test_encoder_gives_transformers_rows_after_every_step(
    networks: tuple[Encoder, Decoder], model: Any, sizes: tuple[int, ...]
) -> None:
    samples = sound(2)
    stream = networks[0].stream()
    final = torch.zeros(0, 32, dtype=torch.float64)
    at, step = 0, 0
    with torch.inference_mode():
        while at < len(samples):
            until = min(at + sizes[step % len(sizes)], len(samples))
            rows = stream.feed(torch.tensor(samples[at:until]))
            at, step = until, step + 1
            final = torch.cat([final, rows.final])
            if step % 5 and at < len(samples):
                continue
            whole = encoded(model, samples[:at])
            torch.testing.assert_close(torch.cat([final, rows.provisional]), whole, rtol=0, atol=1e-9)
    # Its layers look two, none, none and three rows ahead.
    assert len(final) == len(samples) // 320 - 5


def test_tokens_are_those_of_generate_for_streams_that_join_and_leave(loop: DecodingLoop, model: Any) -> None:
    """Each stream hears more and more of its audio; after some passes it decides tokens, or drops audio."""
    recordings = [sound(3, seed) for seed in range(STREAMS)]

    def hear(number: int) -> list[tuple[Samples, tuple[int, ...], list[int]]]:
        chance = np.random.default_rng(number)
        state, samples = loop.stream(), recordings[number]
        start, until, prefix = 0, int(RATE * chance.uniform(0.3, 0.8)), tuple[int, ...]()
        heard = []
        for _ in range(PASSES):
            window = samples[start:until]
            tokens = answer(loop, state, window, *prefix, start=start)
            heard.append((window, prefix, tokens))
            if chance.random() < 0.5:
                prefix += tuple(tokens[: int(chance.integers(0, 3))])
            if chance.random() < 0.2:
                start, prefix = start + int(chance.integers(1, 4000)), prefix[-2:]
            until = min(until + int(chance.integers(1000, 6000)), len(samples))
        return heard

    with ThreadPoolExecutor(STREAMS) as pool:
        passes = [each for heard in pool.map(hear, range(STREAMS)) for each in heard]
    assert len(passes) == STREAMS * PASSES >= 25
    found = [tokens for _, _, tokens in passes]
    assert found == [expected(model, window, *prefix) for window, prefix, _ in passes]
    assert len({tuple(tokens) for tokens in found}) > PASSES and np.mean([len(each) for each in found]) > 2


def test_pass_that_confirms_the_last_answer_takes_one_step(loop: DecodingLoop, model: Any) -> None:
    samples, state = sound(1), loop.stream()
    first = answer(loop, state, samples)
    before = loop.steps
    assert answer(loop, state, samples) == first == expected(model, samples) and first
    assert loop.steps == before + 1


def test_stopped_pass_leaves_the_loop_and_failed_audio_ends_its_own_pass(loop: DecodingLoop) -> None:
    samples = sound(1)
    stopped = loop.run(Pass(loop.stream(), samples, 0, (), MOST, lambda: True))
    assert stopped.tokens == () and not stopped.ended
    # More than the thousand positions of the checkpoint.
    with pytest.raises(RuntimeError, match="the checkpoint has 1000"):
        loop.run(Pass(loop.stream(), np.tile(samples, 21), 0, (), MOST, never))
    assert loop.run(Pass(loop.stream(), samples[: FRAME_SAMPLES - 1], 0, (), MOST, never)).ended
    assert answer(loop, loop.stream(), samples)


def test_int8_hears_alone_what_it_hears_beside_others(folder: Path) -> None:
    sizes = read_sizes(folder)
    weights = Weights.of_folder(folder, torch.int8)
    loop = DecodingLoop(Encoder(weights, sizes[0]), Decoder(weights, sizes[1], sizes[0].width))
    recordings = [sound(1, seed) for seed in range(STREAMS)]
    alone = [answer(loop, loop.stream(), samples) for samples in recordings]
    with ThreadPoolExecutor(STREAMS) as pool:
        beside = list(pool.map(lambda samples: answer(loop, loop.stream(), samples), recordings * 2))
    loop.stop()
    assert beside == alone * 2 and len(set(map(tuple, alone))) > 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[MoonshineRecognizer]:
    resources = Resources(tmp_path_factory.mktemp("cache"), precision="float32")
    made = MoonshineRecognizer(MoonshineSettings(model=str(folder)), resources)
    await made.start()
    yield made
    await made.stop()
    with pytest.raises(EngineFailed, match="not running"):
        await anext(made.recognize(pieces(torch.zeros(9).numpy(), 9), None))


async def pieces(samples: Samples, size: int, *marks: Mark) -> AsyncIterator[Any]:
    for at in range(0, len(samples), size):
        yield samples[at : at + size]
    for mark in marks:
        yield mark


async def recognized(
    recognizer: MoonshineRecognizer, samples: Samples, size: int, *marks: Mark
) -> list[RecognitionEvent]:
    return [event async for event in recognizer.recognize(pieces(samples, size, *marks), "en")]


def words_of(events: list[RecognitionEvent]) -> list[RecognizedWord]:
    return [event for event in events if isinstance(event, RecognizedWord)]


def test_a_pass_gives_the_words_of_generate_and_their_times(folder: Path, speech: Samples) -> None:
    model: Any = random_model().double()
    samples = speech[: 2 * RATE]
    tokens = generated(model, samples, (), 38)
    assert tokens[-1] in model.config.eos_token_id
    moonshine = Moonshine(folder, torch.float64, "en")
    result = moonshine.transcribe(moonshine.stream(), lambda: False, PassInput(samples, "en"))
    moonshine.stop()
    text = tokenizer_of(model.config.vocab_size).decode(tokens[:-1])
    assert " ".join(timed.word.text for timed in result.words) == text and len(result.words) > 1
    times = [time for timed in result.words for time in (timed.start_s, timed.end_s)]
    assert times == sorted(times) and 0 <= times[0] < times[-1] <= 2
    assert all(0 < timed.probability <= 1 for timed in result.words)


@pytest.mark.asyncio(loop_scope="module")
async def test_words_steps_and_marks_are_the_contracts(
    recognizer: MoonshineRecognizer, speech: Samples
) -> None:
    found = await asyncio.gather(
        *(recognized(recognizer, speech, size, Mark(3)) for size in (1280, len(speech)))
    )
    steps = int(len(speech) / RATE / STEP_S)
    for events in found:
        words = words_of(events)
        assert len(words) > 2 and {word.language for word in words} == {"en"}
        times = [time for word in words for time in (word.start_s, word.end_s)]
        assert times == sorted(times) and times[-1] <= len(speech) / RATE
        assert [event.index for event in events if isinstance(event, Step)] == list(range(steps))
        assert [event for event in events if isinstance(event, Mark)] == [Mark(3)]


@pytest.mark.asyncio(loop_scope="module")
async def test_recording_is_transcribed_the_same_each_time(
    recognizer: MoonshineRecognizer, speech: Samples
) -> None:
    async def transcribed(size: int) -> list[str]:
        options = TranscriptionOptions(language="en")
        return [one.text async for one in recognizer.transcribe(pieces(speech, size), options)]

    first, *others = await asyncio.gather(transcribed(5000), transcribed(len(speech)), transcribed(9999))
    assert first and others == [first, first]
    with pytest.raises(InvalidRequest, match="does not translate"):
        await anext(recognizer.transcribe(pieces(speech, 5000), TranscriptionOptions(translate=True)))


@pytest.mark.asyncio(loop_scope="module")
async def test_cancelled_streams_leave_the_others_alone(
    recognizer: MoonshineRecognizer, speech: Samples
) -> None:
    whole = words_of(await recognized(recognizer, speech, len(speech)))

    async def leave(events: int) -> None:
        count = 0
        async for _ in recognizer.recognize(pieces(speech, 1280), None):
            count += 1
            if count == events:
                asyncio.current_task().cancel()  # type: ignore[union-attr]

    tasks = [asyncio.create_task(leave(events)) for events in range(10, 40, 3)]
    beside = words_of(await recognized(recognizer, speech, len(speech)))
    await asyncio.wait(tasks)
    assert beside == whole and all(task.cancelled() for task in tasks)


Damage = Callable[[Path], object]


def edit(**entries: object) -> Damage:
    """Change entries of config.json; those of the encoder begin with ``encoder_``."""

    def change(folder: Path) -> None:
        path = folder / "config.json"
        config: dict[str, Any] = json.loads(path.read_text())
        for key, value in entries.items():
            place = config["encoder_config"] if key.startswith("encoder_") else config
            place[key.removeprefix("encoder_")] = value
        path.write_text(json.dumps(config))

    return change


def edit_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})

    return damage


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def tamper(folder: Path) -> None:
    """As the hub's cache has it: a link to a file that is named by its SHA-256."""
    path = folder / "model.safetensors"
    content = path.read_bytes()
    blob = folder / hashlib.sha256(content).hexdigest()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    path.unlink()
    path.symlink_to(blob.name)


FC1 = "model.decoder.layers.1.mlp.fc1.weight"


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (edit(model_type="moonshine"), "has the model_type 'moonshine', not 'moonshine_streaming'"),
        (edit(hidden_size="wide"), "hidden_size is 'wide'; it has to be a whole number from 1 to 65536"),
        (edit(hidden_act="relu"), "hidden_act is 'relu'; it has to be 'silu'"),
        (edit(num_key_value_heads=2), "num_key_value_heads is 2; it has to be 4"),
        (edit(max_position_embeddings=50), "max_position_embeddings is 50; it has to be .* from 1000"),
        (edit(rope_parameters={"rope_type": "yarn"}), "rope_type is 'yarn'; it has to be 'default'"),
        (edit(rope_parameters={"partial_rotary_factor": 2}), "partial_rotary_factor is 2; .* at most 1"),
        (edit(eos_token_id=[2, 60]), "eos_token_id is .*; it has to be tokens from 0 to 59"),
        (edit(bos_token_id=60), "bos_token_id is 60; it has to be a whole number from 0 to 59"),
        (edit(encoder_sliding_windows=[[5, 3]]), "sliding_windows is .* 4 pairs"),
        (edit(encoder_sample_rate=8000), "encoder_config: sample_rate is 8000; it has to be 16000"),
        (edit(vocab_size=59), "tokenizer.json has 60 tokens, config.json's vocab_size is 59"),
        (edit_weights(lambda tensors: tensors.pop(FC1)), f"{FC1} is missing; fetch the checkpoint again"),
        (
            edit_weights(lambda tensors: tensors.update({FC1: torch.zeros(96, 41)})),
            r"fc1.weight has the shape \[96, 41\]; it has to be \[96, 40\]",
        ),
        (cut, "model.safetensors is not a safetensors file"),
        (tamper, "model.safetensors in the cache fails its SHA-256: delete it"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer.json"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer of .* cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no file 'model.safetensors'"),
    ],
)
async def test_unsuitable_checkpoint_is_refused_with_the_file_and_the_cure(
    folder: Path, tmp_path: Path, damage: Damage, complaint: str
) -> None:
    broken = shutil.copytree(folder, tmp_path / "moonshine-streaming-tiny")
    damage(broken)
    recognizer = MoonshineRecognizer(MoonshineSettings(model=str(broken)), Resources(tmp_path))
    with pytest.raises(EngineUnavailable, match=complaint) as refused:
        await recognizer.start()
    sentence = str(refused.value)
    assert "--recognizer whisper" in sentence and str(tmp_path) not in sentence and "\n" not in sentence
    await recognizer.stop()


async def test_checkpoint_that_is_not_here_is_refused_with_the_cure(tmp_path: Path) -> None:
    settings = MoonshineSettings(model="UsefulSensors/moonshine-streaming-tiny-es@main")
    recognizer = MoonshineRecognizer(settings, Resources(tmp_path))
    assert recognizer.info.languages == {"es"}
    with pytest.raises(EngineUnavailable, match="is not here, and is not fetched unasked or with --no-fetch"):
        await recognizer.start()
    await recognizer.stop()
    with pytest.raises(EngineUnavailable, match="KANI_MOONSHINE_MODEL: 'ears' is neither a folder nor"):
        MoonshineRecognizer(MoonshineSettings(model="ears"), Resources(tmp_path))
    assert MoonshineRecognizer(MoonshineSettings(), Resources(tmp_path)).info.languages == {"en"}
