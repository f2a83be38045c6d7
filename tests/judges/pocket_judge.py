"""Makes tiny random checkpoints of Pocket TTS, and speaks with its makers' package.

Runs in the judges' environment: ``pocket_judge.py FOLDER JOBS``. JOBS is a JSON object of calls by name, each
with ``text``, ``seed``, and what may differ: ``language``, ``temperature``, ``int8``, ``recording`` (a file
that is imitated). The checkpoints are FOLDER/languages/{german,dutch}, with their own ``config.yaml``; the
samples of each call are FOLDER/NAME.npy.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pocket_tts import TTSModel
from pocket_tts.models.model_state import export_model_state
from pocket_tts.utils.config import CONFIGS_DIR, Config
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TOKENS = 4000
LETTERS = "▁.!?,;:…abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZäöüßéèñ"
# fmt: off
SMALL = {
    "flow_lm": {
        "flow": {"depth": 2, "dim": 48},
        "transformer": {"d_model": 128, "num_heads": 2, "num_layers": 2, "hidden_scale": 2},
        "lookup_table": {"dim": 128},
    },
    "mimi": {
        "outer_dim": 128, "seanet": {"dimension": 128, "n_filters": 4},
        "transformer": {
            "d_model": 128, "num_heads": 2, "dim_feedforward": 192, "input_dimension": 128,
            "output_dimensions": [128],
        },
        "quantizer": {"output_dimension": 128},
    },
}
# fmt: on


def merged(config: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    return config | {
        name: merged(config[name], value) if isinstance(value, dict) else value
        for name, value in changed.items()
    }


def make(folder: Path, language: str) -> Path:
    """Write a checkpoint whose speech is noise, and ends after some frames; returns its configuration."""
    own = folder / "languages" / language
    (own / "embeddings").mkdir(parents=True)
    pieces = [("<unk>", 0.0)] + [(letter, -5.0) for letter in LETTERS]
    pieces += [(f"<{number}>", -20.0) for number in range(TOKENS - len(pieces))]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.save(str(own / "tokenizer.json"))
    config = merged(yaml.safe_load((CONFIGS_DIR / f"{language}.yaml").read_text("utf-8")), SMALL)
    del config["weights_path"], config["weights_path_without_voice_cloning"]
    config["flow_lm"]["lookup_table"]["tokenizer_path"] = str(own / "tokenizer.json")
    torch.manual_seed(7)
    parsed = Config(**config)
    model = TTSModel._from_pydantic_config_with_weights(parsed, 0.3, 1, None, -4.0)
    for name, weight in model.named_parameters():
        if weight.dim() > 1:
            weight.data.normal_(0, weight[0].numel() ** -0.5)
        elif "scale" in name:
            weight.data.uniform_(0.1, 0.4)
    model.flow_lm.out_eos.weight.data.mul_(3.0)
    model.flow_lm.out_eos.bias.data.fill_(-7.0)
    weights = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    save_file(weights, own / "model.safetensors")
    config["weights_path"] = str(own / "model.safetensors")
    (own / "config.yaml").write_text(yaml.safe_dump(config), "utf-8")
    state = model.get_state_for_audio_prompt(torch.randn(1, 9_600) * 0.1)
    voice = {"german": "juergen", "dutch": "daan"}[language]
    export_model_state(state, own / "embeddings" / f"{voice}.safetensors")
    return own / "config.yaml"


def speak(config: Path, job: dict[str, Any]) -> np.ndarray:
    model = TTSModel.load_model(config=config, temp=job.get("temperature"), quantize=job.get("int8", False))
    voice = Path(job["recording"]) if "recording" in job else next((config.parent / "embeddings").iterdir())
    state = model.get_state_for_audio_prompt(voice)
    torch.manual_seed(job["seed"])
    return model.generate_audio(state, job["text"]).numpy()


def main(folder: Path, jobs: Path) -> None:
    """Make both checkpoints, and speak all jobs."""
    logging.disable(logging.CRITICAL)
    configs = {language: make(folder, language) for language in ("german", "dutch")}
    for name, job in json.loads(jobs.read_text("utf-8")).items():
        np.save(folder / f"{name}.npy", speak(configs[job.pop("language", "german")], job))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
