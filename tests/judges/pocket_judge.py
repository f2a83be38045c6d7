"""Speaks with the makers' package pocket-tts; runs in the judges' environment.

``pocket_judge.py FOLDER``: FOLDER holds ``languages/german/`` as the makers publish it, and ``job.json``:
``config`` (what differs from the published configuration), ``temperature``, and ``spoken``, a list of objects
with ``text``, ``seed`` and ``frames`` (the longest speech). NUMBER.npz of each gets ``latents``, as the
codec decodes them, and ``samples``. ``texts`` are texts by the name of a configuration; ``texts.json`` gets
them as that configuration prepares them, each with the frames after the end of speech.
"""

import json
import logging
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pocket_tts
import torch
import yaml
from pocket_tts import TTSModel
from pocket_tts.models.text_chunking import prepare_text_prompt
from pocket_tts.utils.config import load_config

CONFIGS = Path(pocket_tts.__file__).parent / "config"


def merged(config: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with some values changed."""
    return config | {
        name: merged(config[name], value) if isinstance(value, dict) else value
        for name, value in changed.items()
    }


def load(folder: Path, job: dict[str, Any]) -> TTSModel:
    """Load the folder's weights and tokenizer."""
    own = folder / "languages" / "german"
    config = merged(yaml.safe_load((CONFIGS / "german.yaml").read_text("utf-8")), job["config"])
    del config["weights_path_without_voice_cloning"]
    config["weights_path"] = str(own / "model.safetensors")
    config["flow_lm"]["lookup_table"]["tokenizer_path"] = str(own / "tokenizer.json")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "german.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        return TTSModel.load_model(config=path, temp=job["temperature"])


def speak(model: TTSModel, voice: Path, text: str, seed: int, frames: int) -> dict[str, np.ndarray]:
    """Speak a text by the package's own call; returns what was decoded, and what came of it."""
    decode, generate = model.mimi.decode_from_latent, model._autoregressive_generation
    latents = []

    def recorded(found: torch.Tensor, state: Any) -> torch.Tensor:
        latents.append(found[0].numpy())
        return decode(found, state)

    def seeded(*arguments: Any) -> None:
        # After the text, for which the package draws the noise of a frame that it never uses.
        torch.manual_seed(seed)
        generate(*arguments)

    model.mimi.decode_from_latent, model._autoregressive_generation = recorded, seeded
    model._estimate_max_gen_len = lambda tokens: frames
    try:
        state = model.get_state_for_audio_prompt(voice)
        samples = [piece.numpy() for piece in model.generate_audio_stream(state, text)]
    finally:
        model.mimi.decode_from_latent, model._autoregressive_generation = decode, generate
    return {"latents": np.concatenate(latents), "samples": np.concatenate(samples)}


def prepare(configuration: str, texts: list[str]) -> list[tuple[str, int]]:
    """Prepare texts as the package does it before it speaks them."""
    config = load_config(str(CONFIGS / f"{configuration}.yaml"))
    prepare_one = partial(
        prepare_text_prompt,
        pad_with_spaces_for_short_inputs=config.pad_with_spaces_for_short_inputs,
        remove_semicolons=config.remove_semicolons,
        append_terminal_punctuation=config.append_terminal_punctuation,
        capitalize_first_letter=config.capitalize_first_letter,
        replace_characters=config.replace_characters,
    )
    found = [prepare_one(text) for text in texts]
    # As ``generate_audio_stream`` does it; the frame at which speech is found to have ended is the first.
    return [(text, guess + 2 - 1) for text, guess in found]


def main(folder: Path) -> None:
    """Prepare and speak everything of the job."""
    logging.disable(logging.CRITICAL)
    job = json.loads((folder / "job.json").read_text("utf-8"))
    prepared = {name: prepare(name, texts) for name, texts in job["texts"].items()}
    (folder / "texts.json").write_text(json.dumps(prepared), "utf-8")
    if not job["spoken"]:
        return
    model = load(folder, job)
    voice = folder / "languages" / "german" / "embeddings" / "juergen.safetensors"
    for number, spoken in enumerate(job["spoken"]):
        np.savez(folder / f"{number}.npz", **speak(model, voice, **spoken))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
