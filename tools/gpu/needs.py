"""What each part needs beside torch, and what of it is missing here."""

from __future__ import annotations

from importlib.util import find_spec

MODEL = ("transformers", "tokenizers", "safetensors", "huggingface_hub", "httpx2", "numpy", "yaml")
"""Of requirements-kani.txt."""

TEXT = ("babel", "msgspec", "espeakng_loader")

NEEDS = {
    "exact": MODEL,
    "streams": MODEL,
    "cloning": MODEL,
    "student": ("onnx", "onnxruntime", "tqdm", *TEXT),
    "recognition": ("ctranslate2", "tokenizers"),
    "joining": (*MODEL, "pydantic", "soxr", "av", *TEXT),
}
"""Modules by part. The server itself, the last step of ``joining``, needs all of requirements.txt."""

SERVER = (
    "psutil",
    "pytest",
    "starlette",
    "uvicorn",
    "websockets",
    "pydantic_settings",
    "ai_edge_litert",
    "num2words",
)


def missing(part: str) -> list[str]:
    """Names of modules that a part needs and that are not installed."""
    return not_here(NEEDS[part])


def not_here(modules: tuple[str, ...]) -> list[str]:
    """Names of those modules that are not installed."""
    return [name for name in modules if find_spec(name) is None]
