"""Whisper base as it is packed, beside the published file."""

from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from kani.engines.whisper.checkpoint.finding import BASE, ORIGIN
from tools import whisper_pack
from tools.published.weights import load


def test_files_that_ship_are_those_that_the_tool_makes(tmp_path: Path) -> None:
    """To the last byte, on any processor and day."""
    whisper_pack.main(tmp_path)
    assert {path.name for path in BASE.iterdir()} == {"LICENSE", *(path.name for path in tmp_path.iterdir())}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (BASE / path.name).read_bytes(), path.name
    assert "MIT" in (BASE / ORIGIN).read_text("utf-8")


@pytest.mark.heard
def test_numbers_are_those_of_the_published_file_in_int8(tmp_path: Path) -> None:
    """Equal to the bit: CTranslate2 quantises float16 at each load as the tool does once."""
    for weight in whisper_pack.WHISPER_BASE:
        (tmp_path / weight.name).write_bytes(load(weight, tmp_path))
    sound = np.random.default_rng(1).standard_normal((1, 80, 1500)).astype(np.float32)
    answers = []
    for folder in (tmp_path, BASE):
        model = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="int8")
        encoded = model.encode(ctranslate2.StorageView.from_array(sound))
        how = {"num_hypotheses": 5, "return_scores": True, "max_length": 40}
        (answer,) = model.generate(encoded, [[50258, 50259, 50359]], **how)
        answers.append((np.array(encoded).tobytes(), answer.scores, answer.sequences_ids))
    assert answers[0] == answers[1]
