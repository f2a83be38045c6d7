"""Loads a checkpoint and a codec onto a device and creates their scheduler."""

import logging
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.lfm2 import LanguageModel
from kani.engines.kani.model.native.library import Library
from kani.engines.kani.model.native.library import load as load_kernels
from kani.engines.kani.model.native.model import NativeLanguageModel
from kani.engines.kani.model.runner import MAX_PREFILL_PROMPTS, Runner
from kani.engines.kani.model.scheduler import Scheduler
from kani.engines.kani.model.speaker_encoder import SpeakerEmbedder
from kani.engines.kani.model.tokens import TokenLayout
from kani.engines.plugin import VOICES, Resources
from kani.runtime.device import find_device
from kani.runtime.errors import CheckpointError, DeviceError
from kani.runtime.hub import Hub

log = logging.getLogger(__name__)

PRECISIONS = ("auto", "float32", "bfloat16", "int8")
DEFAULT_CODEC = "nvidia/nemo-nano-codec-22khz-0.6kbps-12.5fps"
DEFAULT_EMBEDDER = "nineninesix/speaker-emb-tbr"

MAX_PROMPT_TOKENS = 512
"""Some five times the longest segment of plain words."""
MAX_SEGMENT_S = 30.0
"""Seconds of one segment; by its makers' word the model degrades beyond 20 (1,000 tokens)."""
MAX_LEAD_S = 2.0
TRIED_STREAMS = 256
"""Most streams with which the codec's kernels are tried on a GPU."""
MAX_VOICES = 1000
MAX_VOICE_BYTES = 1 << 16

_VOICE_NAME = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True, slots=True)
class KaniModel:
    """A loaded model. ``scheduler`` is not started yet."""

    name: str
    checkpoint: Checkpoint
    layout: TokenLayout
    model: LanguageModel
    codec: NanoCodec
    runner: Runner
    scheduler: Scheduler
    precision: str  # of the language model and of the codec, as text
    embedder: SpeakerEmbedder | None  # None if the model does not clone

    @property
    def sample_rate(self) -> int:
        """Hertz."""
        return self.codec.config.sample_rate

    @property
    def frame_s(self) -> float:
        return self.codec.config.frame_s


def load(
    model: str,
    codec: str = DEFAULT_CODEC,
    embedder: str = DEFAULT_EMBEDDER,
    *,
    resources: Resources,
    report: Callable[[str], None] = log.info,
) -> KaniModel:
    """Load, check and warm up a model on a device.

    model: a folder or a hub's name; codec: a .nemo file or a hub's name; embedder: a folder or a hub's name,
    used by models that accept a speaker, optional; resources: its device ``auto`` is CUDA if available, its
    precision one of ``PRECISIONS``, ``max_concurrent`` the number of sequences (8, on CUDA 256); report:
    receives lines of progress. Raises CheckpointError, DeviceError and OutOfMemory, each with the cure.
    """
    torch_device, cache = find_device(resources.device), resources.cache_dir
    kernels = None
    if torch_device.type == "cpu" and resources.precision in ("auto", "int8"):
        kernels = load_kernels(cache / "kernels")
    language_precision, codec_precision = _precisions(resources.precision, torch_device, kernels)
    if resources.threads is not None:
        torch.set_num_threads(resources.threads)
    hub = Hub(cache, resources.may_fetch, report)
    folder, archive = hub.find(model), hub.find_codec(codec)
    name = _checkpoint_name(model, folder, cache)
    checkpoint = Checkpoint(folder)
    checkpoint.check_shapes()
    report(f"loading {name}")
    # Loads the tokenizer, which takes a moment, before the first request.
    checkpoint.text_tokens("")
    speech = NanoCodec.load(archive, device=torch_device, precision=codec_precision)
    layout = checkpoint.layout(codebooks=speech.config.codebooks, codebook_size=speech.config.codebook_size)
    max_frames = round(MAX_SEGMENT_S / speech.config.frame_s)
    capacity = Runner.capacity(MAX_PROMPT_TOKENS, max_frames, layout.codebooks)
    language = _language(checkpoint, layout, language_precision, torch_device, capacity, kernels)
    on_gpu = torch_device.type == "cuda"
    slots = resources.max_concurrent or (256 if on_gpu else 8)
    speech.compile(min(slots, TRIED_STREAMS))
    if on_gpu and codec_precision == torch.float32:
        # A convolution would round its inputs to 10 bits.
        torch.backends.cudnn.allow_tf32 = False
    runner = Runner(language, speech, slots=slots, max_prompt_tokens=MAX_PROMPT_TOKENS, max_frames=max_frames)
    precision_text = f"{_dtype_name(language_precision)}, codec {_dtype_name(codec_precision)}"
    report(
        f"{runner.slots} slots of {runner.slot_bytes / 2**20:.0f} MiB on {torch_device}, "
        f"language model {precision_text}"
    )
    runner.warm_up(report)
    scheduler = Scheduler(
        runner,
        sample_rate=speech.config.sample_rate,
        frame_s=speech.config.frame_s,
        max_lead_s=MAX_LEAD_S,
        # On a CPU prompts read one after the other are as fast, and the first is spoken sooner.
        max_prefill_prompts=MAX_PREFILL_PROMPTS if on_gpu else 1,
        prefill_tokens_per_step=MAX_PROMPT_TOKENS if on_gpu else 64,
    )
    return KaniModel(
        name,
        checkpoint,
        layout,
        language,
        speech,
        runner,
        scheduler,
        precision_text,
        _embedder(embedder, checkpoint.config.speaker_size, hub) if checkpoint.config.speaker_size else None,
    )


def _checkpoint_name(source: str, folder: Path, cache: Path) -> str:
    """A checkpoint's name. A downloaded one lies in a folder named by its revision."""
    return source.partition("@")[0].rpartition("/")[2] if cache in folder.parents else folder.resolve().name


def _embedder(source: str, size: int, hub: Hub) -> SpeakerEmbedder | None:
    """Load the embedder of speakers of ``size`` numbers; None, with a log line, if it is unavailable."""
    try:
        folder = hub.find(source)
        embedder = SpeakerEmbedder(folder, _checkpoint_name(source, folder, hub.cache))
        if embedder.size != size:
            raise CheckpointError(f"{embedder.name} makes {embedder.size} numbers, the model takes {size}")
    except CheckpointError as error:
        log.warning("voice cloning is disabled for the Kani model: %s (--embedder FOLDER)", error)
        return None
    return embedder


def _language(
    checkpoint: Checkpoint,
    layout: TokenLayout,
    precision: torch.dtype,
    device: torch.device,
    capacity: int,
    kernels: Library | None,
) -> LanguageModel:
    """Load the language model; kernels: those of int8, None in any other precision."""
    with ExitStack() as stack:
        weights = checkpoint.weights(stack)
        if kernels is not None:
            return NativeLanguageModel(checkpoint.config, weights, layout, library=kernels, capacity=capacity)
        return LanguageModel(
            checkpoint.config, weights, layout, precision=precision, device=device, capacity=capacity
        )


def _precisions(name: str, device: torch.device, kernels: Library | None) -> tuple[torch.dtype, torch.dtype]:
    """Precision of the language model's products and of the codec's convolutions; kernels: those of int8."""
    if device.type == "cuda":
        if name == "int8":
            raise DeviceError("int8 is for the CPU: on CUDA use bfloat16 or float32")
        kind = torch.float32 if name == "float32" else torch.bfloat16
        return kind, kind
    # Without native support a CPU computes bfloat16 via float32, which only costs.
    fast = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    match name:
        case "float32":
            return torch.float32, torch.float32
        case "bfloat16":
            return torch.bfloat16, torch.bfloat16
        case "int8" if kernels is None:
            raise DeviceError(
                "int8 needs Linux, a processor with VNNI and a C++ compiler (g++): use float32 or bfloat16"
            )
        case "int8" | "auto":
            return torch.int8 if kernels is not None else fast, fast
    raise DeviceError(f"unknown precision {name!r}: use one of {', '.join(PRECISIONS)}")


def _dtype_name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def read_voices(folder: Path, size: int) -> dict[str, tuple[float, ...]]:
    """Read the voices of a folder: embeddings of ``size`` numbers and length 1, by the names of their files.

    ``.pt`` files are read without their pickle's code. Raises CheckpointError, which names the file.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{VOICES}: there is no folder {folder}")
    found: dict[str, tuple[float, ...]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".pt", ".npy") or not path.is_file() or len(found) >= MAX_VOICES:
            continue
        values = _read_voice(path)
        length = float(np.linalg.norm(values)) if values.size == size else 0.0
        if _VOICE_NAME.fullmatch(path.stem) is None or not np.isfinite(length) or not length:
            raise CheckpointError(f"{path.name} is no voice of this model: {size} numbers, not all of them 0")
        found[path.stem.lower()] = tuple((values / length).tolist())
    return found


def _read_voice(path: Path) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if path.stat().st_size > MAX_VOICE_BYTES:
        raise CheckpointError(f"{path.name} is too large (at most {MAX_VOICE_BYTES >> 10} KiB)")
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), np.float64).ravel()
        loaded = torch.load(path, map_location="cpu", weights_only=True)
        return np.asarray(torch.as_tensor(loaded).to(torch.float64)).ravel()
    except Exception as error:  # a damaged file makes torch and pickle raise whatever they like
        raise CheckpointError(f"{path.name} cannot be read: {error}") from error
