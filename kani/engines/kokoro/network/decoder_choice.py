"""Decoder selection: LiteRT's graphs where they run, else the published graph's own layers on onnxruntime."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from kani.core.errors import EngineUnavailable
from kani.engines.kokoro.network import parts_cache
from kani.engines.kokoro.network.decoder import DecoderUnavailable
from kani.engines.kokoro.network.parts import SplitModel
from kani.runtime import weights
from kani.runtime.build_cache import BuildFailed
from kani.runtime.extras import install_command

_SET_BY_USER = "set by KANI_KOKORO_DECODER (auto uses LiteRT where it runs)"

logger = logging.getLogger(__name__)


def load_split_model(
    read_model: Callable[[], bytes], decoder: str, cache_dir: Path, threads: int
) -> SplitModel:
    """Load the network with a decoder: auto, onnx or litert.

    read_model: reads the published graph; cache_dir: folder of built files; threads: of one step. Raises
    EngineUnavailable where that decoder is LiteRT's and does not run here, ModelFailed, and what
    ``read_model`` raises.
    """
    if decoder == "onnx":
        return _on_onnxruntime(read_model, cache_dir, threads, _SET_BY_USER)
    begun = time.monotonic()
    try:
        model = _on_litert(read_model, cache_dir, threads)
    except DecoderUnavailable as unavailable:
        if decoder != "auto":
            raise EngineUnavailable(
                f"Kokoro's decoder on LiteRT is unavailable ({unavailable}): set KANI_KOKORO_DECODER=auto"
            ) from unavailable
        return _on_onnxruntime(read_model, cache_dir, threads, f"LiteRT's is unavailable: {unavailable}")
    logger.info("Kokoro decoder: litert (int8), loaded in %.1f s", time.monotonic() - begun)
    return model


def _on_litert(read_model: Callable[[], bytes], cache_dir: Path, threads: int) -> SplitModel:
    """Load the network with LiteRT's decoder. Raises DecoderUnavailable and ModelFailed."""
    try:
        from kani.engines.kokoro.litert.decoder import load_litert_decoder
    except ImportError as error:
        raise DecoderUnavailable(
            "the package ai-edge-litert cannot be imported; "
            f"{install_command('', 'requirements.txt')} brings it where it runs"
        ) from error
    from kani.engines.kokoro.litert.packing.store import load_packed

    try:
        packed = load_packed(weights.KOKORO.sha256, read_model, cache_dir)
    except BuildFailed as error:
        raise DecoderUnavailable(f"the network could not be packed ({error})") from error
    decoder = load_litert_decoder(packed, os.cpu_count() or 1)
    return SplitModel(packed.prosody.content("encoder.onnx"), decoder, threads)


def _on_onnxruntime(
    read_model: Callable[[], bytes], cache_dir: Path, threads: int, reason: str
) -> SplitModel:
    """Load the network with the published graph's decoder. Raises EngineUnavailable and ModelFailed."""
    model = SplitModel.on_onnxruntime(parts_cache.load(read_model(), cache_dir), threads)
    logger.info("Kokoro decoder: onnxruntime, %s", reason)
    model.decoder = replace(model.decoder, slow_reason=reason)
    return model
