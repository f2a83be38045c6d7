"""Speaks with the package pocket-tts, in an environment of its own, and prints what it measured as JSON.

Arguments: a folder with model.safetensors, tokenizer.json and a voice; the voice's file; the text; frames.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from pathlib import Path

import pocket_tts
import yaml
from pocket_tts.models.tts_model import TTSModel

RUNS = 4


def main(folder: Path, voice: Path, text: str, frames: int) -> None:
    """Measure each run: first audio in seconds, seconds computed, seconds of audio."""
    logging.disable(logging.CRITICAL)
    config = yaml.safe_load((Path(pocket_tts.__file__).parent / "config" / "german.yaml").read_text("utf-8"))
    del config["weights_path_without_voice_cloning"]
    config["weights_path"] = str(folder / "model.safetensors")
    config["flow_lm"]["lookup_table"]["tokenizer_path"] = str(folder / "tokenizer.json")
    # Random weights do not end speech at a time of their own.
    config["default_eos_threshold"] = 1e9
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "german.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        model = TTSModel.load_model(config=path)
    model._estimate_max_gen_len = lambda tokens: frames
    state = model.get_state_for_audio_prompt(voice)
    runs = [_run(model, state, text) for _ in range(RUNS)]
    print(json.dumps(runs))


def _run(model: TTSModel, state: object, text: str) -> tuple[float, float, float]:
    begun, first, samples = time.perf_counter(), 0.0, 0
    for chunk in model.generate_audio_stream(state, text):
        first = first or time.perf_counter() - begun
        samples += len(chunk)
    return first, time.perf_counter() - begun, samples / model.sample_rate


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
