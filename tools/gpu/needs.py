"""Packages that each part needs beside torch, and those that are missing here."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

MODEL = "transformers tokenizers safetensors huggingface_hub httpx2 numpy yaml".split()
TEXT = "babel msgspec espeakng_loader".split()

NEEDS = {
    "exact": MODEL,
    "streams": MODEL,
    "cloning": MODEL,
    "student": ["onnx", "onnxruntime", "tqdm", *TEXT],
    "recognition": [*MODEL, "ctranslate2"],
    "joining": [*MODEL, *TEXT, "pydantic", "soxr", "av", "psutil", "pytest"],
}
"""Modules by part."""

SERVER = "starlette uvicorn websockets ai_edge_litert num2words".split()
"""Some of the server's own, the last step of ``joining``: it needs all of requirements.txt."""


def missing(modules: Sequence[str]) -> list[str]:
    """Names of those modules that are not installed."""
    return [name for name in modules if find_spec(name) is None]
