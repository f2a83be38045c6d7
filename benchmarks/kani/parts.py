"""Times Kani's parts: a prompt, a decode step, a frame of the codec."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.kani.probes import best_s
from benchmarks.kani.streams import PROMPT_TOKENS, prompt
from kani.engines.kani.model.loader import KaniModel
from kani.engines.kani.model.sampler import Sampling

CONTEXT = 300
"""Tokens that a stream has read when its steps are timed."""

_BLOCK = 3
_BLOCKS = 5
_CODEC_FRAMES = 40


def step_s(kani: KaniModel, counts: Sequence[int]) -> dict[int, float]:
    """Seconds of one decode step (model, head and draw) by streams that step together.

    Each stream has read some CONTEXT tokens. The best of five rounds of three frames.
    """
    runner, codebooks = kani.runner, kani.layout.codebooks
    prefill = runner.start_prefill([prompt(kani.layout, 0)])
    runner.prefill_chunk(prefill, PROMPT_TOKENS)
    runner.admit(0, prefill, 0, Sampling())
    for _ in range((CONTEXT - PROMPT_TOKENS) // codebooks):
        runner.sample(1)
        runner.advance(1)
    aged = runner.save(0)
    runner.release(0, 1)
    found = {}
    for count in counts:
        for slot in range(count):
            runner.restore(slot, aged)

        def frames(count: int = count) -> None:
            for _ in range(_BLOCK):
                runner.sample(count)
                runner.advance(count)

        found[count] = best_s(frames, kani.model.device, _BLOCKS) / _BLOCK / codebooks
        for slot in reversed(range(count)):
            runner.release(slot, slot + 1)
    return found


def prefill_s(kani: KaniModel) -> float:
    """Seconds to read one prompt; the best of five."""
    runner = kani.runner

    def read() -> None:
        runner.prefill_chunk(runner.start_prefill([prompt(kani.layout, 0)]), PROMPT_TOKENS)

    return best_s(read, kani.model.device, _BLOCKS)


def codec_frame_s(kani: KaniModel, shapes: Sequence[tuple[int, int]]) -> dict[tuple[int, int], float]:
    """Seconds a frame by (streams, frames) of a call; the best of five rounds, and of 40 frames at least."""
    codec, device = kani.codec, kani.model.device
    found = {}
    for streams, frames in shapes:
        state = codec.new_state(streams)
        codes = torch.randint(0, codec.config.codebook_size, (streams, frames, codec.config.codebooks))
        codes, slots = codes.to(device), torch.arange(streams, device=device)
        rounds = max(_BLOCKS, _CODEC_FRAMES // (streams * frames))
        work_s = best_s(lambda: codec.decode(codes, slots, state), device, rounds)  # noqa: B023
        found[streams, frames] = work_s / streams / frames
    return found
