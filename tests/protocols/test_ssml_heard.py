"""SSML as a listener hears it, from a default server."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
import soundfile

from benchmarks.text.ssml_heard import SILENCE_S, compare
from tests.conftest import ServerProcess
from tests.judges.judge import hear, words_of
from tests.text.ssml.examples import AMAZON, AZURE, GOOGLE, W3C, Example

pytestmark = pytest.mark.heard

SLOWED = "it is the last sentence of this letter."
TEXT = (
    '<speak xml:lang="en-US"><s>My friend <phoneme ph="ˈmaɪkəl">Xqz</phoneme> lives in the house with the '
    'number <say-as interpret-as="characters">47</say-as></s> <break time="1500ms"/>'
    f'<s>And <sub alias="today">t.</sub> {SLOWED}</s></speak>'
)
SAID = "my friend michael lives in the house with the number four seven and today " + SLOWED


def spoken(server: ServerProcess, text: str) -> httpx.Response:
    body = {"input": text, "voice": "af_heart", "response_format": "wav"}
    return httpx.post(f"{server.http_url}/v1/audio/speech", json=body).raise_for_status()


def test_document_is_understood(server: ServerProcess) -> None:
    lengths = []
    for text in (TEXT, TEXT.replace(SLOWED, f'<prosody rate="70%">{SLOWED}</prosody>')):
        answer = spoken(server, text)
        assert "x-unused" not in answer.headers
        samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
        heard = words_of(hear(samples, rate, "en"), "en")
        # A recogniser may write the digits as "4-7" and as "47".
        digits = " ".join(heard).replace("47", "4 7").replace("4", "four").replace("7", "seven")
        assert digits == SAID.rstrip("."), heard
        quiet = np.abs(samples) < 0.01
        steps = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(int), [0]])))
        assert max(np.diff(steps)[::2]) / rate >= 1.5
        lengths.append(len(samples) / rate)
    assert lengths[1] > lengths[0] + 0.4


@pytest.mark.parametrize("example", [W3C[-4], W3C[-3], AZURE[-3], AZURE[5], GOOGLE[4], AMAZON[-4]])
def test_documented_structures_are_heard(server: ServerProcess, example: Example) -> None:
    answer = spoken(server, example.text)
    assert answer.headers.get("x-unused", "") == ", ".join(example.unused)
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    heard = hear(np.pad(samples, round(SILENCE_S * rate)), rate, "en")
    said = " ".join(each for each in example.spoken if isinstance(each, str))
    assert compare(said, heard, "en")[0] == 0, heard
