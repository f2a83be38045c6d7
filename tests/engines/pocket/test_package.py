"""Our network beside the makers' package pocket-tts, with the same random weights and the same noise."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from transformers import PocketTTSConfig

from engines.pocket import text
from engines.pocket.model import load
from tests.engines.pocket.random_pocket import random_reference, tiny_configs, write
from tests.engines.pocket.test_model import Ear, start, utterance

pytestmark = pytest.mark.server

JUDGE_PYTHON = os.environ.get("KANI_JUDGE_PYTHON", "")
JUDGE = Path(__file__).parents[2] / "judges" / "pocket_judge.py"
TOLERANCE = 1e-3
TEXT = "Das ist ein langer Satz, der nicht gleich endet."
FRAMES, SEED = 24, 11


def test_samples_equal_those_of_the_package(tmp_path: Path) -> None:
    if not JUDGE_PYTHON:
        pytest.skip("KANI_JUDGE_PYTHON names no python with pocket-tts")
    if subprocess.run([JUDGE_PYTHON, "-c", "import pocket_tts"]).returncode:
        pytest.skip("the python that KANI_JUDGE_PYTHON names has no pocket-tts")
    small, codec = tiny_configs()
    size = small.hidden_size
    # Sizes that the package can be configured to: it derives the others from these.
    head = {"hidden_size": 48, "num_hidden_layers": 2, "condition_dim": size, "frequency_embedding_size": 256}
    speech = PocketTTSConfig(
        hidden_size=size,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * size,
        flow_head_config=head,
    )
    folder = write(tmp_path, random_reference((speech, codec)))
    transformer = {"d_model": size, "num_heads": 2, "num_layers": 2}
    job = {
        "config": {
            "flow_lm": {
                "flow": {"depth": 2, "dim": 48},
                "transformer": transformer | {"hidden_scale": 2},
                "lookup_table": {"dim": size},
            },
            "mimi": {
                "outer_dim": codec.hidden_size,
                "seanet": {"dimension": codec.hidden_size, "n_filters": codec.num_filters},
                "transformer": {
                    "d_model": codec.hidden_size,
                    "num_heads": codec.num_attention_heads,
                    "dim_feedforward": codec.intermediate_size,
                    "input_dimension": codec.hidden_size,
                    "output_dimensions": [codec.hidden_size],
                },
                "quantizer": {"output_dimension": codec.hidden_size},
            },
        },
        "text": TEXT,
        "seed": SEED,
        "frames": FRAMES,
        "temperature": 0.3,
    }
    asked, result = tmp_path / "job.json", tmp_path / "said.npy"
    asked.write_text(json.dumps(job), "utf-8")
    done = subprocess.run(
        [JUDGE_PYTHON, "-P", str(JUDGE), str(folder), str(asked), str(result)], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr
    judged = np.load(result)
    model = load(["de"], str(folder), precision="float32", cache=tmp_path)
    scheduler, ear = start(model), Ear()
    try:
        language = model.languages["de"]
        written = text.prepare(TEXT, language.replaced)
        scheduler.submit(utterance(language, written, SEED, FRAMES, ends=False), ear)
        own = ear.samples()
    finally:
        scheduler.stop()
    assert len(own) == len(judged) == FRAMES * model.codec.samples
    np.testing.assert_allclose(own, judged, atol=TOLERANCE)
