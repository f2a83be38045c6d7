"""Tensors of PyTorch's files: read without PyTorch, and nothing of a file is run."""

from __future__ import annotations

import collections
import io
import os
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

from kani.core.errors import EngineUnavailable
from kani.engines.kokoro.checkpoints.files import read_checkpoints
from kani.engines.kokoro.checkpoints.finding import local_places
from kani.engines.kokoro.checkpoints.onnx_weights import read_onnx_weights
from kani.engines.kokoro.checkpoints.pytorch_weights import read_weights
from kani.engines.kokoro.checkpoints.tensor_file import NoTensors, read_array, read_tensors
from tests.engines.kokoro.checkpoints.conftest import MakeFolder


def saved(value: object, **how: Any) -> bytes:
    content = io.BytesIO()
    torch.save(value, content, **how)
    return content.getvalue()


def with_pickle(pickled: bytes, value: object = None) -> bytes:
    """A saved file with another pickle."""
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(torch.ones(3) if value is None else value))) as source:
        with zipfile.ZipFile(content, "w") as target:
            for entry in source.infolist():
                target.writestr(entry, pickled if entry.filename.endswith("data.pkl") else source.read(entry))
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
    module = torch.nn.Linear(2, 3)
    value = {"state": state, "list": [1, -5, 2**40, 0.5, None, True, "é"], "layer": module.state_dict()}
    read = read_tensors(saved(value, pickle_protocol=protocol))
    assert read["list"] == value["list"]
    for name, tensor in {**state, **{f"layer {n}": t for n, t in module.state_dict().items()}}.items():
        layer = name.removeprefix("layer ")
        array = read["layer"][layer] if layer != name else read["state"][name]
        expected = tensor.detach().float().numpy()
        assert array.shape == expected.shape and (array.astype(np.float32) == expected).all(), name


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def calling(*instructions: bytes) -> bytes:
    return b"\x80\x02" + b"".join(instructions) + b"."


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x03tQ"
HOSTILE = {
    "a function by name": (calling(b"cos\nsystem\n", b"X\x02\x00\x00\x00ls", b"\x85R"), "calls os.system"),
    "the builtins": (calling(b"cbuiltins\neval\n", b"X\x01\x00\x00\x001", b"\x85R"), "calls builtins.eval"),
    "torch's own loader": (calling(b"ctorch\nload\n", b"X\x01\x00\x00\x00a", b"\x85R"), "calls torch.load"),
    "the name of a name": (
        calling(b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93", b"X\x02\x00\x00\x00ls", b"\x85R"),
        "calls os.system",
    ),
    "a class": (calling(b"(cos\n_Environ\no"), "the instruction OBJ"),
    "an instance": (calling(b"(ios\nsystem\n"), "the instruction INST"),
    "a new object": (calling(b"cos\n_Environ\n)\x81"), "the instruction NEWOBJ"),
    "an extension": (calling(b"\x82\x01"), "the instruction EXT1"),
    "a call of no name": (calling(b"K\x01)R"), "calls something without a name"),
    "the state of no dictionary": (calling(b"K\x01}b"), "an item outside a dictionary"),
    "a reference elsewhere": (calling(b"X\x01\x00\x00\x00aQ"), "refers to something that is no storage"),
    "a file outside": (
        calling(STORAGE.replace(b"\x01\x00\x00\x000", b"\x05\x00\x00\x00../..")),
        "has no bytes",
    ),
    "a storage of objects": (calling(STORAGE.replace(b"FloatStorage", b"Whatever")), "no storage of numbers"),
    "a tensor beyond its bytes": (
        calling(TENSOR, b"(", STORAGE, b"K\x00K\x04\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtR"),
        "exceeds its bytes",
    ),
    "a place before its bytes": (
        calling(TENSOR, b"(", STORAGE, b"J\xff\xff\xff\xffK\x01\x85K\x01\x85\x89NtR"),
        "not one of whole numbers",
    ),
    "a huge shape": (
        calling(TENSOR, b"(", STORAGE, b"K\x00J\xff\xff\xff\x7f\x85K\x00\x85\x89NtR"),
        "has the shape",
    ),
    "a key of tuples": (calling(b"}", b"K\x01\x85" + 9 * b"\x85", b"K\x01s"), "neither a text nor a number"),
    "keys of tuples": (calling(b"}(", b"K\x01\x85", b"K\x01u"), "neither a text nor a number"),
    "a name of numbers": (calling(b"K\x01K\x02\x93"), "names something that is no text"),
    "nothing": (b"", "broken|no end"),
    "no end": (b"\x80\x02}", "broken|no end"),
    "an empty stack": (calling(b""), "broken"),
    "a place that is empty": (calling(b"h\x05"), "broken"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickle_is_refused(name: str) -> None:
    pickled, reason = HOSTILE[name]
    with pytest.raises(NoTensors, match=reason):
        read_tensors(with_pickle(pickled))


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
        read_tensors(with_pickle(b"\x80\x02" + pickled))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no archive of torch.save"),
        (saved(torch.ones(3), _use_new_zipfile_serialization=False), "before PyTorch 1.6"),
        (saved({"a": torch.ones(3), "b": torch.ones(3)}), "it is not one tensor"),
    ],
)
def test_file_that_is_no_tensor_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(NoTensors, match=reason):
        read_array(content)


def test_bytes_in_another_order_are_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(torch.ones(3)))) as source, zipfile.ZipFile(content, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, b"big" if entry.filename.endswith("byteorder") else source.read(entry))
    with pytest.raises(NoTensors, match="little-endian"):
        read_tensors(content.getvalue())


def modules(**changed: Any) -> dict[str, Any]:
    names = ("bert", "bert_encoder", "predictor", "decoder", "text_encoder")
    return {name: {"module.bias": torch.ones(2)} for name in names} | changed


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


def test_half_of_a_weight_is_refused() -> None:
    with pytest.raises(NoTensors, match=r"decoder.a.weight_g has no weight_v beside it"):
        read_weights(saved(modules(decoder={"a.weight_g": torch.ones(2, 1, 1)})))
    with pytest.raises(NoTensors, match="no checkpoint of Kokoro, which has bert, "):
        read_weights(saved({"bert": {}}))


def test_voice_of_pytorch_is_read(make_folder: MakeFolder) -> None:
    folder = make_folder("de")
    torch.save(torch.full((510, 1, 256), 0.5), folder / "voices" / "eva.pt")
    (files,) = read_checkpoints(local_places({"de": str(folder)}), ())
    assert (files.tables["eva"] == 0.5).all() and files.tables["eva"].shape == (510, 256)


@pytest.mark.parametrize(
    ("value", "reason"),
    [(torch.ones(510, 1, 128), r"\[510, 1, 128\]"), (Harmful(Path("nowhere")), "makes no tensor")],
)
def test_voice_that_is_none_is_refused(make_folder: MakeFolder, value: object, reason: str) -> None:
    folder = make_folder("de")
    torch.save(value, folder / "voices" / "eva.pt")
    with pytest.raises(EngineUnavailable, match=rf"KANI_KOKORO_MODELS: .*eva.pt: .*{reason}"):
        read_checkpoints(local_places({"de": str(folder)}), ())


def test_weights_in_another_file_are_not_read() -> None:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "bias")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    model = helper.make_model(helper.make_graph([], "graph", [], [], [tensor]))
    with pytest.raises(NoTensors, match="bias is kept in another file"):
        read_onnx_weights(model, ())
