"""Loads a checkpoint by Kyutai's package, from one folder. Runs only in the package's environment."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from kani.core.errors import EngineUnavailable

# Before the package is imported: no access to a hub.
os.environ |= {"HF_HUB_OFFLINE": "1"}

MAX_CODEBOOKS = 32
_CURE = "remove it and fetch it again, or name another folder (KANI_KYUTAI_MODEL)"


def load(folder: Path, device: str, precision: str) -> Any:
    """Return the package's ``TTSModel`` of a folder.

    device: cpu, cuda or cuda:N; precision: float32 or bfloat16. Raises ImportError and EngineUnavailable.
    """
    if not device.startswith("cuda"):
        # Read when the package is imported: on the CPU it would want a C++ compiler, for small functions.
        os.environ["NO_TORCH_COMPILE"] = "1"
    from moshi.models import loaders, tts

    try:
        info = _checkpoint(loaders, folder)
        codebooks = min(MAX_CODEBOOKS, int(info.lm_config["dep_q"]))
        dtype = getattr(torch, precision)
        model: Any = tts.TTSModel.from_checkpoint_info(info, n_q=codebooks, device=device, dtype=dtype)
        # As the package does it before each text.
        model.lm.dep_q = codebooks
        _check_finite(folder, chain(model.lm.named_parameters(), model.mimi.named_parameters()))
    except (
        *(OSError, RuntimeError, ValueError, KeyError, TypeError, AssertionError, AttributeError),
        *(IndexError, ZeroDivisionError, SafetensorError),
    ) as error:
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise EngineUnavailable(
            f"the Kyutai engine cannot load {folder} on {device}: {reason}: {_CURE}"
        ) from error
    return model


def _checkpoint(loaders: Any, folder: Path) -> Any:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    return loaders.CheckpointInfo.from_hf_repo(
        "",
        moshi_weights=folder / config.get("moshi_name", loaders.MOSHI_NAME),
        mimi_weights=folder / config.get("mimi_name", loaders.MIMI_NAME),
        tokenizer=folder / config.get("tokenizer_name", loaders.TEXT_TOKENIZER_NAME),
        config_path=folder / "config.json",
        mimi_config_path=folder / config["mimi_config_name"] if config.get("mimi_config_name") else None,
    )


def _check_finite(folder: Path, weights: Iterable[tuple[str, Any]]) -> None:
    for name, weight in weights:
        if not torch.isfinite(weight).all():
            raise EngineUnavailable(f"{folder} is damaged: {name} has NaN or infinite values: {_CURE}")
