"""The embedded Whisper base as a GGUF file, for transcribe.cpp."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from faster_whisper.feature_extractor import FeatureExtractor

from kani.engines.whisper.checkpoint.finding import BASE

Array = npt.NDArray[Any]
_KINDS = (np.float32, np.int8, np.int16, np.int32, np.float16)

# fmt: off
_LAYERS = {"n_layers": 6, "d_model": 512, "n_heads": 8, "ffn_dim": 2048, "activation": "gelu"}
# Whisper hears 30 s at once: with 10 the same weights understand as much in a third of the time.
_POSITIONS = 500
_WHISPER: dict[str, Any] = {
    "general": {"name": "Whisper Base", "license": "mit"},
    "tokenizer.ggml": {"model": "gpt2", "pre": "gpt2", "add_bos_token": False},
    "stt": {
        "variant": "whisper-base", "translation.target_languages": ["en"],
        "capability": {"lang_detect": True, "translate": True, "timestamps": True},
        "whisper": {
            "encoder": {**_LAYERS, "num_mel_bins": 80, "max_source_positions": _POSITIONS},
            "decoder": {**_LAYERS, "max_target_positions": 448, "tie_word_embeddings": True},
            "decoder.scale_embedding": False,
        },
        "frontend": {
            "type": "mel", "window": "hann_periodic", "normalize": "whisper_logmel", "pad_mode": "reflect",
            "mel_norm": "slaney", "center": True, "num_mels": 80, "sample_rate": 16_000, "n_fft": 400,
            "win_length": 400, "hop_length": 160, "chunk_length": _POSITIONS // 50, "dither": 0.0,
            "n_samples": 320 * _POSITIONS, "nb_max_frames": 2 * _POSITIONS, "pre_emphasis": 0.0,
            "f_min": 0.0, "f_max": 8000.0,
        },
    },
}
_TOKENS = {
    "sot": "startoftranscript", "decoder_start": "startoftranscript", "prev_sot": "startofprev",
    "no_timestamps": "notimestamps", "transcribe": "transcribe", "translate": "translate",
}
# fmt: on


def _flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value


def _write(path: Path, kind: str, values: dict[str, Any], tensors: dict[str, Array]) -> Path:
    writer = gguf.GGUFWriter(str(path), kind)
    adds: dict[type, Any] = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
    adds |= {str: writer.add_string, list: writer.add_array}
    for key, value in _flat(values):
        adds[type(value)](key, value)
    for name, tensor in tensors.items():
        # Halves of what is multiplied.
        half = tensor.ndim > 1 and not name.startswith("frontend") and "pos_emb" not in name
        writer.add_tensor(name, np.ascontiguousarray(tensor, np.float16 if half else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _base_weights() -> dict[str, Array]:
    """Read the weights of the embedded base, in CTranslate2's format."""
    data, at, found = (BASE / "model.bin").read_bytes(), 0, dict[str, Array]()

    def take(form: str) -> Any:
        nonlocal at
        (value,) = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return value

    def text() -> str:
        return bytes(take(f"{take('H')}s")).rstrip(b"\0").decode()

    _ = take("I"), text(), take("I")
    for _number in range(take("I")):
        name, rank = text(), take("B")
        shape = [take("I") for _ in range(rank)]
        kind, size = np.dtype(_KINDS[take("B")]), take("I")
        found[name] = np.frombuffer(data, kind, size // kind.itemsize, at).reshape(shape)
        at += size
        if name.endswith("_scale"):  # of the rows of the matrix before
            matrix = name.removesuffix("_scale")
            found[matrix] = found[matrix] / found[name][:, None]
    for _number in range(take("I")):
        alias = text()
        found[alias] = found[text()]
    return found


def whisper_base(path: Path) -> Path:
    weights = _base_weights()
    config, tokenizer = (json.loads((BASE / name).read_bytes()) for name in ("config.json", "tokenizer.json"))
    added, count = tokenizer["added_tokens"], len(weights["decoder/embeddings/weight"])
    numbers = tokenizer["model"]["vocab"] | {one["content"]: one["id"] for one in added}
    named = {number: token for token, number in numbers.items()}
    special = {one["id"] for one in added if one["special"]}
    codes = [named[number][2:-2] for number in sorted(special)]
    values: dict[str, Any] = {
        **_WHISPER,
        "general.languages": [code for code in codes if len(code) in (2, 3) and code.isalpha()],
        "tokenizer.ggml.tokens": [named.get(number, f"<|unused_{number}|>") for number in range(count)],
        "tokenizer.ggml.token_type": [3 if number in special else 1 for number in range(count)],
        "tokenizer.ggml.merges": [
            " ".join(one) if isinstance(one, list) else one for one in tokenizer["model"]["merges"]
        ],
        **{f"tokenizer.ggml.{key}_token_id": numbers["<|endoftext|>"] for key in ("bos", "eos", "padding")},
        **{f"stt.whisper.{key}_token_id": numbers[f"<|{token}|>"] for key, token in _TOKENS.items()},
        "stt.whisper.decoder.vocab_size": count,
        "stt.whisper.suppress_tokens": config["suppress_ids"],
        "stt.whisper.begin_suppress_tokens": config["suppress_ids_begin"],
    }
    tensors: dict[str, Array] = {
        "frontend.mel_filterbank": FeatureExtractor.get_mel_filters(16_000, 400, n_mels=80),
        "frontend.window": 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400),
        "enc.pos_emb.weight": weights["encoder/position_encodings/encodings"][:_POSITIONS],
        "dec.token_embd.weight": weights["decoder/embeddings/weight"],
        "dec.pos_emb.weight": weights["decoder/position_encodings/encodings"],
    }

    def linear(whence: str, *to: str) -> None:
        """Divide what the other format joins: queries, keys and values; keys have no bias."""
        for part in ("weight", "bias"):
            for name, one in zip(to, np.split(weights[f"{whence}/{part}"], len(to)), strict=True):
                if not (part == "bias" and name.endswith(".k")):
                    tensors[f"{name}.{part}"] = one

    def norm(whence: str, to: str) -> None:
        tensors[f"{to}.weight"], tensors[f"{to}.bias"] = weights[f"{whence}/gamma"], weights[f"{whence}/beta"]

    linear("encoder/conv1", "enc.conv.0")
    linear("encoder/conv2", "enc.conv.1")
    for side, own in (("encoder", "attn"), ("decoder", "self_attn")):
        norm(f"{side}/layer_norm", f"{side[:3]}.final_norm")
        for whence, to in ((f"{side}/layer_{at}", f"{side[:3]}.blocks.{at}") for at in range(6)):
            norm(f"{whence}/self_attention/layer_norm", f"{to}.norm_{own.removesuffix('_attn')}")
            linear(f"{whence}/self_attention/linear_0", *(f"{to}.{own}.{name}" for name in "qkv"))
            linear(f"{whence}/self_attention/linear_1", f"{to}.{own}.out")
            if side == "decoder":
                norm(f"{whence}/attention/layer_norm", f"{to}.norm_cross")
                linear(f"{whence}/attention/linear_0", f"{to}.cross_attn.q")
                linear(f"{whence}/attention/linear_1", f"{to}.cross_attn.k", f"{to}.cross_attn.v")
                linear(f"{whence}/attention/linear_2", f"{to}.cross_attn.out")
            norm(f"{whence}/ffn/layer_norm", f"{to}.norm_ffn")
            linear(f"{whence}/ffn/linear_0", f"{to}.ffn.fc1")
            linear(f"{whence}/ffn/linear_1", f"{to}.ffn.fc2")
    return _write(path, "whisper", values, tensors)
