"""Puts a checkpoint and a codec to work on a device: files in, a scheduler that speaks out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from kani.checkpoint import Checkpoint
from kani.codec.nanocodec import NanoCodec
from kani.errors import CheckpointError, DeviceError
from kani.hub import Hub
from kani.lfm2 import LanguageModel
from kani.linear import Int8
from kani.native.library import load as load_kernels
from kani.native.model import NativeLanguageModel
from kani.runner import Runner
from kani.scheduler import Scheduler
from kani.speaker_encoder import SpeakerEmbedder
from kani.tokens import TokenLayout

log = logging.getLogger(__name__)

PRECISIONS = ("auto", "float32", "bfloat16", "int8")
DEFAULT_MODEL = "nineninesix/kani-tts-370m"
DEFAULT_CODEC = "nvidia/nemo-nano-codec-22khz-0.6kbps-12.5fps"
DEFAULT_EMBEDDER = "nineninesix/speaker-emb-tbr"

MAX_PROMPT_TOKENS = 512
"""Tokens of a prompt: some five times the longest segment of plain words."""
MAX_SEGMENT_S = 30.0
"""Seconds of one segment; by its makers' word the model gets worse beyond 20 (1,000 tokens)."""
MAX_LEAD_S = 2.0


@dataclass(frozen=True, slots=True)
class KaniModel:
    """A model at work. ``scheduler`` is not started yet.

    precision: of the language model and of the codec, in words; embedder: where the model speaks like a
    recording.
    """

    name: str
    checkpoint: Checkpoint
    layout: TokenLayout
    model: LanguageModel
    codec: NanoCodec
    runner: Runner
    scheduler: Scheduler
    precision: str
    embedder: SpeakerEmbedder | None

    @property
    def sample_rate(self) -> int:
        """Hertz."""
        return self.codec.config.sample_rate

    @property
    def frame_s(self) -> float:
        """Seconds of one frame."""
        return self.codec.config.frame_s


def load(
    model: str = DEFAULT_MODEL,
    codec: str = DEFAULT_CODEC,
    embedder: str = DEFAULT_EMBEDDER,
    *,
    device: str = "auto",
    precision: str = "auto",
    slots: int | None = None,
    threads: int | None = None,
    cache: Path,
    may_fetch: bool = False,
    report: Callable[[str], None] = log.info,
) -> KaniModel:
    """Load, check, place and warm up.

    model: a folder or a hub's name; codec: a .nemo file or a hub's name; embedder: a folder or a hub's
    name, looked for where the model takes a speaker, and done without where it cannot be had; device:
    ``auto`` is CUDA where there is one; precision: one of ``PRECISIONS``; slots: streams at once (8, on
    CUDA 256); threads: of the CPU; cache: where fetched and built files are kept; may_fetch: whether
    what has a hub's name and is not there may be fetched; told: gets a line now and then. Raises
    CheckpointError, DeviceError and OutOfMemory, each with what to do.
    """
    place = _device(device)
    products, convolutions = _precisions(precision, place)
    if threads is not None:
        torch.set_num_threads(threads)
    hub = Hub(cache, may_fetch, report)
    folder, archive = hub.find(model), hub.find_codec(codec)
    name = _called(model, folder, cache)
    checkpoint = Checkpoint(folder)
    checkpoint.check_shapes()
    report(f"loading {name}")
    # Reading the tokenizer takes a moment, which the first request should not have to wait for.
    checkpoint.text_tokens("")
    speech = NanoCodec.load(archive, device=place, precision=convolutions)
    layout = checkpoint.layout(codebooks=speech.config.codebooks, codebook_size=speech.config.codebook_size)
    longest_frames = round(MAX_SEGMENT_S / speech.config.frame_s)
    capacity = Runner.capacity(MAX_PROMPT_TOKENS, longest_frames, layout.codebooks)
    language = _language(checkpoint, layout, products, place, capacity, cache)
    speech.compile()
    on_gpu = place.type == "cuda"
    runner = Runner(
        language,
        speech,
        slots=slots or (256 if on_gpu else 8),
        max_prompt_tokens=MAX_PROMPT_TOKENS,
        max_frames=longest_frames,
    )
    arithmetic = f"{_name(products)}, codec {_name(convolutions)}"
    report(
        f"{runner.slots} slots of {runner.slot_bytes / 2**20:.0f} MiB on {place}, language model {arithmetic}"
    )
    runner.warm_up(report)
    scheduler = Scheduler(
        runner,
        sample_rate=speech.config.sample_rate,
        frame_s=speech.config.frame_s,
        max_lead_s=MAX_LEAD_S,
        # On a CPU one prompt after the other is as fast, and the first is spoken sooner.
        max_prefill_prompts=64 if on_gpu else 1,
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
        arithmetic,
        _embedder(embedder, checkpoint.config.speaker_size, hub) if checkpoint.config.speaker_size else None,
    )


def _called(given: str, folder: Path, cache: Path) -> str:
    """A checkpoint's name. A fetched one lies in a folder that is called by its revision."""
    return given.partition("@")[0].rpartition("/")[2] if cache in folder.parents else folder.resolve().name


def _embedder(given: str, size: int, hub: Hub) -> SpeakerEmbedder | None:
    """What makes speakers of ``size`` numbers; None, and a line in the log, where it cannot be had."""
    try:
        folder = hub.find(given)
        embedder = SpeakerEmbedder(folder, _called(given, folder, hub.cache))
        if embedder.size != size:
            raise CheckpointError(f"{embedder.name} makes {embedder.size} numbers, the model takes {size}")
    except CheckpointError as error:
        log.warning("the Kani model cannot speak like a recording: %s (--embedder FOLDER)", error)
        return None
    return embedder


def _language(
    checkpoint: Checkpoint,
    layout: TokenLayout,
    precision: torch.dtype,
    device: torch.device,
    capacity: int,
    cache: Path,
) -> LanguageModel:
    """The language model, on kernels of its own where they can be built and are for this precision."""
    library = load_kernels(cache / "kernels") if precision == torch.int8 else None
    with ExitStack() as stack:
        weights = checkpoint.weights(stack)
        if library is not None:
            return NativeLanguageModel(checkpoint.config, weights, layout, library=library, capacity=capacity)
        return LanguageModel(
            checkpoint.config, weights, layout, precision=precision, device=device, capacity=capacity
        )


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is no device: cpu, cuda or cuda:1, say") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"the Kani model runs on cpu and cuda, not on {name}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"torch {torch.__version__} finds no CUDA device: take --device cpu, "
            "or install a build of torch with CUDA"
        )
    return device


def _precisions(name: str, device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """Of the language model's products and of the codec's convolutions."""
    if device.type == "cuda":
        if name == "int8":
            raise DeviceError("int8 is for the CPU: on CUDA take bfloat16 or float32")
        kind = torch.float32 if name == "float32" else torch.bfloat16
        return kind, kind
    # Elsewhere a CPU computes bfloat16 by way of float32, which only costs.
    convolutions = torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32
    match name:
        case "float32":
            return torch.float32, torch.float32
        case "bfloat16":
            return torch.bfloat16, torch.bfloat16
        case "int8" if not Int8.supported():
            raise DeviceError("this build of torch has no int8 kernels (fbgemm): take float32 or bfloat16")
        case "int8":
            return torch.int8, convolutions
        case "auto":
            return torch.int8 if Int8.supported() else torch.float32, convolutions
    raise DeviceError(f"precision {name!r} is none of {', '.join(PRECISIONS)}")


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")
