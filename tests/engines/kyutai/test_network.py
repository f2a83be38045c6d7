"""Exactness of the batched streaming network: its tokens are those of transformers' ``generate``."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from kani.core.types import Samples
from kani.engines.kyutai.checkpoint import quantise
from kani.engines.kyutai.network import Network
from kani.engines.kyutai.step import Frame, Stream
from tests.engines.kyutai.conftest import FRAME, FRAMES, generated
from tests.engines.kyutai.random_checkpoint import TINY, random_model

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
