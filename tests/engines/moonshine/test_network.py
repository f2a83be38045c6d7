"""The networks beside transformers' own, in double precision, with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kani.core.types import Samples
from kani.engines.moonshine.checkpoint import FRAME_SAMPLES, Weights, read_sizes
from kani.engines.moonshine.decoder import Decoder
from kani.engines.moonshine.decoding_loop import DecodingLoop, Pass, StreamState
from kani.engines.moonshine.encoder import Encoder
from tests.engines.moonshine.conftest import encoded, generated, sound
from tests.engines.moonshine.random_checkpoint import random_model

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
