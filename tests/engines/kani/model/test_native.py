"""The compiled int8 language model: exact sums, independent rows, no access outside its memory."""

import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from kani.engines.kani.model.checkpoint import Weights
from kani.engines.kani.model.lfm2 import LanguageModel
from kani.engines.kani.model.loader import _precisions
from kani.engines.kani.model.model_config import ModelConfig
from kani.engines.kani.model.native import library as native_library
from kani.engines.kani.model.native.library import Library, find_compiler, load
from kani.engines.kani.model.native.model import STRETCH, NativeInt8, NativeLanguageModel
from kani.engines.kani.model.state import NO_POSITION, LanguageState
from kani.engines.kani.model.tokens import TokenLayout
from kani.runtime.errors import DeviceError
from kani.runtime.linear import Linear
from tests.engines.kani.model.random_checkpoint import TINY
from tests.runtime.test_linear import random

EPSILON = 1e-5
CAPACITY = 70
LAYOUT = TokenLayout(20, 2, 30)
WIDTHS = ("hidden_size", "head_dim", "intermediate_size", "num_attention_heads", "num_key_value_heads")
LAYERS = ("num_hidden_layers", "full_attn_idxs", "conv_L_cache")
SIZES: dict[str, dict[str, object]] = {
    "tiny": TINY,
    "odd": dict(zip(WIDTHS + LAYERS, (42, 10, 53, 9, 3, 4, [0, 2], 4), strict=True)),
    "wide heads": dict(zip(WIDTHS + LAYERS, (80, 40, 130, 4, 4, 3, [1], 2), strict=True)),
}
SECOND = {"speaker_emb_dim": 12, "audio_step": 0.3, "use_learnable_rope": True, "alpha_min": 0.5}


def missing() -> str:
    """Reason for the kernels' absence; fails where all their requirements are met."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"the kernels are for Linux on x86-64, not for {platform.system()} on {platform.machine()}"
    if not torch.cpu._is_vnni_supported():
        return "the processor lacks VNNI, which the kernels want"
    if find_compiler() is None:
        return "there is no C++ compiler: g++ of the package build-essential will do"
    pytest.fail("the kernels could not be compiled or opened, though there are VNNI and a C++ compiler")


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture(scope="module")
def library(kernels: Path) -> Library:
    return load(kernels) or pytest.skip(missing())


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def model_of(library: Library, config: ModelConfig) -> NativeLanguageModel:
    return NativeLanguageModel(config, weights_of(config), LAYOUT, library=library, capacity=CAPACITY)


def config_of(sizes: dict[str, object]) -> ModelConfig:
    """A config with these sizes and the layout's vocabulary."""
    fixed = {"vocab_size": LAYOUT.text_vocabulary + 70, "rope_parameters": {"rope_theta": 1e4}}
    return ModelConfig.parse(sizes | fixed | {"block_auto_adjust_ff_dim": "block_ff_dim" in sizes})


def weights_of(config: ModelConfig) -> Weights:
    """Random weights with which every layer matters."""
    shapes = config.shapes()

    def read(name: str) -> Tensor:
        values = random(*shapes[name], key=list(shapes).index(name))
        if "norm" in name:
            return 1 + 0.2 * values
        if not shapes[name]:
            return values
        return values * (0.5 if "conv.conv" in name else shapes[name][-1] ** -0.5)

    return read


@pytest.fixture(scope="module", params=SIZES)
def model(request: pytest.FixtureRequest, library: Library) -> NativeLanguageModel:
    return model_of(library, config_of(SIZES[request.param]))


class ExactInt8:
    """The reference of a product: the same levels, summed in float64, which holds each sum exactly."""

    def __init__(self, weight: Tensor) -> None:
        peaks = weight.abs().amax(1).clamp_min(1e-12)
        self._levels = torch.round(weight * (127 / peaks)[:, None]).double()
        self._scales = peaks / 127

    def __call__(self, rows: Tensor) -> Tensor:
        return self._product(rows, torch.ones(()))

    def normed(self, rows: Tensor, epsilon: float) -> Tensor:
        return self._product(
            rows, torch.rsqrt(rows.double().square().mean(-1, keepdim=True) + epsilon).float()
        )

    def _product(self, rows: Tensor, scale: Tensor) -> Tensor:
        total = torch.zeros(())
        for part, weights in zip(rows.split(STRETCH, -1), self._levels.split(STRETCH, -1), strict=True):
            peaks = part.abs().amax(-1, keepdim=True).clamp_min(1e-12)
            levels = torch.round(part * (127 / peaks)).double()
            total = total + (levels @ weights.T).float() * (peaks / 127 * scale)
        return total * self._scales


class ExactLanguageModel(LanguageModel):
    """The reference of a model: the eager code with reference products."""

    def __init__(self, config: ModelConfig) -> None:
        precision, device = torch.float32, torch.device("cpu")
        made = weights_of(config)
        super().__init__(config, made, LAYOUT, precision=precision, device=device, capacity=CAPACITY)
        self._embedding = self._embedding.bfloat16()

    def _linear(self, weight: Tensor, groups: int) -> Linear:
        return ExactInt8(weight)


def with_full_precision(model: LanguageModel, slots: int) -> LanguageState:
    """A state with keys and values that are not rounded."""
    state = model.new_state(slots)
    state.cache = state.cache.float()
    return state


def read(model: LanguageModel, state: LanguageState, prompts: list[list[int]], piece: int = 1000) -> Tensor:
    """Prefill prompts in pieces; returns the rows of the last piece."""
    longest = max(map(len, prompts))
    tokens = torch.tensor([prompt + [0] * (longest - len(prompt)) for prompt in prompts])
    for start in range(0, longest, piece):
        rows = model.prefill(tokens[:, start : start + piece], list(map(len, prompts)), state, start)
    return rows


def prompt(length: int, key: int) -> list[int]:
    generator = torch.Generator().manual_seed(key)
    return torch.randint(3, LAYOUT.text_vocabulary, (length,), generator=generator).tolist()


@pytest.mark.parametrize(("outputs", "inputs"), [(1, 1), (37, 203), (48, 64), (66, 130), (96, 4610)])
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 10, 11, 16, 33])
def test_product_sums_levels(library: Library, outputs: int, inputs: int, groups: int, rows: int) -> None:
    outputs *= groups
    weight = random(outputs, inputs, key=1) * torch.exp(random(outputs, 1, key=2))
    x = random(rows, inputs, key=3) * torch.exp(3 * random(rows, 1, key=4))
    product, judge = NativeInt8(weight, library, groups), ExactInt8(weight)
    assert torch.equal(product(x), judge(x))
    wanted = judge.normed(x, EPSILON)
    # Stretches may cancel each other, so that the bound is on what they add up to at most.
    torch.testing.assert_close(
        product.normed(x, EPSILON), wanted, rtol=1e-6, atol=float(1e-6 * wanted.abs().max())
    )


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_row_of_any_level_does_not_depend_on_neighbours_or_threads(library: Library, threads: int) -> None:
    product = NativeInt8(random(70, 90, key=1), library)
    x = random(41, 90, key=2) * torch.exp(5 * random(41, 1, key=3))
    alone = torch.cat([product.normed(row, EPSILON) for row in x.split(1)])
    with computing_with(threads):
        for count in range(1, 42):
            assert torch.equal(product.normed(x[:count], EPSILON), alone[:count])
    assert torch.equal(product(torch.zeros(2, 3, 90)), torch.zeros(2, 3, 70))
    assert product(torch.zeros(0, 90)).shape == (0, 70)
    with pytest.raises(ValueError, match="89 inputs"):
        product(torch.zeros(1, 89))
    loud = torch.zeros(1, 64)
    loud[0, 7] = 1e30
    twice = NativeInt8(torch.full((5, 64), -2.0), library)
    torch.testing.assert_close(twice(loud), torch.full((1, 5), -2e30))


def speakers(model: LanguageModel, *rows: int) -> dict[int, Tensor]:
    """Projected random speakers for these rows of a prefill."""
    numbers = {row: random(model.config.speaker_size, key=row).tolist() for row in rows}
    return {row: model.project_speaker(speaker) for row, speaker in numbers.items()}


@pytest.mark.parametrize("second", [False, True], ids=["first", "KaniTTS-2"])
@pytest.mark.parametrize("name", SIZES)
def test_step_matches_eager_model_with_exact_products(library: Library, name: str, second: bool) -> None:
    config = config_of(SIZES[name] | (SECOND if second else {}))
    judge, model = ExactLanguageModel(config), model_of(library, config)
    judged, state = (with_full_precision(each, 3) for each in (judge, model))
    prompts = torch.tensor([prompt(12, key=key) for key in range(3)])
    pairs: list[tuple[Tensor, Tensor]] = []

    def step(take: Callable[[LanguageModel, LanguageState], Tensor]) -> None:
        """Both take a step from the judge's state."""
        state.cache.copy_(judged.cache)
        state.context.copy_(judged.context)
        pairs.append((take(judge, judged), take(model, state)))

    for start, piece in ((0, prompts[:, :5]), (5, prompts[:, 5:])):
        step(lambda m, s: m.prefill(piece, [12] * 3, s, start, speakers(m, 0, 2) if second else {}))  # noqa: B023
    masked = [10, NO_POSITION, 10] if second else judged.self_masked_from.tolist()
    assert state.self_masked_from.tolist() == judged.self_masked_from.tolist() == masked
    assert state.speech_start.tolist() == [12] * 3
    for number in range(CAPACITY - 12):
        tokens = torch.randint(30, 80, (3,), generator=torch.Generator().manual_seed(number))
        step(lambda m, s: m.decode(tokens, s, CAPACITY))  # noqa: B023
        judged.position += 1
        state.position += 1
    difference = torch.cat([(row - exact).abs().amax(1) / exact.abs().amax(1) for exact, row in pairs[2:]])
    assert (difference < 1e-6).float().mean() > (0.9 if second else 0.95)
    assert second or difference.max() < 0.15
    assert min(float(cosine_similarity(row, exact).min()) for exact, row in pairs) > 0.99


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_sequence_does_not_depend_on_neighbours(model: NativeLanguageModel, threads: int) -> None:
    prompts = [prompt(3 + 5 * i % 37, key=i) for i in range(16)]
    tokens = torch.arange(30, 46)
    alone, rows = [], []
    for text, token in zip(prompts, tokens, strict=True):
        state = model.new_state(1)
        read(model, state, [text])
        rows.append(model.decode(token[None], state, len(text) + 1))
        alone.append(state.views(0, len(text) + 1))
    with computing_with(threads):
        for count in range(1, 17):
            state = model.new_state(count)
            read(model, state, prompts[-count:])
            assert torch.equal(model.decode(tokens[-count:], state, CAPACITY), torch.cat(rows[-count:]))
            for slot, stream in enumerate(alone[-count:]):
                cache, context = state.views(slot, stream[0].shape[-2])[:2]
                assert torch.equal(cache, stream[0]) and torch.equal(context, stream[1])


@pytest.mark.parametrize("piece", [1, 2, 7, 16, 17])
def test_chunked_prefill_is_bit_identical(model: NativeLanguageModel, piece: int) -> None:
    prompts = [prompt(length, key=length) for length in (34, 34, 34)]
    whole, pieces, spoken = (model.new_state(3) for _ in range(3))
    expected = read(model, whole, prompts)
    for tokens in torch.tensor(prompts).T:
        rows = model.decode(tokens, spoken, CAPACITY)
        spoken.position += 1
    for found, state in ((read(model, pieces, prompts, piece), pieces), (rows, spoken)):
        assert torch.equal(found, expected)
        assert torch.equal(state.cache, whole.cache) and torch.equal(state.context, whole.context)


def test_kernel_stays_within_state_and_refuses_another_models(model: NativeLanguageModel) -> None:
    state = model.new_state(3)
    assert state.cache.dtype == torch.float16
    exact = with_full_precision(model, 1)
    half, full = (model.head(read(model, each, [prompt(40, key=1)]), 0) for each in (state, exact))
    assert cosine_similarity(half, full).item() > 0.999
    state = model.new_state(3)
    read(model, state, [prompt(CAPACITY - 1, key=1), prompt(CAPACITY - 1, key=2)])
    before = (state.cache[:, :, 2].clone(), state.context[:, 2].clone())
    kept = state.cache[:, :, :2, :, : CAPACITY - 1].clone()
    model.decode(torch.tensor([30, 31]), state, CAPACITY)
    assert state.cache[:, :, :2, :, CAPACITY - 1].abs().sum() > 0
    assert torch.equal(state.cache[:, :, :2, :, : CAPACITY - 1], kept)
    state.position += 1
    full = (state.cache.clone(), state.context.clone())
    with pytest.raises(ValueError, match="no room"):
        model.decode(torch.tensor([30, 31]), state, CAPACITY)
    state.position.zero_()
    with pytest.raises(ValueError, match="slot 3 of 3"):
        model.decode(torch.arange(30, 34), state, CAPACITY)
    with pytest.raises(ValueError, match="no room"):
        model.prefill(torch.full((1, CAPACITY + 1), 5), [CAPACITY + 1], state, 0)
    state.position[0] = -1
    with pytest.raises(ValueError, match="no room"):
        model.decode(torch.tensor([30]), state, CAPACITY)
    assert torch.equal(state.cache, full[0]) and torch.equal(state.context, full[1])
    assert torch.equal(state.cache[:, :, 2], before[0]) and torch.equal(state.context[:, 2], before[1])
    for cache, message in (
        (state.cache[..., :-2], "not of this model"),
        (state.cache.bfloat16(), "bfloat16"),
        (state.cache.transpose(0, -1).contiguous().transpose(0, -1), "gaps"),
    ):
        other = model.new_state(3)
        other.cache = cache
        with pytest.raises(ValueError, match=message):
            model.decode(torch.tensor([30]), other, 1)


def compiler_in(folder: Path, version: str, compile_: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have kernels compiled by a program in ``folder``; the file ``calls`` beside it, a line for each."""
    compiler = folder / "c++"
    compiler.write_text(
        f"""#!/bin/sh
[ "$1" = --version ] && {version} && exit
echo compiled >>{folder}/calls
for target; do :; done
{compile_} "$target"
"""
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    return folder / "calls"


def test_compiled_library_is_cached(
    library: Library,
    kernels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """By a compiler that copies what is compiled already."""
    (compiled,) = kernels.glob("*.so")
    calls = compiler_in(tmp_path, f"{find_compiler()} --version", f"cp {compiled}", monkeypatch)
    cache = tmp_path / "new" / "folder"
    assert load(cache) is not None
    (kept,) = cache.glob("*.so")
    whole = kept.read_bytes()
    assert load(cache) is not None
    assert calls.read_text() == "compiled\n"
    broken = kept.with_name("broken")
    broken.write_bytes(whole[: len(whole) // 2])
    broken.replace(kept)
    assert load(cache) is not None
    assert kept.read_bytes() == whole
    digest = kept.with_suffix(".sha256")
    digest.unlink()
    assert load(cache) is not None
    assert digest.exists()
    assert calls.read_text() == "compiled\n" * 3
    # The cache may be read-only.
    (tmp_path / "file").touch()
    assert load(tmp_path / "file" / "folder") is not None
    assert "cannot keep" in caplog.text and calls.read_text() == "compiled\n" * 4


def test_checkouts_share_library_and_need_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, own, other = tmp_path / "cache", Path(native_library.__file__).parent, tmp_path / "other"
    calls = compiler_in(tmp_path, "echo 1", "echo library >", monkeypatch)

    def cached(folder: Path) -> Path | None:
        monkeypatch.setattr(native_library, "_FOLDER", folder)
        return native_library._cached(cache, [str(tmp_path / "c++"), str(folder / "int8.cpp"), "-o"])

    shutil.copytree(own, other)
    assert cached(own) == cached(other) == cached(own) is not None
    assert calls.read_text() == "compiled\n"
    (other / "product.h").write_text("// another version")
    assert cached(other) != cached(own)
    assert calls.read_text() == "compiled\n" * 2
    monkeypatch.undo()
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert load(tmp_path / "none") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "c++").write_text("#!/bin/sh\nexit 1\n")
    assert load(tmp_path / "none") is None


def test_int8_needs_kernels(library: Library) -> None:
    cpu = torch.device("cpu")
    language, codec = _precisions("auto", cpu, None)
    assert language == codec and language in (torch.bfloat16, torch.float32)
    assert _precisions("auto", cpu, library) == _precisions("int8", cpu, library) == (torch.int8, codec)
    with pytest.raises(DeviceError, match=r"VNNI and a C\+\+ compiler"):
        _precisions("int8", cpu, None)
