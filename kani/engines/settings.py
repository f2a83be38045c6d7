"""Settings of the engines, apart from the engines: their libraries are slow to import."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Discover = Callable[[bool], Awaitable[Collection[str]]]
"""Returns the addresses of engine workers; raises OSError where they cannot be asked for.

Its argument is True while every worker that it has returned is refused, as each has another engine than the
server began with.
"""

KOKORO_THREADS = 2
"""Cores that Kokoro computes one step with, unless the settings name another number."""


@dataclass(frozen=True, slots=True)
class KaniSettings:
    """Settings of the Kani engine; None stands for the model's own default."""

    model: str | None = None  # a checkpoint's folder, or its OWNER/NAME[@REVISION] on a hub
    codec: str | None = None  # NanoCodec's .nemo file, or its name on a hub
    embedder: str | None = None  # KaniTTS-2's speaker encoder: a folder, or its name on a hub
    device: str = "auto"  # auto, cpu, cuda or cuda:N
    precision: str = "auto"  # auto, float32, bfloat16 or int8
    slots: int | None = None  # streams at once
    threads: int | None = None  # of the CPU
    may_fetch: bool = False  # whether missing files may be fetched from the hub


@dataclass(frozen=True, slots=True)
class KyutaiSettings:
    """Settings of Kyutai's recogniser; None stands for its own default."""

    model: str | None = None  # a checkpoint's folder, or its OWNER/NAME[@REVISION] on a hub
    device: str = "auto"  # auto, cpu, cuda or cuda:N
    precision: str = "auto"  # auto, float32, bfloat16 or int8
    slots: int | None = None  # streams at once
    may_fetch: bool = False  # whether missing files may be fetched from the hub


@dataclass(frozen=True, slots=True)
class KokoroSettings:
    """Settings of the Kokoro engine."""

    models_dir: Path | None  # the user's folder with model files, see ``weights.load``
    cache_dir: Path  # fetched and built files
    threads: int = KOKORO_THREADS  # cores for one step
    decoder: Literal["auto", "onnx", "litert"] = "auto"  # implementation that decodes windows
    may_fetch: bool = False  # whether missing files may be fetched
    accented: tuple[str, ...] = ()  # languages, of those that the model was not trained on, that it speaks


@dataclass(frozen=True, slots=True)
class VoxCPMSettings:
    """Settings of the VoxCPM engine; its package has an environment of its own."""

    python: str = ""  # Python of that environment; empty for the server's own
    model: str | None = None  # a checkpoint's folder, or its OWNER/NAME[@REVISION] on a hub
    device: str = "auto"  # auto, cpu, mps, cuda or cuda:N
    denoiser: str | None = None  # folder of the ZipEnhancer model
    may_fetch: bool = False  # whether missing files may be fetched from the hub


@dataclass(frozen=True, slots=True)
class ElevenLabsUpstream:
    """An account of ElevenLabs, and how its service is used."""

    api_key: str = field(repr=False)
    voice_id: str  # default voice
    model: str = "eleven_flash_v2_5"
    optimize_latency: int = 1  # 0 to 4; a higher value trades quality for an earlier first sound
    base_url: str = "https://api.elevenlabs.io"  # scheme and host, without a path
    max_concurrency: int = 4  # streams at once; ElevenLabs' smallest plan allows 4 of its fast models
    timeout_s: float = 10.0  # longest silence of the service while something is due
    fallback: Literal["none", "kokoro", "espeak"] = "none"  # engine for what the service fails to speak


@dataclass(frozen=True, slots=True)
class LocalEngines:
    """Settings of the engines that compute on this machine."""

    kani: KaniSettings
    kokoro: KokoroSettings
    voxcpm: VoxCPMSettings
    cache_dir: Path  # fetched and built files


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Files of a recogniser; as ``weights.load`` takes them."""

    models_dir: Path | None
    cache_dir: Path
    may_fetch: bool


@dataclass(frozen=True, slots=True)
class LocalRecognizers:
    """Settings of the recognisers that compute on this machine."""

    kyutai: KyutaiSettings
    files: ModelFiles


@dataclass(frozen=True, slots=True)
class RemoteWorkers:
    """Engine workers that listen, and the key that they share with their servers."""

    addresses: tuple[str, ...] = ()  # unix:/path or tcp://host:port
    key: str = field(default="", repr=False)
    discover: Discover | None = None  # asked for the addresses again and again
