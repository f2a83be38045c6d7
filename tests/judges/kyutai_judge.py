"""Makes tiny random checkpoints of Kyutai's models, and speaks and hears with its makers' package, moshi.

Runs in the judges' environment: ``kyutai_judge.py FOLDER JOBS``. JOBS is a JSON object of calls by name, each
with ``model`` (embedding, prefix or hearing; the last has a ``recording`` in FOLDER only, and its JSON of
words is FOLDER/NAME.json), ``voice`` (a file in FOLDER), ``text``, ``seed``, ``cfg`` and
``temperature``; of a list of two texts the second continues the first one's voice. The checkpoints are
FOLDER/embedding and FOLDER/prefix, voices of the first are FOLDER/voices/NAME.wav.random@1.safetensors, and
FOLDER/NAME.npz of each call has its ``samples``, the ``steps`` that its words begin at, and the number of
``frames`` of a recording before them.
"""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import sentencepiece
import sphn
import torch
from safetensors.torch import save_file

# Read when the package is imported: it would compile small functions, which takes minutes.
os.environ["NO_TORCH_COMPILE"] = "1"

from moshi.models import LMGen, loaders, tts

CODES, CODEBOOKS = 64, 4
STT = {"audio_silence_prefix_seconds": 0.16, "audio_delay_seconds": 0.5}
SENTENCES = (
    "the quick brown fox jumps over the lazy dog",
    "one two three four five six seven",
    "it's so, no?",
)

# fmt: off
TRANSFORMER = {
    "num_heads": 2, "num_layers": 2, "causal": True, "layer_scale": None, "max_period": 10_000.0,
    "positional_embedding": "rope",
}
CODEC = {
    "channels": 1, "sample_rate": 24_000, "frame_rate": 12.5,
    "seanet": loaders._seanet_kwargs | {"dimension": 16, "n_filters": 2},
    "quantizer": {
        "dimension": 8, "n_q": CODEBOOKS, "bins": CODES, "input_dimension": 16, "output_dimension": 16,
    },
    "transformer": TRANSFORMER | {
        "d_model": 16, "context": 40, "conv_layout": True, "gating": "none", "norm": "layer_norm",
        "dim_feedforward": 32, "input_dimension": 16, "output_dimensions": [16],
    },
}
SHARED = TRANSFORMER | {
    "moshi_name": "model.safetensors", "mimi_name": "mimi.safetensors", "mimi_config_name": "mimi.json",
    "tokenizer_name": "tokenizer.model", "model_type": "tts", "model_id": {"sig": "random", "epoch": 1},
    "card": CODES, "n_q": CODEBOOKS, "dep_q": CODEBOOKS, "delays": [0, 0, 2, 2, 2],
    "dim": 32, "existing_text_padding_id": 3, "hidden_scale": 2.0, "context": 60, "gating": "silu",
    "norm": "rms_norm_f32", "text_card_out": 5,
    "depformer_dim": 16, "depformer_num_heads": 2, "depformer_num_layers": 1, "depformer_pos_emb": "none",
    "depformer_dim_feedforward": 32, "depformer_multi_linear": True, "depformer_weights_per_step": True,
    "depformer_weights_per_step_schedule": [0, 1, 2, 2], "depformer_low_rank_embeddings": 8,
}
# fmt: on


def table(values: list[str]) -> dict:
    lookup = {"n_bins": len(values), "dim": 4, "tokenizer": "noop", "possible_values": values}
    return {"type": "lut", "lut": lookup}


def configuration(kind: str, texts: int) -> dict:
    """The true architectures with few and narrow layers: tts-1.6b-en_fr's and tts-0.75b-en-public's."""
    shared = SHARED | {"text_card": texts}
    if kind == "hearing":
        depths = {"dep_q": 0, "delays": [0] * (CODEBOOKS + 1), "depformer_weights_per_step_schedule": None}
        heads = {"extra_heads_num_heads": 4, "extra_heads_dim": 6, "text_card_out": None}
        return shared | depths | heads | {"stt_config": STT, "model_type": "stt"}
    if kind == "prefix":
        fuser = {"sum": [], "prepend": [], "cross": []}
        return shared | {"conditioners": {}, "fuser": fuser, "tts_config": {"audio_delay": 1.28}}
    fuser = {"cross_attention_pos_emb": True, "cross_attention_pos_emb_scale": 1}
    fuser |= {"sum": ["control", "cfg"], "prepend": [], "cross": ["speaker_wavs"]}
    conditioners = {"speaker_wavs": {"type": "tensor", "tensor": {"dim": 8}}}
    conditioners |= {"cfg": table(["1.0", "2.0", "3.0"]), "control": table(["ok"])}
    tts_config = {"audio_delay": 1.28, "second_stream_ahead": 2}
    streams = {"cross_attention": True, "demux_second_stream": True, "tts_config": tts_config}
    return shared | streams | {"conditioners": conditioners, "fuser": fuser}


def make(folder: Path, kind: str) -> None:
    """Write a checkpoint that speaks noise."""
    folder.mkdir()
    torch.manual_seed(7)
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=written, vocab_size=60, model_type="bpe",
        hard_vocab_limit=False, unk_id=0, bos_id=1, eos_id=2, pad_id=3, minloglevel=2,
    )  # fmt: skip
    (folder / "tokenizer.model").write_bytes(written.getvalue())
    texts = sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model")).vocab_size()
    config = configuration(kind, texts)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    (folder / "mimi.json").write_text(json.dumps(CODEC), "utf-8")
    codec = loaders.get_mimi(None, CODEC, num_codebooks=CODEBOOKS)
    state = codec.state_dict()
    for name, weight in state.items():
        # Codes that differ, and layers that do not shrink what passes through them.
        if name.endswith("embedding_sum"):
            weight.normal_()
        elif name.endswith(("cluster_usage", "_initialized")):
            weight.fill_(1)
        elif weight.dim() == 3:
            weight.normal_(0, (weight.shape[1] * weight.shape[2]) ** -0.5)
        elif name.endswith(("conv.bias", "convtr.bias")):
            weight.zero_()
    codec.load_state_dict(state)
    with torch.no_grad():
        noise = codec.decode(torch.randint(CODES, (1, CODEBOOKS, 50)))
    last = max(int(name.split(".")[2]) for name in state if name.startswith("decoder.model."))
    state[f"decoder.model.{last}.conv.conv.weight"] *= 0.1 / noise.std()
    save(state, folder / "mimi.safetensors")
    names = {"model_id", "model_type", "tts_config", "stt_config"}
    names |= {name for name in config if name.endswith("_name")}
    kwargs = {name: value for name, value in config.items() if name not in names}
    model = loaders.get_moshi_lm(None, kwargs, dtype=torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                # A model that hears has to hear a difference.
                parameter.normal_(0, (2.0 if kind == "hearing" else 1.0) * parameter.shape[-1] ** -0.5)
        if kind == "hearing":
            # Words of a few tokens: those that begin and end one are often the likeliest.
            model.text_linear.weight[[0, 3]] *= 6.0
    save(model.state_dict(), folder / "model.safetensors")


def save(state: dict[str, torch.Tensor], file: Path) -> None:
    save_file({name: weight.contiguous().clone() for name, weight in state.items()}, file)


def checkpoint(folder: Path) -> loaders.CheckpointInfo:
    """Describe a checkpoint for the package."""
    files = {"moshi_weights": "model.safetensors", "mimi_weights": "mimi.safetensors"}
    files |= {"tokenizer": "tokenizer.model", "config_path": "config.json", "mimi_config_path": "mimi.json"}
    paths = {argument: folder / name for argument, name in files.items()}
    return loaders.CheckpointInfo.from_hf_repo("", **paths)


def speak(model: tts.TTSModel, folder: Path, job: dict) -> dict[str, np.ndarray]:
    """Speak one job by the package's own call."""
    generate, get_prefix, made = model.generate, model.get_prefix, {}

    def recorded(*arguments: object, prefixes: list[torch.Tensor] | None, **named: object) -> tts.TTSResult:
        result = generate(*arguments, prefixes=prefixes, **named)
        made["steps"] = np.array([step for _, step in result.all_transcripts[0]])
        made["frames"] = np.array(0 if prefixes is None else prefixes[0].shape[-1])
        return result

    model.temp, text = job["temperature"], job["text"]
    if isinstance(text, list):
        first, text = text
        prefix = spoken(model, first, job)
        model.get_prefix = lambda path: prefix
    model.generate = recorded
    torch.manual_seed(job["seed"])
    (samples,) = model.simple_generate(text, [str(folder / job["voice"])], job["cfg"], show_progress=False)
    model.generate, model.get_prefix = generate, get_prefix
    return made | {"samples": samples.numpy()}


def spoken(model: tts.TTSModel, text: str, job: dict) -> torch.Tensor:
    model.cfg_coef = job["cfg"]
    torch.manual_seed(job["seed"])
    result = model.generate([model.prepare_script([text], padding_between=1)], [])
    first = model.delay_steps + 2
    codes = torch.cat(result.frames[first : first + result.end_steps[0]], 2)[0, 1:]
    return torch.cat([torch.full_like(codes[:1], model.machine.token_ids.zero), codes])


def hear(folder: Path, recording: Path) -> list[str]:
    """Hear a recording as the package's ``run_inference`` does; return its words."""
    info = checkpoint(folder)
    mimi, tokenizer = info.get_mimi(), info.get_text_tokenizer()
    model = LMGen(info.get_moshi(dtype=torch.float32), temp=0.0, temp_text=0.0)
    samples, _ = sphn.read(recording, sample_rate=24_000)
    before, after = (int(seconds * 24_000) for seconds in (0.16, 0.5 + 1.0))
    audio = torch.nn.functional.pad(torch.from_numpy(samples)[None, :1], (before, after))
    tokens: list[int] = []
    with torch.no_grad(), mimi.streaming(1), model.streaming(1):
        for frame in audio.split(1920, dim=2):
            if frame.shape[-1] < 1920:
                break
            codes = mimi.encode(frame)
            if not tokens:
                model.step(codes)
            tokens.append(int(model.step(codes)[0, 0]))
    runs: list[list[int]] = [[]]
    # What is written before the delay has passed belongs to no audio.
    for token in tokens[2 + 6 - 2 :]:
        runs.append([]) if token in (0, 3) else runs[-1].append(token)
    return " ".join(tokenizer.decode(run) for run in runs).split()


def main(folder: Path, jobs: Path) -> None:
    """Make all checkpoints and the voices, and do all jobs."""
    for kind in ("embedding", "prefix", "hearing"):
        make(folder / kind, kind)
    models = {
        kind: tts.TTSModel.from_checkpoint_info(checkpoint(folder / kind), n_q=CODEBOOKS, dtype=torch.float32)
        for kind in ("embedding", "prefix")
    }
    (folder / "voices" / "fr").mkdir(parents=True)
    for name in ("ana", "fr/bea"):
        embedding = {"speaker_wavs": torch.randn(1, 8, 6)}
        save_file(embedding, folder / "voices" / f"{name}.wav.random@1.safetensors")
    for name, job in json.loads(jobs.read_text("utf-8")).items():
        if job["model"] == "hearing":
            words = hear(folder / "hearing", folder / job["recording"])
            (folder / f"{name}.json").write_text(json.dumps(words), "utf-8")
        else:
            np.savez(folder / f"{name}.npz", **speak(models[job["model"]], folder, job))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
