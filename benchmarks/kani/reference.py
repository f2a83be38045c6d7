"""Times and logits of the makers' code with the same weights: transformers' ``generate``, NeMo's decode."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import GenerationConfig, Lfm2ForCausalLM
from transformers.utils import logging as transformers_logging

from benchmarks.kani.probes import settle
from benchmarks.report import JUDGE_VARIABLE
from kani.engines.kani.model.sampler import Sampling
from kani.engines.kani.model.tokens import TokenLayout

TOKENS = 48
CHUNK, LOOKBACK = 25, 15
"""Frames that the makers' streaming decodes at a time, and decodes again before them."""
_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Generated:
    """Seconds of transformers' prefill (and one token), and of each token after it."""

    prefill_s: float
    token_s: float


def quiet() -> None:
    """No progress bars and no advice from transformers."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


@torch.inference_mode()
def generated(
    folder: Path, precision: torch.dtype, device: torch.device, prompt: Sequence[int], layout: TokenLayout
) -> Generated:
    """Time ``generate`` with the makers' sampling settings; the best of two rounds."""
    model = Lfm2ForCausalLM.from_pretrained(folder, dtype=precision).to(device).eval()
    tokens = torch.tensor([prompt], device=device)
    default = Sampling()

    def generate_s(count: int) -> float:
        settings = GenerationConfig(
            do_sample=True,
            temperature=default.temperature,
            top_p=default.top_p,
            repetition_penalty=default.repetition_penalty,
            use_cache=True,
            min_new_tokens=count,
            max_new_tokens=count,
            eos_token_id=layout.end_of_speech,
            pad_token_id=layout.end_of_speech,
        )
        settle(device)
        begun = time.perf_counter()
        model.generate(tokens, attention_mask=torch.ones_like(tokens), generation_config=settings)
        settle(device)
        return time.perf_counter() - begun

    generate_s(2)
    prefill_s = min(generate_s(1) for _ in range(_ROUNDS))
    whole_s = min(generate_s(TOKENS) for _ in range(_ROUNDS))
    return Generated(prefill_s, (whole_s - prefill_s) / (TOKENS - 1))


@torch.inference_mode()
def logits(folder: Path, tokens: Sequence[int]) -> torch.Tensor:
    """transformers' own float32 logits [tokens, vocabulary], computed on the CPU."""
    model = Lfm2ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found: torch.Tensor = model(torch.tensor([tokens])).logits[0]
    return found


def nemo_s(archive: Path, device: torch.device, threads: int) -> dict[int, float] | None:
    """Seconds of NeMo's decode of a first chunk and of one with its lookback; None without NeMo."""
    python = os.environ.get(JUDGE_VARIABLE, "")
    if not python:
        return None
    out = archive.with_suffix(".json")
    program = Path(__file__).with_name("nemo.py")
    counts = [str(CHUNK), str(CHUNK + LOOKBACK)]
    subprocess.run(
        # Or this folder's names would stand before NeMo's.
        [python, "-P", str(program), str(archive), device.type, str(threads), str(out), *counts],
        check=True,
        capture_output=True,
        text=True,
    )
    return {int(count): float(found) for count, found in json.loads(out.read_text("utf-8")).items()}
