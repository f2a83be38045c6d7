"""The folder of a published checkpoint: tensors, voices and symbols that are read, and what is refused."""

import collections
import io
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.checkpoints.loading import Unreadable
from kani.engines.kokoro.text.vocabulary import VOCABULARY
from kani.engines.kokoro.voices import Voices
from tests.engines.checkpoints import Damage, Harmful, changed, saved
from tests.runtime.test_hub import NO_HUB, Hub, use_hub
from tests.runtime.test_hub import hub as hub
from tests.tools.kokoro_pack.conftest import MakeFolder
from tools.kokoro_pack.checkpoints.files import CheckpointFiles, Unusable, read_checkpoint
from tools.kokoro_pack.checkpoints.onnx_weights import read_onnx_weights
from tools.kokoro_pack.checkpoints.pytorch_weights import read_weights
from tools.kokoro_pack.checkpoints.symbols import CheckpointSymbols
from tools.kokoro_pack.checkpoints.tensor_file import NoTensors, read_array, read_tensors
from tools.kokoro_pack.checkpoints.voice_files import read_voices

SHIPPED = Voices()
TABLE = SHIPPED.table("if_sara").astype(np.float32)


def found(folder: Path, *languages: str) -> CheckpointFiles:
    return read_checkpoint(str(folder), languages, Path("no-such-folder"))


def test_voices_are_read_from_each_kind_of_file(tmp_path: Path) -> None:
    (tmp_path / "raw.bin").write_bytes(TABLE[:, np.newaxis].tobytes())
    np.save(tmp_path / "Björn.npy", TABLE)
    (tmp_path / "voices").mkdir()
    longer = np.concatenate([TABLE, TABLE[:1]])[:, np.newaxis]
    np.savez(tmp_path / "voices" / "pack.npz", allow_pickle=False, one=longer, two=TABLE[:, np.newaxis])
    # The family's file of all voices is such an archive, too.
    np.savez(tmp_path / "three.npz", allow_pickle=False, three=TABLE)
    (tmp_path / "three.npz").rename(tmp_path / "voices-v1.0.bin")
    torch.save(torch.from_numpy(TABLE[:, np.newaxis]), tmp_path / "voices" / "eva.pt")
    tables = read_voices(tmp_path)
    assert tables.keys() == {"raw", "Bjorn", "one", "two", "three", "eva"}
    for table in tables.values():
        assert table.dtype == np.float32 and table.shape == TABLE.shape and (table == TABLE).all()


def zipped(name: str, compression: int = zipfile.ZIP_STORED, **content: bytes) -> Damage:
    """Write an archive of arrays beside the voices."""

    def write(folder: Path) -> None:
        with zipfile.ZipFile(folder / "voices" / name, "w", compression) as archive:
            for entry, array in content.items():
                archive.writestr(f"{entry}.npy", array)

    return write


def npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def encrypted(folder: Path) -> None:
    zipped("locked.npz", locked=npy(TABLE))(folder)
    spoilt = bytearray((folder / "voices" / "locked.npz").read_bytes())
    # The flag of an encrypted entry, in its header and in the list of entries.
    spoilt[6] |= 1
    spoilt[spoilt.rindex(b"PK\x01\x02") + 8] |= 1
    (folder / "voices" / "locked.npz").write_bytes(spoilt)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "needs exactly one file .*, and has none"),
        (changed("other.onnx", b""), "and has model.onnx, other.onnx"),
        (lambda folder: (folder / "voices" / "martin.bin").unlink(), "it has no voices"),
        (changed("voices/bad.bin", b"123"), "bad.bin: 3 bytes are not rows of 256"),
        (changed("voices/short.bin", bytes(1024)), r"short.bin: .* \[1, 256\], where .* \[510, 1, 256\]"),
        (changed("voices/two words.bin", TABLE.tobytes()), "'two words' is no name of a voice"),
        (changed("martin.bin", TABLE.tobytes()), "the voice martin is there twice"),
        (changed("voices/long.bin", bytes((4 << 20) + 1)), "long.bin: longer than 4194304 bytes"),
        (changed("voices/bad.npy", npy(TABLE[:, :128])), r"float32 \[510, 128\]"),
        (changed("voices/bad.npy", npy(TABLE.astype(np.int16))), "int16"),
        (changed("voices/bad.npy", npy(np.where(TABLE > 0, TABLE, np.nan))), "values that are not finite"),
        (changed("voices/bad.npy", npy(np.array([{}], object))), "bad.npy: .*allow_pickle"),
        (changed("voices/eva.pt", saved(torch.ones(510, 1, 128))), r"eva.pt: .*\[510, 1, 128\]"),
        (changed("voices/eva.pt", saved({"x": Harmful(Path("nowhere"))})), "eva.pt: .*makes no tensor"),
        (changed("voices/bad.npz", b"PK\x03\x04 not at all"), "bad.npz: .*not a zip file"),
        (encrypted, "locked.npz: .*encrypted"),
        (zipped("many.npy", one=npy(TABLE)), "many.npy: it is an archive"),
        (zipped("bomb.npz", zipfile.ZIP_DEFLATED, bad=bytes(5 << 20)), "bomb.npz: bad.npy is longer than"),
        (changed("config.json", b"{"), "config.json: "),
        (changed("config.json", '{"vocab": ["a"]}'), "config.json: .*vocab"),
        (changed("config.json", '{"other": 1}'), "config.json: .*vocab"),
        (changed("config.json", '{"vocab":{"a":178}}'), "'a' is not one character with a token of 0 to 177"),
        (changed("config.json", '{"vocab": {"ab": 1}}'), "'ab' is not one character"),
    ],
)
def test_spoilt_folder_refused(make_folder: MakeFolder, spoil: Damage, reason: str) -> None:
    folder = make_folder("de")
    assert [voice.id for voice in found(folder, "de").voices] == ["martin"]
    spoil(folder)
    with pytest.raises(Unusable, match=reason):
        found(folder, "de")


def test_checkpoint_of_a_hub_is_fetched_once(
    make_folder: MakeFolder, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.marks_files, folder = False, make_folder("german")
    hub.files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("**/*.*")}
    hub.files |= {"README.md": b"not needed", "samples/a.wav": b"not needed"}
    fetched = read_checkpoint(hub.repository, ("de",), tmp_path / "cache")
    assert [voice.id for voice in fetched.voices] == ["martin"] and fetched.name == "owner/name"
    assert not [path for path in hub.asked if path.endswith((".md", ".wav"))]
    use_hub(monkeypatch, NO_HUB)
    assert read_checkpoint(hub.repository, ("de",), tmp_path / "cache").network == fetched.network


def test_names_give_language_and_gender(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder("both", zf_001="zf_xiaobei", bm_x="bm_george", af_sol="af_sky", ef_y="ef_dora")
    files = found(folder, "zh", "en")
    # The Spanish voice is left out.
    tags = {voice.id: (voice.language, voice.gender) for voice in files.voices}
    assert tags == {"af_sol": ("en-US", "female"), "bm_x": ("en-GB", "male"), "zf_001": ("zh", "female")}
    assert files.vocabulary == VOCABULARY and files.name == "both"
    files = found(make_folder("de", af_x="af_sky", af_y="af_sky"), "de")
    assert [(voice.id, voice.language) for voice in files.voices] == [("af_x", "de"), ("af_y", "de")]
    monkeypatch.setattr("tools.kokoro_pack.checkpoints.voice_files.MAX_VOICES", 1)
    with pytest.raises(Unusable, match="the voices are more than 1"):
        found(folder, "en")


def with_entry(replaced: bytes, name: str = "data.pkl") -> bytes:
    """A saved file with another entry of that ``name``, its pickle unless one is given."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(torch.ones(3)))) as source, zipfile.ZipFile(content, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, replaced if entry.filename.endswith(name) else source.read(entry))
    return content.getvalue()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_torch_saves_is_read(protocol: int) -> None:
    shared = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    state = collections.OrderedDict(
        whole=shared,
        turned=shared.transpose(0, 2),
        part=shared[1, 1:],
        half=shared.half(),
        brain=shared.bfloat16(),
        parameter=torch.nn.Parameter(shared),
        integers=torch.arange(3),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 3),
        flags=torch.tensor([True, False]),
    )
    kept = {"state": state, "layer": torch.nn.Linear(2, 3).state_dict()}
    others = [1, -5, 2**40, 0.5, None, True, "é"]
    read = read_tensors(saved({**kept, "list": others}, pickle_protocol=protocol))
    assert read["list"] == others
    for part, tensors in kept.items():
        for name, tensor in tensors.items():
            array, expected = read[part][name], tensor.detach().float().numpy()
            assert array.shape == expected.shape and (array.astype(np.float32) == expected).all(), name


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n("
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x03tQ"
# The instructions of a pickle between its version and its end.
HOSTILE = {
    "a function by name": (b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R", "calls os.system"),
    "the builtins": (b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R", "calls builtins.eval"),
    "torch's own loader": (b"ctorch\nload\nX\x01\x00\x00\x00a\x85R", "calls torch.load"),
    "the name of a name": (
        b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93X\x02\x00\x00\x00ls\x85R",
        "calls os.system",
    ),
    "a class": (b"(cos\n_Environ\no", "the instruction OBJ"),
    "an instance": (b"(ios\nsystem\n", "the instruction INST"),
    "a new object": (b"cos\n_Environ\n)\x81", "the instruction NEWOBJ"),
    "an extension": (b"\x82\x01", "the instruction EXT1"),
    "a call of no name": (b"K\x01)R", "calls something without a name"),
    "the state of no dictionary": (b"K\x01}b", "an item outside a dictionary"),
    "a reference elsewhere": (b"X\x01\x00\x00\x00aQ", "refers to something that is no storage"),
    "a file outside": (STORAGE.replace(b"\x01\x00\x00\x000", b"\x05\x00\x00\x00../.."), "has no bytes"),
    "a storage of objects": (STORAGE.replace(b"FloatStorage", b"Whatever"), "no storage of numbers"),
    "a tensor beyond its bytes": (
        TENSOR + STORAGE + b"K\x00K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR",
        "exceeds its bytes",
    ),
    "a place before its bytes": (
        TENSOR + STORAGE + b"J\xff\xff\xff\xffK\x01\x85K\x01\x85\x89NtR",
        "not one of whole numbers",
    ),
    "a huge shape": (TENSOR + STORAGE + b"K\x00J\xff\xff\xff\x7f\x85K\x00\x85\x89NtR", "has the shape"),
    "a key of tuples": (b"}K\x01\x85" + 9 * b"\x85" + b"K\x01s", "neither a text nor a number"),
    "keys of tuples": (b"}(K\x01\x85K\x01u", "neither a text nor a number"),
    "a name of numbers": (b"K\x01K\x02\x93", "names something that is no text"),
    "an empty stack": (b"", "broken"),
    "a place that is empty": (b"h\x05", "broken"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickle_is_refused(name: str) -> None:
    instructions, reason = HOSTILE[name]
    with pytest.raises(NoTensors, match=reason):
        read_tensors(with_entry(b"\x80\x02" + instructions + b"."))


def test_nothing_is_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    content = saved({"bert": Harmful(touched)})
    with pytest.raises(NoTensors, match=r"calls posix.system, which makes no tensor"):
        read_tensors(content)
    with pytest.raises(NoTensors, match=r"no archive of torch.save"):
        read_tensors(pickle.dumps(Harmful(touched)))
    assert not touched.exists()
    # The file is one that would run it.
    torch.load(io.BytesIO(content), weights_only=False)
    assert touched.exists()


@given(st.binary(max_size=60))
def test_any_pickle_is_read_or_refused(pickled: bytes) -> None:
    with suppress(NoTensors):
        read_tensors(with_entry(b"\x80\x02" + pickled))


def test_bytes_and_weights_that_cannot_be_read_are_refused() -> None:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "bias")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    elsewhere = helper.make_model(helper.make_graph([], "graph", [], [], [tensor]))
    lengths_only = modules(decoder={"a.weight_g": torch.ones(2, 1, 1)})
    old = saved(torch.ones(3), _use_new_zipfile_serialization=False)
    for read, content, reason in (
        (read_tensors, with_entry(b""), "broken|no end"),
        (read_tensors, with_entry(b"\x80\x02}"), "broken|no end"),
        (read_tensors, with_entry(b"big", "byteorder"), "little-endian"),
        (read_array, b"", "no archive of torch.save"),
        (read_array, old, "before PyTorch 1.6"),
        (read_array, saved({"a": torch.ones(3), "b": torch.ones(3)}), "it is not one tensor"),
        (read_weights, saved(lengths_only), "decoder.a.weight_g has no weight_v beside it"),
        (read_weights, saved({"bert": {}}), "no checkpoint of Kokoro, which has bert, "),
        (lambda model: read_onnx_weights(model, ()), elsewhere, "bias is kept in another file"),
    ):
        with pytest.raises(NoTensors, match=reason):
            read(content)


def modules(**others: Any) -> dict[str, Any]:
    names = ("bert", "bert_encoder", "predictor", "decoder", "text_encoder")
    return {name: {"module.bias": torch.ones(2)} for name in names} | others


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize("wrapped", [False, True], ids=["published", "trained"])
def test_weights_have_their_names(wrapped: bool) -> None:
    layer = torch.nn.Conv1d(3, 4, 2)
    expected = layer.weight.detach().numpy()
    old = torch.nn.utils.weight_norm(torch.nn.Conv1d(3, 4, 2))
    new = torch.nn.utils.parametrizations.weight_norm(torch.nn.Conv1d(3, 4, 2))
    state = modules(decoder={f"module.old.{n}": t for n, t in old.state_dict().items()})
    state["decoder"] |= {f"new.{n}": t for n, t in new.state_dict().items()}
    state["decoder"]["plain.weight"] = layer.weight
    weights = read_weights(saved({"net": state, "epoch": 3} if wrapped else state))
    assert {"bert.bias", "decoder.old.bias", "decoder.new.bias"} <= weights.keys()
    assert (weights["decoder.plain.weight"] == expected).all()
    for name, normed in (("old", old), ("new", new)):
        assert np.allclose(weights[f"decoder.{name}.weight"], normed.weight.detach().numpy(), atol=1e-6)


def written(vocabulary: dict[str, int] = VOCABULARY, cache: Path = Path("none")) -> CheckpointSymbols:
    return CheckpointSymbols(EspeakClient.shared(), vocabulary, cache)


@pytest.mark.parametrize("language", ["de", "sv", "en", "es", "zh", "ja"])
def test_published_symbols_suffice(language: str, cache: Path) -> None:
    of_kokoro = written(cache=cache)
    of_kokoro.check(language)
    assert all(set(text) <= VOCABULARY.keys() for text in of_kokoro.texts(language))


@pytest.mark.parametrize(
    ("lacking", "more", "language", "reason"),
    [
        ("ʁɡ", {}, "de", "config.json: vocab lacks .*ɡ.*, which de needs"),
        ("…", {}, "de", "vocab lacks …, which de needs"),
        ("w", {}, "en", "vocab lacks w, which en needs"),
        ("", {"ㄅ": 30}, "zh", "its Chinese is written in zhuyin"),
        ("", {}, "xx", "espeak-ng has no voice of the language xx"),
    ],
)
def test_other_symbols_are_refused(lacking: str, more: dict[str, int], language: str, reason: str) -> None:
    vocabulary = {symbol: token for symbol, token in VOCABULARY.items() if symbol not in lacking}
    with pytest.raises(Unreadable, match=reason):
        written(vocabulary | more).check(language)
