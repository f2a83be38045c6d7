"""Servers with Kokoro or only its students."""

from __future__ import annotations

from benchmarks import single_engine
from benchmarks.server_process import Server


def decoder_server() -> Server:
    """A server with Kokoro; its students, which have decoders of their own, speak nothing."""
    own = {"KANI_THREADS": str(single_engine.THREADS), "KANI_KOKORO_STUDENT": "never"}
    return Server("--engine", "kokoro", **own)


def student_server() -> Server:
    """A server that speaks by Kokoro's students only."""
    return Server("--engine", "kokoro", KANI_THREADS=str(single_engine.THREADS), KANI_KOKORO_STUDENT="only")
