"""NanoCodec: untrusted .nemo archives, and a decoder with NeMo's samples for any chunking of the frames."""

import io
import os
import subprocess
import tarfile
import zipfile
from itertools import chain, product
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kani.engines.kani.model.codec.checkpoint import (
    CONFIG_NAME,
    MAX_CONFIG_BYTES,
    MAX_MEMBERS,
    WEIGHTS_NAME,
    NanoCodecConfig,
    build_decoder,
    read_nemo,
)
from kani.engines.kani.model.codec.nanocodec import NanoCodec
from kani.runtime.errors import CheckpointError
from tests.engines.checkpoints import Harmful, saved
from tests.engines.kani.conftest import CPU, misfits
from tests.engines.kani.model.codec import tiny_codec
from tests.judges.judged import JUDGE_PYTHON, JUDGES, needs

SETTINGS = tiny_codec.config(tiny_codec.TINY)
WEIGHTS = tiny_codec.weights(SETTINGS, key=1)


MEMBERS = {CONFIG_NAME: yaml.safe_dump(SETTINGS).encode(), WEIGHTS_NAME: saved(WEIGHTS)}


def compressed(saved: bytes) -> bytes:
    repacked = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved)) as plain,
        zipfile.ZipFile(repacked, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    return repacked.getvalue()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({WEIGHTS_NAME: MEMBERS[WEIGHTS_NAME]}, f"no member named {CONFIG_NAME}"),
        ({CONFIG_NAME: MEMBERS[CONFIG_NAME]}, f"no member named {WEIGHTS_NAME}"),
        ({f"{n}": b"" for n in range(MAX_MEMBERS + 1)}, "more than 256 members"),
        (MEMBERS | {WEIGHTS_NAME: compressed(MEMBERS[WEIGHTS_NAME])}, "compressed"),
        *(
            (MEMBERS | {WEIGHTS_NAME: saved(content)}, r"not a tensor|no mapping")
            for content in ([1, 2], {"a": 1}, {1: torch.zeros(1)})
        ),
        *(
            (MEMBERS | {CONFIG_NAME: content}, CONFIG_NAME)
            for content in (b"- 1", b"a: [", b"\xff\xfe\x00", b"!!python/object/apply:os.getcwd []")
        ),
    ],
    ids=range(11),
)
def test_unsuitable_members_are_refused(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    tiny_codec.pack(tmp_path / "codec.nemo", members)
    with pytest.raises(CheckpointError, match=message):
        read_nemo(tmp_path / "codec.nemo")


@pytest.mark.parametrize(("mode", "prefix"), [("w:", "./"), ("w:gz", "")])
@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", f"../{WEIGHTS_NAME}", f"sub/{CONFIG_NAME}"])
def test_archives_are_read_and_other_members_not(tmp_path: Path, name: str, mode: str, prefix: str) -> None:
    """Plain and gzipped; nothing is written."""
    path = tmp_path / "inside" / "codec.nemo"
    path.parent.mkdir()
    tiny_codec.pack(path, {name: b"evil", **MEMBERS}, mode, prefix=prefix)
    config, weights = read_nemo(path)
    assert config == SETTINGS and weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["codec.nemo", "inside"]


def test_archive_with_doubled_torn_or_pickled_members_is_refused(tmp_path: Path) -> None:
    path, torn, victim = (tmp_path / name for name in ("codec.nemo", "torn.nemo", "victim"))
    tiny_codec.pack(path, MEMBERS)
    with tarfile.open(path, "a:") as archive:
        archive.addfile(tarfile.TarInfo(CONFIG_NAME))
    with pytest.raises(CheckpointError, match="two members"):
        read_nemo(path)
    for mode in ("w:", "w:gz"):
        tiny_codec.pack(path, MEMBERS, mode)
        for content in (path.read_bytes()[:20_000], b"", b"\x1f\x8b", b"hello" * 1000):
            torn.write_bytes(content)
            with pytest.raises(CheckpointError, match=r"torn\.nemo: "):
                read_nemo(torn)
    tiny_codec.pack(path, MEMBERS | {WEIGHTS_NAME: saved({"x": Harmful(victim)})})
    with pytest.raises(CheckpointError, match="not a file of tensors"):
        read_nemo(path)
    assert not victim.exists()


KINDS = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)


@pytest.mark.parametrize(
    ("kind", "size", "complaint"),
    [
        *((kind, 0, r"model_config\.yaml is not a regular file") for kind in KINDS),
        *((tarfile.REGTYPE, size, "bytes") for size in (MAX_CONFIG_BYTES + 1, 1 << 40)),
    ],
)
def test_irregular_or_huge_member_is_refused(tmp_path: Path, kind: bytes, size: int, complaint: str) -> None:
    path, target = tmp_path / "codec.nemo", tmp_path / "secret.yaml"
    target.write_bytes(MEMBERS[CONFIG_NAME])
    member = tarfile.TarInfo(CONFIG_NAME)
    member.type, member.size, member.linkname = kind, size, "" if size else str(target)
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 512 + size if size < 1 << 30 else 4096)
    with pytest.raises(CheckpointError, match=complaint):
        read_nemo(path)


ABSENT = ("audio_decoder", "vector_quantizer", "sample_rate", "samples_per_frame")


@pytest.mark.parametrize(("change", "named"), [*misfits("codec"), *(({name: None}, name) for name in ABSENT)])
def test_misfit_config_names_key(change: dict[str, dict[str, object] | None], named: str) -> None:
    """A section without entries is missing as a whole."""
    ((section, entries),) = change.items()
    settings = {name: content for name, content in SETTINGS.items() if name != section}
    if entries is not None:
        settings[section] = SETTINGS[section] | entries
    with pytest.raises(CheckpointError, match=named):
        NanoCodecConfig.parse(settings)


NAME = (
    "audio_decoder.res_layers.1.res_blocks.2.res_blocks.0.input_conv.conv.parametrizations.weight.original1"
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "is missing"),
        (torch.zeros(3, 3, 11), r"shape \(3, 3, 11\); floats of shape \(12, 12, 11\)"),
        (torch.zeros(12, 12, 11, dtype=torch.int32), "is torch.int32"),
    ],
)
def test_misfit_weights_name_key_and_shape(wrong: torch.Tensor | None, message: str) -> None:
    weights = {name: value for name, value in WEIGHTS.items() if name != NAME}
    if wrong is not None:
        weights[NAME] = wrong
    with pytest.raises(CheckpointError, match=f"{NAME}.*{message}"):
        build_decoder(NanoCodecConfig.parse(SETTINGS), weights)


JUDGED = {"tiny": (tiny_codec.TINY, (2, 90), (1, 3, 25, 90)), "full": (tiny_codec.FULL, (1, 30), (3, 30))}
"""Sizes that NeMo judges; streams and frames, more than the decoder's history; and frames in a call."""


TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Largest difference between two ways of feeding, by precision."""


@pytest.fixture(scope="module", params=product(TOLERANCE, (False, True)), ids=str)
def codec(codec_file: Path, request: pytest.FixtureRequest) -> NanoCodec:
    """The tiny codec in each precision, by torch's kernels and by its own."""
    precision, compiled = request.param
    codec = NanoCodec.load(codec_file, device=CPU, precision=precision)
    if compiled and not codec.compile():
        pytest.skip("no C++ compiler")
    return codec


def random_codes(streams: int, frames: int, key: int = 0) -> torch.Tensor:
    return torch.randint(0, 4032, (streams, frames, 4), generator=torch.Generator().manual_seed(key))


def fed(
    codec: NanoCodec, codes: torch.Tensor, sizes: list[int], state: torch.Tensor | None = None
) -> torch.Tensor:
    """One stream's samples, its frames [frames, 4] fed to slot 0 in calls of these sizes."""
    state = codec.new_state(1) if state is None else state
    parts = codes[: sum(sizes)].split(sizes)
    return torch.cat([codec.decode(part[None], torch.tensor([0]), state)[0] for part in parts])


@pytest.mark.heard
@settings(max_examples=25)  # an example decodes up to eight calls twice
@given(data=st.data())
def test_sequences_of_any_age_share_calls(codec: NanoCodec, data: st.DataObject) -> None:
    slots = 4
    state = codec.new_state(slots)
    codes = random_codes(slots, 200, 7)
    begun, age = [0] * slots, [0] * slots  # where in its codes a slot's stream began, and is now
    heard: list[list[torch.Tensor]] = [[] for _ in range(slots)]
    for _ in range(data.draw(st.integers(1, 8))):
        if again := data.draw(st.lists(st.integers(0, slots - 1), unique=True, max_size=2)):
            codec.reset(state, torch.tensor(again))
            for slot in again:
                begun[slot], heard[slot] = age[slot], []
        here = data.draw(st.lists(st.integers(0, slots - 1), unique=True, min_size=1))
        frames = data.draw(st.integers(1, 9))
        batch = torch.stack([codes[slot, age[slot] : age[slot] + frames] for slot in here])
        for slot, samples in zip(here, codec.decode(batch, torch.tensor(here), state), strict=True):
            heard[slot].append(samples)
            age[slot] += frames
    for slot in range(slots):
        if heard[slot]:
            said = codes[slot, begun[slot] : age[slot]]
            apart = (torch.cat(heard[slot]) - fed(codec, said, [len(said)])).abs().max()
            assert apart <= TOLERANCE[state.dtype]


def test_decode_touches_its_rows_only_and_takes_views(codec: NanoCodec) -> None:
    state = codec.new_state(4)
    codec.decode(random_codes(4, 5), torch.tensor([3, 1, 0, 2]), state)
    before = state.clone()
    codec.decode(random_codes(2, 2), torch.tensor([2, 0]), state)
    codec.reset(state, torch.tensor([0]))
    assert torch.equal(state[[1, 3]], before[[1, 3]])
    assert not torch.equal(state[2], before[2])
    codes, slots = random_codes(4, 6)[::2, 1::2], torch.tensor([2, 0, 1, 3])[::2]
    state, other = codec.new_state(4), codec.new_state(4)
    expected = codec.decode(codes.contiguous(), slots.contiguous(), other)
    assert torch.equal(codec.decode(codes, slots, state), expected)
    assert torch.equal(state, other)


@pytest.mark.parametrize("precision", TOLERANCE, ids=str)
def test_compiled_kernels_continue_sequence(
    codec_file: Path, precision: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = NanoCodec.load(codec_file, device=CPU, precision=precision)
    codes = random_codes(1, 20)[0]
    whole, state = fed(codec, codes, [20]), codec.new_state(1)
    begun = fed(codec, codes[:7], [7], state)
    # A missing compiler changes nothing.
    with monkeypatch.context() as without:
        without.setenv("PATH", "")
        without.delenv("CXX", raising=False)
        assert not codec.compile()
        without.setenv("CXX", "/bin/false")
        assert not codec.compile()
    assert torch.equal(fed(codec, codes, [20]), whole)
    if not codec.compile():
        pytest.skip("no C++ compiler")
    gone_on = fed(codec, codes[7:], [2, 11], state)
    assert (torch.cat((begun, gone_on)) - whole).abs().max() <= TOLERANCE[precision]


def test_branches_are_split_between_two_threads(codec_file: Path) -> None:
    codes = random_codes(2, 9)
    heard = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        codec = NanoCodec.load(codec_file, device=CPU, precision=torch.float32)
        if not codec.compile():
            pytest.skip("no C++ compiler")
        heard.append(codec.decode(codes, torch.tensor([1, 0]), codec.new_state(2)))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    assert (heard[0] - heard[1]).abs().max() <= 1e-5


def test_codes_out_of_range_are_refused_and_bfloat16_stays_close(codec: NanoCodec, codec_file: Path) -> None:
    for code, slot in ((4032, 0), (0, 2), (0, -1)):
        with pytest.raises((IndexError, RuntimeError)):
            codec.decode(torch.full((1, 1, 4), code), torch.tensor([slot]), codec.new_state(2))
    codecs = (NanoCodec.load(codec_file, device=CPU, precision=precision) for precision in TOLERANCE)
    exact, fast = (
        codec.decode(random_codes(2, 30), torch.tensor([0, 1]), codec.new_state(2)) for codec in codecs
    )
    assert 0 < (fast - exact).square().mean() < exact.square().mean() * 1e-3


@pytest.mark.parametrize("folded", [False, True], ids=["weight_norm of torch 1", "folded"])
def test_every_weight_norm_name_is_read(folded: bool) -> None:
    weights, other = tiny_codec.weights(SETTINGS, key=0), {}
    for name, value in weights.items():
        layer, normed, kind = name.partition(".parametrizations.weight.original")
        if not normed:
            other[name] = value
        elif not folded:
            other[layer + (".weight_v" if kind == "1" else ".weight_g")] = value
        elif kind == "1":
            norm = value.flatten(1).norm(dim=1).view(-1, 1, 1)
            other[f"{layer}.weight"] = value * (weights[f"{layer}{normed}0"] / norm)
    sizes = NanoCodecConfig.parse(SETTINGS)
    expected, actual = (build_decoder(sizes, state).state_dict() for state in (weights, other))
    assert expected.keys() == actual.keys()
    for key, value in expected.items():
        torch.testing.assert_close(actual[key], value, rtol=1e-6, atol=1e-7)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, torch.Tensor, torch.Tensor]]:
    """Archive, codes [streams, frames, 4] and NeMo's samples by size, from one process: it starts slowly."""
    needs("nemo")
    folder = tmp_path_factory.mktemp("judged")
    files = {name: [folder / f"{name}.{kind}" for kind in ("nemo", "codes.npy", "npy")] for name in JUDGED}
    for name, (sizes, shape, _) in JUDGED.items():
        archive_file, codes, _ = files[name]
        tiny_codec.write(archive_file, sizes, key=3)
        np.save(codes, random_codes(*shape).numpy())
    subprocess.run([JUDGE_PYTHON, JUDGES / "nemo_judge.py", *chain(*files.values())], check=True)
    return {
        name: (archive_file, *(torch.from_numpy(np.load(file)) for file in arrays))
        for name, (archive_file, *arrays) in files.items()
    }


@pytest.mark.heard
@pytest.mark.parametrize("size", JUDGED)
def test_samples_match_nemo(judged: dict[str, tuple[Path, torch.Tensor, torch.Tensor]], size: str) -> None:
    archive_file, codes, samples = judged[size]
    assert 0.01 < samples.abs().mean() < 0.5
    plain, fast = (NanoCodec.load(archive_file, device=CPU, precision=torch.float32) for _ in range(2))
    ways, slots = [], torch.arange(len(codes))
    for codec, step in product([plain, *([fast] if fast.compile() else [])], JUDGED[size][2]):
        state = codec.new_state(len(codes))
        calls = [codec.decode(part, slots, state) for part in codes.split(step, dim=1)]
        ways.append(torch.cat(calls, dim=1))
    for way in ways:
        assert (way - samples).abs().max() <= 1e-4
        assert (way - ways[0]).abs().max() <= 1e-5
