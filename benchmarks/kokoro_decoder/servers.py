"""Servers with Kokoro or only its students."""

from __future__ import annotations

import time

from benchmarks import single_engine
from benchmarks.server_process import Server, ServerFailed

LITERT = "litert"
"""The name of Kokoro's decoder."""

_LOADED_WITHIN_S = 120.0
_ASK_AGAIN_S = 0.05


def decoder_server() -> Server:
    """A server with Kokoro; its students, which have decoders of their own, speak nothing."""
    own = {"KANI_THREADS": str(single_engine.THREADS), "KANI_KOKORO_STUDENT": "never"}
    return Server("--engine", "kokoro", **own)


def wait_until_loaded(server: Server) -> float:
    """Wait until /health names Kokoro's decoder; returns the seconds. Raises ServerFailed if it does not."""
    begun = time.perf_counter()
    while (speaks := server.decoder()) != LITERT:
        if time.perf_counter() > begun + _LOADED_WITHIN_S:
            raise ServerFailed(f"the server still uses {speaks!r}, not {LITERT!r}")
        # From outside nothing tells when it is there.
        time.sleep(_ASK_AGAIN_S)
    return time.perf_counter() - begun


def student_server() -> Server:
    """A server that speaks by Kokoro's students only."""
    return Server("--engine", "kokoro", KANI_THREADS=str(single_engine.THREADS), KANI_KOKORO_STUDENT="only")
