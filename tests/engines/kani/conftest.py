"""Tiny random Kani checkpoints and codecs, their networks, and an engine of them."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from kani.engines.kani.engine import KaniEngine
from kani.engines.kani.model.checkpoint import Checkpoint
from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.lfm2 import LanguageModel
from kani.engines.kani.model.runner import Runner
from kani.engines.kani.model.sampler import Sampling
from kani.engines.kani.model.tokens import TokenLayout
from kani.engines.kani.plugin import KaniSettings
from kani.engines.plugin import Resources
from tests.engines.kani.model.codec import tiny_codec
from tests.engines.kani.model.random_checkpoint import random_checkpoint
from tests.engines.packages import life
from tests.judges.lfm2_judge import Judge

CPU = torch.device("cpu")
LONGEST_PROMPT = 48
LONGEST_FRAMES = 60

Prompt = tuple[int, ...]
Frames = list[list[int]]
NewRunner = Callable[..., Runner]


@pytest.fixture(scope="session")
def checkpoint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint that ends its speech after some frames. Read-only."""
    folder = random_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")
    layout = Checkpoint(folder).layout(codebooks=4, codebook_size=4032)
    rows = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    # Four thousand codes against one end: just by chance it would hardly ever win.
    rows[layout.end_of_speech] *= 2.5
    rewrite(folder, **{"model.embed_tokens.weight": rows})
    return folder


def rewrite(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Replace tensors of the weights; None removes one."""
    path = folder / "model.safetensors"
    weights: dict[str, Any] = load_file(path) | tensors
    save_file({key: value for key, value in weights.items() if value is not None}, path)


def misfits(of: str) -> list[tuple[dict[str, Any], str]]:
    """Entries of a config that are refused, and the message (model/misfits.tsv)."""
    lines = (Path(__file__).parent / "model" / "misfits.tsv").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines)
    return [(json.loads(entries), message) for part, entries, message in rows if part == of]


@pytest.fixture(scope="session")
def checkpoint(checkpoint_folder: Path) -> Checkpoint:
    return Checkpoint(checkpoint_folder)


@pytest.fixture(scope="session")
def layout(checkpoint: Checkpoint) -> TokenLayout:
    return checkpoint.layout(codebooks=4, codebook_size=4032)


@pytest.fixture(scope="session")
def model(checkpoint: Checkpoint, layout: TokenLayout) -> LanguageModel:
    """Its network in float32, with exactly enough room for the longest prompt and speech."""
    return load(checkpoint, layout, torch.float32)


def load(
    checkpoint: Checkpoint, layout: TokenLayout, precision: torch.dtype, device: torch.device = CPU
) -> LanguageModel:
    with ExitStack() as stack:
        return LanguageModel(
            checkpoint.config,
            checkpoint.weights(stack),
            layout,
            precision=precision,
            device=device,
            capacity=Runner.capacity(LONGEST_PROMPT, LONGEST_FRAMES, layout.codebooks),
        )


@pytest.fixture(scope="session")
def judge(checkpoint_folder: Path, layout: TokenLayout) -> Judge:
    """transformers' network of the tiny checkpoint."""
    return Judge(checkpoint_folder, layout)


@pytest.fixture(scope="session")
def codec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("codec") / "tiny.nemo"
    tiny_codec.write(path)
    return path


@pytest.fixture(scope="session")
def codec(codec_file: Path) -> NanoCodec:
    """A tiny codec in float32, 12 samples a frame."""
    return NanoCodec.load(codec_file, device=CPU, precision=torch.float32)


@pytest.fixture(scope="session")
def prompts(checkpoint: Checkpoint, layout: TokenLayout) -> list[Prompt]:
    """Prompts of many lengths, among them the shortest and the longest that fit the tests' slots."""
    texts = ["", "a", "Hola", "¿Qué?", "tres tristes tigres", "uno dos", "Buenos días a todos", "x" * 42]
    made = [tuple(layout.prompt(checkpoint.text_tokens(text))) for text in texts]
    assert max(map(len, made)) == LONGEST_PROMPT
    return made


@pytest.fixture(scope="session")
def new_runner(model: LanguageModel, codec: NanoCodec) -> NewRunner:
    """Creates runners of the tiny model and codec: ``new_runner(slots, kind=Runner, network=model)``."""

    def make(
        slots: int, kind: type[Runner] = Runner, network: LanguageModel = model, whole: bool = False
    ) -> Runner:
        most = {"max_prompt_tokens": LONGEST_PROMPT, "max_frames": LONGEST_FRAMES}
        return kind(network, codec, slots=slots, whole_frames=whole, **most)

    return make


def admit(
    runner: Runner,
    slot: int,
    prompt: Prompt,
    sampling: Sampling,
    piece: int = 1000,
    speaker: tuple[float, ...] = (),
) -> None:
    prefill = runner.start_prefill([prompt], [speaker])
    while not prefill.done:
        runner.prefill_chunk(prefill, piece)
    runner.admit(slot, prefill, 0, sampling)


def run_alone(runner: Runner, prompt: Prompt, sampling: Sampling, frames: int) -> Frames:
    """Frames of a solo run in slot 0, with the end's frame if it ends."""
    admit(runner, 0, prompt, sampling)
    said: Frames = []
    for _ in range(frames):
        said += runner.sample(1).tolist()
        if said[-1][0] == runner.layout.codebook_size:
            break
        runner.advance(1)
    runner.release(0, 1)
    return said


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint and a small codec with frames of 80 ms; both work, and their speech is noise."""
    folder = tmp_path_factory.mktemp("kani")
    random_checkpoint(folder / "tiny")
    tiny_codec.write(folder / "codec.nemo", tiny_codec.SMALL)
    return folder


@pytest.fixture(scope="session")
def settings(folder: Path) -> KaniSettings:
    """The settings of a small model, which lies beside its codec."""
    return KaniSettings(codec=str(folder / "codec.nemo"))


def model_beside(settings: KaniSettings) -> str:
    return str(Path(settings.codec or "").with_name("tiny"))


def resources(
    cache: Path, device: str = "cpu", precision: str = "float32", slots: int = 2, **given: Any
) -> Resources:
    return Resources(cache, threads=1, device=device, precision=precision, max_concurrent=slots, **given)


@pytest.fixture
def uncompiled_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start engines on torch's own kernels: compiling the codec's for each takes longer than its test."""
    monkeypatch.setattr("kani.engines.kani.model.codec.nanocodec.compile_kernels", lambda precision: None)


def started(
    settings: KaniSettings, cache: Path, *device: Any, **given: Any
) -> AbstractAsyncContextManager[KaniEngine]:
    how = {"model": model_beside(settings)} | given
    return life.started(KaniEngine(settings, resources(cache, *device, **how)))


@pytest.fixture
async def engine(settings: KaniSettings, tmp_path: Path) -> AsyncIterator[KaniEngine]:
    async with started(settings, tmp_path) as engine:
        yield engine
