"""Our network and text beside the makers' package pocket-tts: the same random weights and the same noise."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PocketTTSAudioTokenizerConfig, PocketTTSConfig

from kani.engines.pocket import text
from kani.engines.pocket.model import load
from kani.engines.pocket.published import PUBLISHED
from kani.engines.pocket.stream import Samples, Stream, Utterance
from tests.engines.pocket.random_pocket import FULL, Reference, random_reference, write
from tests.engines.pocket.test_model import Ear, expected, start, utterance

JUDGE_PYTHON = os.environ.get("KANI_JUDGE_PYTHON", "")
JUDGE = Path(__file__).parents[2] / "judges" / "pocket_judge.py"
TOLERANCE = 1e-3
FRAMES = 24
SPOKEN = (
    "guten Morgen",
    "Wie geht es dir heute;",
    "»Das ist ein langer Satz«, der nicht gleich endet!",
    "Ja.",
)
TEXTS = (
    *SPOKEN,
    "eins zwei drei vier",
    "eins zwei drei vier fünf,",
    "\"Bist du da?\", fragte er (leise): 'ja' – nein — doch …",
    "  zwei   Leerzeichen\nund ein Umbruch; dann Ende:",
    "¿Qué tal? ¡Bien!",
    "l’été, c'est 3,5 ou 4.5",
    "“Quoted” ‘text’ [here]",
)


@pytest.fixture(scope="module")
def judge() -> str:
    """The python of the judges."""
    if not JUDGE_PYTHON:
        pytest.skip("KANI_JUDGE_PYTHON names no python with pocket-tts")
    found = subprocess.run([JUDGE_PYTHON, "-c", "import importlib.util as u; u.find_spec('pocket_tts').name"])
    if found.returncode:
        pytest.skip("the python that KANI_JUDGE_PYTHON names has no pocket-tts")
    return JUDGE_PYTHON


def judged(judge: str, folder: Path, **job: Any) -> None:
    """Have the package do a job; what comes of it lies in ``folder``."""
    (folder / "job.json").write_text(json.dumps({"texts": {}, "spoken": []} | job), "utf-8")
    done = subprocess.run([judge, "-P", str(JUDGE), str(folder)], capture_output=True, text=True)
    assert not done.returncode, done.stderr


def configuration(speech: PocketTTSConfig, codec: PocketTTSAudioTokenizerConfig) -> dict[str, Any]:
    """The package's names of what a test's model has in sizes of its own."""
    return {
        "flow_lm": {
            "flow": {
                "depth": speech.flow_head_config.num_hidden_layers,
                "dim": speech.flow_head_config.hidden_size,
            },
            "transformer": {
                "d_model": speech.hidden_size,
                "num_heads": speech.num_attention_heads,
                "num_layers": speech.num_hidden_layers,
                "dim_feedforward": speech.intermediate_size,
            },
            "lookup_table": {"dim": speech.hidden_size},
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
    }


@torch.inference_mode()
def latents_of(wanted: Utterance) -> Samples:
    """Latents of an utterance, as the codec gets them: [frames, latent size]."""
    model, stream = wanted.language, Stream(wanted, lambda _: None)
    cache, condition = model.read_text(wanted.voice, wanted.tokens, wanted.max_frames)
    found = []
    while not stream.complete:
        frame = model.sample(condition, stream.draw_noise(model.latent_size)[None])
        stream.count_frame(frame.end_logits.item())
        found.append(model.to_codec(frame.latents))
        condition = model.advance([cache], frame.latents)
    return torch.cat(found).numpy()


def compare(judge: str, reference: Reference, folder: Path, scratch: Path) -> None:
    """Compare latents and samples of all texts with the package's, and the package's with transformers'."""
    job = {
        "config": configuration(reference.speech.config, reference.codec.config),
        "temperature": 0.3,
        "spoken": [{"text": each, "seed": seed, "frames": FRAMES} for seed, each in enumerate(SPOKEN)],
    }
    judged(judge, folder, **job)
    model = load(["de"], str(folder), precision="float32", cache=scratch)
    language = model.languages["de"]
    scheduler = start(model)
    lengths = set()
    try:
        for seed, each in enumerate(SPOKEN):
            wanted = utterance(language, text.prepare(each, language.replaced), seed, FRAMES)
            said = np.load(folder / f"{seed}.npz")
            made, samples = expected(reference, wanted)
            np.testing.assert_allclose(made.numpy(), said["latents"], rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(samples, said["samples"], rtol=0, atol=TOLERANCE)
            np.testing.assert_allclose(latents_of(wanted), said["latents"], rtol=0, atol=TOLERANCE)
            ear = Ear()
            scheduler.submit(wanted, ear)
            np.testing.assert_allclose(ear.samples(), said["samples"], rtol=0, atol=TOLERANCE)
            assert np.abs(said["samples"]).max() > 100 * TOLERANCE
            lengths.add(len(said["latents"]))
    finally:
        scheduler.stop()
    assert len(lengths) > 1, "speech has to end at different frames"


@pytest.mark.server
def test_latents_and_samples_equal_those_of_the_package(
    judge: str, reference: Reference, folder: Path, tmp_path: Path
) -> None:
    compare(judge, reference, folder, tmp_path)


@pytest.mark.heard
def test_full_size_equals_the_package(judge: str, tmp_path: Path) -> None:
    reference = random_reference(FULL)
    compare(judge, reference, write(tmp_path, reference), tmp_path / "cache")


@pytest.mark.server
def test_texts_are_prepared_as_by_the_package(judge: str, tmp_path: Path) -> None:
    judged(judge, tmp_path, texts={published.folder: TEXTS for published in PUBLISHED.values()})
    theirs = json.loads((tmp_path / "texts.json").read_text("utf-8"))
    for published in PUBLISHED.values():
        prepared = [text.prepare(each, published.replaced) for each in TEXTS]
        ours = [[written, text.frames_after_end(written)] for written in prepared]
        assert ours == theirs[published.folder]
