"""ElevenLabs' package for Node, unmodified: realtime speech to text."""

from pathlib import Path

import numpy as np
import pytest

from kani.core.audio.pcm import pcm16
from tests.clients.openai.conftest import RATE, assert_understood, spoken
from tests.conftest import ServerProcess
from tests.support.programs import installed, node

SAID = "Buenas tardes, quiero reservar una mesa para dos."

pytestmark = pytest.mark.heard


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(Path(__file__).parent / "node", tmp_path_factory.mktemp("node"))


@pytest.mark.parametrize("strategy", ["manual", "vad"])
def test_speech_is_heard_live(server: ServerProcess, project: Path, tmp_path: Path, strategy: str) -> None:
    (speech,) = spoken(server, (SAID, "ef_dora"))
    samples = tmp_path / "speech.pcm"
    samples.write_bytes(pcm16(np.pad(speech, (RATE // 2, 2 * RATE))))
    script = project / "listen.mjs"
    started, *partial, committed = node(script, samples, strategy, "es", BASE_URL=server.http_url)
    assert started["message_type"] == "session_started"
    assert {message["message_type"] for message in partial} <= {"partial_transcript"}
    assert_understood(committed["text"], SAID, "es")
    assert "".join(word["text"] for word in committed["words"]).split() == committed["text"].split()
