"""VoxCPM's models by VoxCPM's protocol, with stand-ins for their packages."""

import base64
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from kani.core.audio.pcm import wav
from tests.clients.voxcpm.wire import opened
from tests.engines.packages.life import STAND_INS
from tests.engines.packages.small_checkpoints import written
from tests.support.servers.app_server import AppServer, app_server

pytestmark = pytest.mark.server


@pytest.fixture(
    scope="module", params=[("voxcpm-old", "cpu"), ("voxcpm", "cpu"), ("voxcpm", "auto")], ids="-".join
)
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppServer]:
    """The second device is that of nano-vllm."""
    family, device = request.param
    model = str(written(tmp_path_factory.mktemp(family), family))
    chosen = {"KANI_ENGINE": "voxcpm", "KANI_PYTHONS": f"voxcpm={sys.executable}", "KANI_MODEL": model}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(STAND_INS))
        with app_server(tmp_path_factory.mktemp("app"), KANI_DEVICE=device, **chosen) as running:
            yield running


async def test_recording_of_a_client_is_imitated(app: AppServer) -> None:
    tone = 0.9 * np.sin(2 * np.pi * 200 * np.arange(32_000) / 16_000)
    file = base64.b64encode(wav(tone.astype(np.float32), 16_000)).decode()
    given = {"prompt_wav_url": f"data:audio/wav;base64,{file}", "prompt_text": "Its words.", "language": "en"}
    async with opened(app.url) as client:
        plain = await client.speak("One two three.", seed=5, language="en")
        other = await client.speak("One two three.", seed=5, language="en", cfg_value=3.5)
        assert other.last["result"]["unused"] == [] and len(plain.samples) == 3 * 2_560
        cloned = await client.speak("One two three.", seed=5, **given)
        alone = (await client.speak("One.", prompt_text="Its words.", language="en")).last
    assert cloned.last["result"]["cloning"] == "embedding" and cloned.last["result"]["unused"] == []
    assert cloned.samples.std() > 1.5 * plain.samples.std()
    assert "transcript of a recording" in alone["error"]["details"]["errors"]["prompt_text"]
