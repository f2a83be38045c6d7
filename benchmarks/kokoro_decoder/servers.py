"""Servers with one of Kokoro's decoders each, LiteRT's or ONNX Runtime's, or with its students."""

from __future__ import annotations

import time

from benchmarks import single_engine
from benchmarks.server_process import Server, ServerFailed

ONNX, LITERT = "onnx", "litert"

_LOADED_WITHIN_S = 120.0
_ASK_AGAIN_S = 0.05


def decoder_server(decoder: str) -> Server:
    """A server with Kokoro and this decoder, or the one that it begins with until ``decoder`` is loaded.

    Its students, which have decoders of their own, speak nothing.
    """
    own = {"KANI_THREADS": str(single_engine.THREADS), "KANI_KOKORO_STUDENT": "never"}
    return Server(*("--engine", "kokoro", "--kokoro-decoder", decoder), **own)


def wait_until_loaded(server: Server, decoder: str) -> float:
    """Wait until /health names ``decoder``; returns the seconds. Raises ServerFailed if it never does."""
    begun = time.perf_counter()
    while (speaks := server.decoder()) != decoder:
        if time.perf_counter() > begun + _LOADED_WITHIN_S:
            raise ServerFailed(f"the server still uses {speaks!r}, not {decoder!r}")
        # From outside nothing tells when it is there.
        time.sleep(_ASK_AGAIN_S)
    return time.perf_counter() - begun


def student_server() -> Server:
    """A server that speaks by Kokoro's students only."""
    return Server("--engine", "kokoro", KANI_THREADS=str(single_engine.THREADS), KANI_KOKORO_STUDENT="only")
