"""HTTP endpoints of VoxCPM's page: config, list of voices, samples."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx2
import numpy as np
import pytest

from kani.core.engine import EngineInfo
from kani.core.types import Voice
from kani.core.voices.catalogue import VoiceCatalogue, VoiceStore
from kani.core.voices.sample_sentences import sentence
from kani.protocols.voxcpm.voice_folder import VoiceFolder
from kani.protocols.voxcpm.voice_list import FALLBACK_SENTENCE, list_voices, sample_sentence
from tests.clients.voxcpm.wire import Client, opened
from tests.conftest import ServerProcess
from tests.protocols.conftest import Serve
from tests.protocols.languages.speakers import of_wav
from tests.protocols.voices_api.test_voices_api import form, recording
from tests.support.patience import happens
from tests.support.servers.app_server import AppServer, StartApp
from tests.support.tone import tones

PARAMS = {
    "mode": "streaming",
    "cfg_value": 2.0,
    "inference_timesteps": 10,
    "normalize": True,
    "denoise": False,
    "retry_badcase": True,
    "retry_badcase_max_times": 3,
    "retry_badcase_ratio_threshold": 6.0,
}


@pytest.fixture
def voices(tmp_path: Path) -> Path:
    folder = tmp_path / "voice_clone"
    (folder / "视频配音").mkdir(parents=True)
    (folder / "视频配音/和蔼奶奶.wav").write_bytes(recording())
    (folder / "视频配音/和蔼奶奶.txt").write_text("孩子们，早上好。", encoding="utf-8")
    (folder / "Spanish").mkdir()
    (folder / "Spanish/a?b #1%2.mp3").write_bytes(b"ID3 and what follows" * 50_000)
    return folder


@pytest.fixture
def library(start_app: StartApp, voices: Path) -> Iterator[httpx2.Client]:
    """A client of a server with a folder of voices, and a stored one."""
    with httpx2.Client(base_url=start_app(KANI_VOICE_DIR=str(voices)).http_url) as client:
        assert client.post("/v1/audio/voices", **form(language="french")).status_code == 201
        yield client


def test_config_has_address_and_limits(client: httpx2.Client, espeak_app: AppServer) -> None:
    answer = client.get("/api/config")
    url = f"ws://localhost:{espeak_app.port}/tts"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.json() == {
        "wsUrl": url,
        "websocket_url": url,
        "defaultParams": PARAMS,
        "default_params": PARAMS,
        "voxcpm_port": False,
        "constraints": {
            "max_text_length": 5000,
            "cfg_value_range": [0.1, 10.0],
            "inference_timesteps_range": [1, 50],
            "retry_badcase_max_times_range": [0, 10],
            "retry_badcase_ratio_threshold_range": [1.0, 20.0],
        },
    }


async def test_limits_and_addresses_of_the_configuration(
    client: httpx2.Client, talk: Client, compat_server: ServerProcess
) -> None:
    told = (await asyncio.to_thread(client.get, "/api/config")).json()
    limits = told["constraints"]
    longest = limits.pop("max_text_length")
    for name, (low, high) in ((name.removesuffix("_range"), ends) for name, ends in limits.items()):
        for value in (low, high):
            answer = await talk.speak("Hola.", **told["default_params"] | {name: value})
            assert answer.last["type"] == "complete"
        for value in (low - 1, high + 1):
            answer = await talk.speak("Hola.", **{name: value})
            assert name in answer.last["error"]["details"]["errors"]
    too_long = await talk.speak("a" * (longest + 1))
    assert too_long.last["error"]["code"] == "TEXT_TOO_LONG"
    server = compat_server
    for port in (server.port, server.compat["VoxCPM"], server.compat["VoxCPM's page"]):
        config = (await server.get(f"http://localhost:{port}/api/config")).json()
        assert config["voxcpm_port"] is (port != server.port)
        assert config["wsUrl"] == f"ws://localhost:{port}/tts"
        async with opened(config["wsUrl"].removesuffix("/tts")) as socket:
            assert (await socket.speak("Hola.")).last["type"] == "complete"


def test_config_uses_forwarded_scheme_and_host(start_app: StartApp) -> None:
    server = start_app(KANI_NO_AUTH="true", KANI_ALLOWED_HOSTS="tts.example.test")
    for forwarded, scheme in (("https", "wss"), ("https, http", "wss"), ("http", "ws"), ("", "ws")):
        headers = {"x-forwarded-proto": forwarded, "host": "tts.example.test"}
        told = httpx2.get(f"{server.http_url}/api/config", headers=headers).json()
        assert told["wsUrl"] == f"{scheme}://tts.example.test/tts", forwarded


def test_voices_are_listed_by_category(library: httpx2.Client) -> None:
    told = library.get("/api/voices").json()
    one, none = (
        library.get("/api/voices", params={"category": name}).json() for name in ("视频配音", "nothing")
    )
    by_category = told["voices"]
    (granny,) = by_category["视频配音"]
    assert unquote(granny.pop("audio_url")) == "/api/voices/视频配音-和蔼奶奶/audio"
    assert granny == {
        "id": "视频配音-和蔼奶奶",
        "name": "和蔼奶奶",
        "category": "视频配音",
        "sample_text": "孩子们，早上好。",
    }
    assert [voice["id"] for voice in by_category["custom"]] == ["custom:ana"]
    samples = {voice["id"]: voice["sample_text"] for voice in by_category["Spanish"]}
    assert samples.keys() == {"espeak:es", "espeak:es-419", "Spanish-a?b #1%2"}
    assert samples["espeak:es"] == samples["espeak:es-419"] == sentence("es")
    assert list(by_category) == sorted(by_category)
    assert all([v["name"] for v in row] == sorted(v["name"] for v in row) for row in by_category.values())

    total = sum(map(len, by_category.values()))
    counts = {name: len(row) for name, row in by_category.items()}
    assert told["total"] == one["total"] == none["total"] == total
    assert list(one["voices"]) == ["视频配音"] and none["voices"] == {}
    assert library.get("/api/voices/stats").json() == {
        "total_voices": total,
        "total_categories": len(counts),
        "voices_per_category": counts,
        "voices_by_category": counts,
        "initialized": True,
    }
    categories = [{"name": name, "count": counts[name]} for name in sorted(counts)]
    assert library.get("/api/voices/categories").json() == {"categories": categories}


def test_voices_of_best_engine_come_first(tmp_path: Path) -> None:
    natural = {"es": "ef_dora", "en": "af_heart"}
    robotic = {"af": "robot:af", "en": "a robot:en"}
    engines = []
    for name, own in (("natural", natural), ("robotic", robotic)):
        voices = tuple(Voice(voice, voice, language, name) for language, voice in own.items())
        engines.append(EngineInfo(name, "1", 24_000, voices, own))
    catalogue = VoiceCatalogue(tones(*engines), VoiceStore(tmp_path), None)
    listed = list_voices(catalogue, VoiceFolder(None))
    assert [(voice.category, voice.id) for voice in listed.values()] == [
        ("English", "af_heart"),
        ("English", "a robot:en"),
        ("Spanish", "ef_dora"),
        ("Afrikaans", "robot:af"),
    ]


def test_search_returns_one_list(library: httpx2.Client) -> None:
    spanish = ["Spanish-a?b #1%2", "espeak:es", "espeak:es-419"]
    for search, category, found in (
        ("奶奶", "", ["视频配音-和蔼奶奶"]),
        (" 早上好。 ", "", ["视频配音-和蔼奶奶"]),
        ("SPANISH", "Spanish", spanish),
        ("奶奶", "Spanish", []),
        ("nobody", "", []),
    ):
        told = library.get("/api/voices", params={"search": search, "category": category})
        assert sorted(voice["id"] for voice in told.json()["voices"]) == found


def test_built_in_voices_have_samples(client: httpx2.Client) -> None:
    by_category = client.get("/api/voices").json()["voices"]
    listed = [voice for row in by_category.values() for voice in row]
    assert all(voice["sample_text"] for voice in listed)
    for voice in listed[::8]:
        answer = client.get(voice["audio_url"])
        assert answer.status_code == 200, voice
        assert answer.headers["content-type"] == "audio/wav"
        assert answer.headers["cache-control"] == "private, max-age=3600"
        samples = of_wav(answer.content).samples
        assert len(samples) > 10_000 and np.abs(samples).max() > 0.05, voice


def test_samples_are_sentences_of_their_language(library: httpx2.Client, client: httpx2.Client) -> None:
    for tag, language in (("es-419", "es"), ("", "en")):
        assert sample_sentence(tag) == sentence(language) != ""
    assert sample_sentence("xx") == FALLBACK_SENTENCE
    kept = library.get("/api/voices").json()["voices"]["custom"][0]
    answer = library.get(kept["audio_url"])
    assert kept["sample_text"] == sentence("fr")
    assert answer.status_code == 200 and len(of_wav(answer.content).samples) > 10_000
    assert recording()[44:200] not in answer.content
    names = ("nobody", "custom:nobody", "%2e%2e", "%00", "视频配音-", "x" * 5000, "%ff")
    for voice in ("..", "..%2f..%2fetc%2fpasswd", *names):
        answer = client.get(f"/api/voices/{voice}/audio")
        assert answer.status_code == 404, voice
        assert voice not in names or answer.json() == {"error": "Voice not found"}


def test_folder_recording_is_served_unchanged(library: httpx2.Client, voices: Path) -> None:
    listed = library.get("/api/voices", params={"search": "-"}).json()["voices"]
    urls = {voice["id"]: voice["audio_url"] for voice in listed}
    granny, other = library.get(urls["视频配音-和蔼奶奶"]), library.get(urls["Spanish-a?b #1%2"])
    assert (granny.headers["content-type"], granny.content) == ("audio/wav", recording())
    assert other.headers["content-type"] == "audio/mpeg"
    assert other.headers["x-content-type-options"] == "nosniff"
    assert other.content == (voices / "Spanish/a?b #1%2.mp3").read_bytes()


@pytest.mark.parametrize(
    ("limit", "status", "told"),
    [
        ({"KANI_RATE_PER_MINUTE": "1"}, 429, "a minute"),
        ({"KANI_MAX_WAITING": "0", "KANI_MAX_CONCURRENT": "1"}, 503, "waiting"),
    ],
)
async def test_sample_beyond_a_limit_is_refused(
    serve: Serve, limit: dict[str, str], status: int, told: str
) -> None:
    server = await serve(**limit)
    server.engine.allow = 0
    first = asyncio.create_task(server.get("/api/voices/tone_es/audio"))
    await happens(lambda: server.engine.under_way)
    second = await server.get("/api/voices/tone_en/audio")
    await server.engine.permit(None)
    assert (await first).status_code == 200
    assert (second.status_code, second.headers["retry-after"]) == (status, "1")
    assert told in second.json()["error"]
