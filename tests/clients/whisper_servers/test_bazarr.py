"""Bazarr's requests to a Whisper server: of its own code where it is installed, else as that sends them.

Its licence keeps Bazarr out of this repository. BAZARR names a folder with its code, such as a clone, which
runs by this interpreter (it needs setuptools below 80).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soxr

from kani.core.audio.pcm import pcm16, wav
from kani.core.types import Samples
from tests.clients.openai.conftest import RATE, assert_understood, spoken
from tests.conftest import ServerProcess
from tests.support.patience import WITHIN_S

pytestmark = pytest.mark.heard

ENGLISH = "The birds are singing in the garden this morning. What shall we talk about today?"
SPANISH = "Los pájaros cantan en el jardín esta mañana. ¿De qué vamos a hablar hoy?"
FOLDER = os.environ.get("BAZARR", "")
CODES = {"eng": "en", "spa": "es"}
SILENCE_S = 20
"""Seconds before the speech, as a film begins."""

WORDS = re.compile(r"^[^\d\s].*", re.MULTILINE)
"""The lines of subtitles that are spoken."""


@pytest.fixture(scope="module")
def films(server: ServerProcess) -> dict[str, Samples]:
    silence = np.zeros(SILENCE_S * RATE, np.float32)
    said = spoken(server, (ENGLISH, "af_heart"), (SPANISH, "ef_dora"))
    return {code: np.concatenate([silence, one]) for code, one in zip(("eng", "spa"), said, strict=True)}


CASES = [
    ("eng", "eng", "transcribe", ENGLISH, 0.15),
    ("spa", "spa", "transcribe", SPANISH, 0.15),
    # A translation has words of its own.
    (
        "spa",
        "eng",
        "translate",
        "The birds sing in the garden this morning. What shall we talk about today?",
        0.4,
    ),
]
"""Film, language of the subtitles, Whisper's task, text, and the share of words that may differ."""

cases = pytest.mark.parametrize(("film", "wanted", "task", "text", "wrong"), CASES)


def assert_subtitles(srt: str, text: str, wanted: str, wrong: float) -> None:
    starts = re.findall(r"^00:00:(\d\d),\d{3} --> ", srt, re.MULTILINE)
    assert starts and int(starts[0]) in (SILENCE_S - 1, SILENCE_S, SILENCE_S + 1)
    assert_understood(" ".join(WORDS.findall(srt)), text, CODES[wanted], wrong)


@cases
def test_requests_as_bazarr_sends_them(
    server: ServerProcess,
    films: dict[str, Samples],
    film: str,
    wanted: str,
    task: str,
    text: str,
    wrong: float,
) -> None:
    """Recorded from its provider of 920853d: bare samples without a content type, the film's path beside."""
    samples = pcm16(soxr.resample(films[film], RATE, 16_000))
    head = b'--b\r\nContent-Disposition: form-data; name="audio_file"; filename="audio_file"\r\n\r\n'
    sent: Any = {
        "content": head + samples + b"\r\n--b--\r\n",
        "headers": {"content-type": "multipart/form-data; boundary=b", "user-agent": "Subliminal/2.1"},
    }
    beside = {"encode": "false", "video_file": "/films/../a film.mkv"}
    with httpx2.Client(base_url=server.http_url, timeout=WITHIN_S) as client:
        found = client.post("/detect-language", params=beside, **sent).json()
        assert found["language_code"] == CODES[film]
        asked = {"task": task, "language": CODES[film], "output": "srt", **beside}
        answer = client.post("/asr", params=asked, **sent)
    assert answer.status_code == 200
    assert_subtitles(answer.text, text, wanted, wrong)


@pytest.mark.skipif(not FOLDER, reason="BAZARR names no folder with Bazarr's code")
@cases
def test_bazarrs_own_provider(
    server: ServerProcess,
    films: dict[str, Samples],
    tmp_path: Path,
    film: str,
    wanted: str,
    task: str,
    text: str,
    wrong: float,
) -> None:
    path = tmp_path / "film.wav"
    path.write_bytes(wav(films[film], RATE))
    program = Path(__file__).with_name("bazarr_films.py")
    arguments = [sys.executable, str(program), FOLDER, server.http_url, str(path), wanted]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert ran.returncode == 0, ran.stderr
    subtitle = json.loads(ran.stdout.splitlines()[-1])
    assert subtitle["task"] == task
    assert_subtitles(subtitle["srt"], text, wanted, wrong)
