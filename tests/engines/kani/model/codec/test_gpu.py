"""NanoCodec's kernels for a GPU, by Triton's interpreter on a CPU: torch's samples, for any cut of frames."""

import importlib
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType

import pytest
import torch

from kani.engines.kani.model.codec.layers import Decoder
from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.engines.kani.model.graphs import Graphs
from tests.engines.kani.conftest import CPU
from tests.engines.kani.model.codec import tiny_codec

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")

MODULES = ["kani.engines.kani.model.codec.gpu_kernels", "kani.engines.kani.model.codec.gpu"]


@pytest.fixture(scope="module")
def gpu() -> Iterator[ModuleType]:
    """The decoder's module, with kernels that are interpreted."""
    with pytest.MonkeyPatch.context() as patch:
        # Read when a kernel is defined.
        patch.setenv("TRITON_INTERPRET", "1")
        for name in MODULES:
            patch.delitem(sys.modules, name, raising=False)
        yield [importlib.import_module(name) for name in MODULES][-1]
        for name in MODULES:
            sys.modules.pop(name)


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> NanoCodec:
    """A tiny codec with convolutions of torch's own, as on a GPU."""
    path = tmp_path_factory.mktemp("codec") / "tiny.nemo"
    tiny_codec.write(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoder, "pack", lambda decoder: None)
        return NanoCodec.load(path, device=CPU, precision=torch.float32)


@pytest.mark.parametrize("cuts", [(1, 1, 1), (2, 1), (1, 4)])
@torch.inference_mode()
def test_kernels_say_what_the_layers_say(gpu: ModuleType, codec: NanoCodec, cuts: tuple[int, ...]) -> None:
    own = gpu.GpuDecoder(codec._decoder)
    slots = torch.tensor([2, 0, 3])
    state, by_torch = codec.new_state(5), codec.new_state(5)
    chance = torch.Generator().manual_seed(1)
    for frames in cuts:
        sizes = (len(slots), frames, codec.config.codebooks)
        codes = torch.randint(0, codec.config.codebook_size, sizes, generator=chance)
        wanted = codec.decode(codes, slots, by_torch)
        said = own(codec._code_vectors[codes].flatten(2), slots, state)
        assert said.shape == wanted.shape
        assert (said - wanted).abs().max() < 1e-6
        assert wanted.abs().max() > 0.01
    assert (state - by_torch).abs().max() < 1e-5
    assert not state[1].any()
    assert not state[4].any()


@pytest.mark.parametrize(("seconds", "taken"), [((0.002, 0.001), True), ((0.001, 0.002), False)])
def test_kernels_are_taken_where_they_are_faster(
    gpu: ModuleType,
    codec: NanoCodec,
    monkeypatch: pytest.MonkeyPatch,
    seconds: tuple[float, float],
    taken: bool,
) -> None:
    moments = [0.0]

    def run(graphs: Graphs, work: object) -> None:
        assert callable(work)
        work()
        moments[0] += seconds[work.__name__ == "by_kernels"]

    # Kernels that are interpreted take their time.
    monkeypatch.setattr(gpu, "_ROUNDS", 1)
    monkeypatch.setattr(Graphs, "capture", lambda graphs, work: None)
    monkeypatch.setattr(Graphs, "run", run)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: moments[0])
    found = gpu.faster_decoder(codec._decoder, 3, torch.float32)
    assert (found is not None) is taken


def test_kernels_that_say_something_else_are_refused(
    gpu: ModuleType, codec: NanoCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "_frame_ms", lambda work: work() or 1.0)
    own = gpu.GpuDecoder.__call__
    monkeypatch.setattr(gpu.GpuDecoder, "__call__", lambda *given: own(*given).roll(1, -1))
    with pytest.raises(RuntimeError, match="samples of the kernels differ"):
        gpu.faster_decoder(codec._decoder, 2, torch.float32)
