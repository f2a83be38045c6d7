"""Processor time of a live step of Moonshine's recogniser beside hearing the whole window, random weights.

A step hears 0.15 s more of a window, and writes an answer of 3.5 tokens for each second. Those of the step
before are confirmed at once. Two new ones follow one by one, as Whisper's live answers to a person's
sentences have 1.8 in the mean. The whole way encodes all of the window and writes all tokens one by one, by
the same networks, on one core.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import median, ms, report_section, table
from kani.core.types import Samples
from kani.engines.moonshine.checkpoint import Weights, read_sizes
from kani.engines.moonshine.decoder import Decoder
from kani.engines.moonshine.decoding_loop import DecodingLoop, Pass, StreamState
from kani.engines.moonshine.encoder import Encoder
from kani.runtime.linear import Int8
from tests.engines.moonshine.random_checkpoint import FULL_SMALL, TINY, random_model

SIZES = {"small": FULL_SMALL, "smallest": TINY}
RATE = 16_000
NEW = 2400
"""Samples of a step."""

TOKENS_PER_SECOND = 3.5
FRESH = 2
"""Tokens of a step that the step before did not have."""

_HEAD = ("window", "tokens", "a step", "the whole way", "step ÷ whole")
# Of the embedding beside what the layers add to it.
_LOUD = 8.0


def loaded(sizes: dict[str, object], precision: torch.dtype) -> DecodingLoop:
    """Return the networks with random weights of these sizes; no token ends an answer.

    Each token follows the one before it in the vocabulary, whatever is heard. Where all weights are random,
    the likeliest of thousands of tokens depends on rounding, and a step confirms little of the one before.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        model = random_model(sizes)
        embedding = model.model.decoder.embed_tokens.weight.data
        model.proj_out.weight.data = embedding.roll(1, 0)
        embedding *= _LOUD
        model.save_pretrained(folder)
        encoder_sizes, decoder_sizes = read_sizes(folder)
        weights = Weights.of_folder(folder, precision)
    decoder_sizes = replace(decoder_sizes, ends=frozenset())
    encoder = Encoder(weights, encoder_sizes)
    return DecodingLoop(encoder, Decoder(weights, decoder_sizes, encoder_sizes.width))


def seconds(loop: DecodingLoop, state: StreamState, samples: Samples, tokens: int, fresh: int) -> float:
    """Return the processor time of a pass that writes so many tokens, ``fresh`` of them one by one."""
    steps, begun = loop.steps, time.process_time()
    answer = loop.run(Pass(state, samples, 0, (), tokens, lambda: False))
    taken = time.process_time() - begun
    assert len(answer.tokens) == tokens and loop.steps - steps == 1 + fresh
    return taken


def compared(loop: DecodingLoop, window_s: float, rounds: int, fresh: int) -> tuple[str, ...]:
    """Return the table's row of one window; the two ways take turns."""
    tokens = round(TOKENS_PER_SECOND * window_s)
    samples = np.random.default_rng(0).normal(0, 0.1, round(window_s * RATE)).astype(np.float32)
    steps, wholes = [], []
    for _ in range(rounds + 1):
        state = loop.stream()
        seconds(loop, state, samples[:-NEW], tokens - fresh, tokens - fresh)
        wholes.append(seconds(loop, loop.stream(), samples, tokens, tokens))
        steps.append(seconds(loop, state, samples, tokens, fresh))
    # The first round prepares memory and kernels.
    step_s, whole_s = median(steps[1:]), median(wholes[1:])
    return (f"{window_s:g} s", str(tokens), ms(step_s), ms(whole_s), f"{step_s / whole_s:.2f}")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moonshine", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="of each window (5)")
    parser.add_argument("--windows", type=float, nargs="+", default=[2, 5, 10], help="seconds (2 5 10)")
    parser.add_argument("--fresh", type=int, default=FRESH, help=f"new tokens of a step ({FRESH})")
    parser.add_argument("--sizes", choices=SIZES, default="small", help="of the networks (small)")
    chosen = parser.parse_args()
    # Threads that wait for each other spend processor time.
    torch.set_num_threads(1)
    precision = torch.int8 if Int8.supported() else torch.float32
    name = str(precision).removeprefix("torch.")
    with report_section(f"A step of Moonshine's recogniser, {name}", "torch"):
        loop = loaded(SIZES[chosen.sizes], precision)
        rows = [compared(loop, window_s, chosen.rounds, chosen.fresh) for window_s in chosen.windows]
        print(table(_HEAD, rows))
        loop.stop()


if __name__ == "__main__":
    main()
