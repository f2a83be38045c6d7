"""Speaks with the makers' package pocket-tts; runs in the judges' environment.

``pocket_judge.py FOLDER JOB RESULT``: FOLDER holds ``languages/german/`` as they publish it, JOB is a JSON
object with ``config`` (what differs from the published sizes), ``text``, ``seed``, ``temperature`` and
``frames``. RESULT becomes the samples, as .npy.
"""

import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pocket_tts
import torch
import yaml
from pocket_tts import TTSModel


def merged(config: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with some values changed."""
    return config | {
        name: merged(config[name], value) if isinstance(value, dict) else value
        for name, value in changed.items()
    }


def main(folder: Path, job: dict[str, Any], result: Path) -> None:
    """Speak one text, in a voice of the folder."""
    logging.disable(logging.CRITICAL)
    own = folder / "languages" / "german"
    published = Path(pocket_tts.__file__).parent / "config" / "german.yaml"
    config = merged(yaml.safe_load(published.read_text("utf-8")), job["config"])
    del config["weights_path_without_voice_cloning"]
    config["weights_path"] = str(own / "model.safetensors")
    config["flow_lm"]["lookup_table"]["tokenizer_path"] = str(own / "tokenizer.json")
    # Random weights do not end speech at a time of their own.
    config["default_eos_threshold"] = 1e9
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "german.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        model = TTSModel.load_model(config=path, temp=job["temperature"])
    model._estimate_max_gen_len = lambda tokens: job["frames"]
    state = model.get_state_for_audio_prompt(own / "embeddings" / "juergen.safetensors")
    torch.manual_seed(job["seed"])
    np.save(result, torch.cat(list(model.generate_audio_stream(state, job["text"]))).numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text("utf-8")), Path(sys.argv[3]))
