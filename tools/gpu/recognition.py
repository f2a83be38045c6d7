"""Whisper by CTranslate2 on the device, beside the CPU's int8."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ctranslate2
import numpy as np
import torch

from benchmarks.kani.probes import best_s
from kani.engines.whisper.checkpoint.finding import BASE
from kani.runtime.mel_features import MelFeatures
from tools.gpu.results import Case

_SECONDS = (4, 30)
_ROUNDS = 5
_TOKENS = 24
_BEGIN, _SPANISH, _TRANSCRIBE, _NO_TIMES = 50258, 50262, 50359, 50363
"""Tokens of the multilingual checkpoints' prompt."""


def recognise(case: Case) -> None:
    """Part recognition: a pass over a few seconds, and over 30."""
    folder = case.options.get("whisper") or str(BASE)
    kinds = (
        [("cpu", "int8")] if case.small else [("cuda", "float16"), ("cuda", "int8_float16"), ("cpu", "int8")]
    )
    for device, precision in kinds:
        try:
            model = ctranslate2.models.Whisper(folder, device=device, compute_type=precision)
            for seconds in _SECONDS[: 1 if case.small else 2]:
                case.write(
                    "a pass", device=device, precision=precision, audio_s=seconds, **_pass(model, seconds)
                )
        except (RuntimeError, ValueError) as error:
            # A missing library of CUDA's, say: CTranslate2 4 is built for CUDA 12.
            case.write("failed", ok=False, device=device, precision=precision, error=str(error))


def _pass(model: ctranslate2.models.Whisper, seconds: int) -> dict[str, Any]:
    """Milliseconds of the encoder and of ``_TOKENS`` tokens, the best of some rounds."""
    noise = np.random.default_rng(0).normal(0, 0.05, 16_000 * seconds).astype(np.float32)
    features = ctranslate2.StorageView.from_array(MelFeatures(model.n_mels)(noise)[None])
    encoded = model.encode(features, to_cpu=False)
    prompt = [[_BEGIN, _SPANISH, _TRANSCRIBE, _NO_TIMES]]

    def best_ms(work: Callable[[], object]) -> float:
        return 1000 * float(best_s(work, torch.device("cpu"), _ROUNDS))

    how = {"max_length": 4 + _TOKENS, "suppress_tokens": [50257], "beam_size": 1}
    return {
        "encoder_ms": best_ms(lambda: model.encode(features, to_cpu=True)),
        "tokens_ms": best_ms(lambda: model.generate(encoded, prompt, **how)),
    }
