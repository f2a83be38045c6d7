"""Engines of other packages: a package that is installed beside the server, as its makers would build it."""

import asyncio
import io
import os
import re
import socket
import subprocess
import sys
import traceback
import wave
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import httpx
import numpy as np
import pytest
from hatchling.builders.wheel import WheelBuilder
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from websockets.sync.client import connect

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import RecognizerInfo
from kani.core.transcriber import TranscriptionOptions
from kani.engines import plugin, registry
from kani.engines.plugin import ENGINE_NAMES, ENGINES, EnginePlugin, Found, Resources, find, found_engines
from kani.engines.plugin_settings import PluginSettings, plain, setting
from kani.engines.remote.messages import Failed, Launch, Transcribe, decode_to_worker, encode
from kani.engines.worker.exchanges import RecognitionExchange, outcome
from tests.conftest import ROOT, StartServer
from tests.support.patience import WITHIN_S
from websocket_client import KaniTTSClient

PACKAGE = Path(__file__).parent / "plugin_package"
BROKEN = (
    "the engine acme_broken of the package acme-tone cannot be used: ModuleNotFoundError: No module named "
    "'acme_library_that_is_missing'"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Python's search path with the wheel's content, as an installation of it has."""
    folder = tmp_path_factory.mktemp("packages")
    (wheel,) = WheelBuilder(str(PACKAGE)).build(
        directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"]
    )
    with zipfile.ZipFile(wheel) as content:
        content.extractall(folder)
    return folder


Done = subprocess.CompletedProcess[str]


def python(installed: Path, folder: Path, *arguments: str, **environment: str) -> Done:
    """Run Python to its end where both packages are installed, without settings of the machine's."""
    paths = os.pathsep.join([str(ROOT), str(installed)])
    own = {"PYTHONPATH": paths, "KANI_LOG_FILE": str(folder / "log"), "KANI_CACHE_DIR": str(folder)}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("KANI_")}
    return subprocess.run(
        [sys.executable, *arguments],
        env=outside | own | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )


def run(installed: Path, folder: Path, *arguments: str, **environment: str) -> Done:
    """Run the command line to its end."""
    return python(installed, folder, str(ROOT / "start_websocket_server.py"), *arguments, **environment)


def test_help_lists_the_engine_and_its_settings(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "--help")
    words = " ".join(done.stdout.split())
    assert done.returncode == 0
    assert ", ".join([*ENGINE_NAMES, "acme", "acme_twice"]) + " (default auto)" in words
    assert "Acme's tones: --acme-pitch VALUE" in words
    assert "100% of it. Accepts a number from 50 to 5000 (default 440.0)" in words
    assert "Acme's lines: --acme-line Open the port for lines. --acme-line-port VALUE That port." in words
    assert "none, acme_ear" in words


def test_document_of_the_settings_has_its_rows(installed: Path, tmp_path: Path) -> None:
    document = python(installed, tmp_path, "-m", "kani.composition.settings.document").stdout
    assert "## Acme's tones\n" in document
    accepted = "a number from 50 to 5000 (hertz)"
    assert f"| `acme_pitch` | `KANI_ACME_PITCH` | `440.0` | {accepted} | Frequency of" in document
    assert (
        "| `acme_line_port` | `KANI_ACME_LINE_PORT` | `9009` | a whole number from 0 to 65535 |" in document
    )
    own = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8").splitlines()
    missing = [line for line in own if line not in document]
    assert [line.split("`")[1] for line in missing] == ["engine", "recognizer"]


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        (["--acme-pitch", "6000"], {}, "--acme-pitch='6000': has to be a number from 50 to 5000"),
        ([], {"KANI_ACME_PITCH": "low"}, "KANI_ACME_PITCH='low': has to be a number from 50 to 5000"),
        (["--engine", "acme_broken"], {}, f"--engine='acme_broken': {BROKEN}"),
        (["--engine", "acme_ear"], {}, "--engine='acme_ear': has to be one of auto"),
    ],
)
def test_invalid_settings_are_refused_by_name(
    installed: Path, tmp_path: Path, arguments: list[str], environment: dict[str, str], complaint: str
) -> None:
    done = run(installed, tmp_path, *arguments, **environment)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_settings_come_from_the_file_and_files_are_prepared(installed: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KANI_ENGINE=acme\nKANI_ACME_PITCH=20000\n", encoding="utf-8")
    assert "KANI_ACME_PITCH='20000': has to be" in run(installed, tmp_path).stderr
    (tmp_path / ".env").unlink()
    done = run(installed, tmp_path, "--engine", "acme", "--recognizer", "acme_ear", "--fetch")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["acme has all it needs", "acme_ear 1.0 has all it needs"]
    assert (tmp_path / "acme" / "table.npy").is_file()


def test_library_speaks_by_the_engine(installed: Path, tmp_path: Path) -> None:
    code = (
        "import kani\n"
        "with kani.Speech('acme', acme_pitch=1000) as speech: print(speech.say('Two words.').duration_s)\n"
        "try: kani.Speech('acme', acme_pitch=1)\n"
        "except ValueError as error: print(error)"
    )
    done = python(installed, tmp_path, "-c", code)
    spoken_s, refusal = done.stdout.splitlines()
    assert float(spoken_s) >= 0.5, done.stderr
    assert refusal == "acme_pitch=1: has to be a number from 50 to 5000"


def test_plugin_that_cannot_be_used_takes_no_other_with_it() -> None:
    here = EntryPoint("acme", f"{__name__}:PLUGIN", ENGINES)
    other = [
        EntryPoint("acme_missing", "acme_missing:PLUGIN", ENGINES),
        EntryPoint("acme_text", f"{__name__}:BROKEN", ENGINES),
        EntryPoint("kokoro", f"{__name__}:PLUGIN", ENGINES),
        EntryPoint("other", f"{__name__}:PLUGIN", ENGINES),
    ]
    found = find([*other, here, here], "engine", EnginePlugin, ENGINE_NAMES)
    assert found.plugins == {"acme": PLUGIN}
    assert found.broken == {
        "acme": "the engine acme cannot be used: another one has this name",
        "acme_missing": "the engine acme_missing cannot be used: ModuleNotFoundError: No module named "
        "'acme_missing'",
        "acme_text": "the engine acme_text cannot be used: its entry point names no EnginePlugin",
        "kokoro": "the engine kokoro cannot be used: another one has this name",
        "other": "the engine other cannot be used: its name 'acme' has to be that of its entry point, of "
        "small letters, digits and _",
    }


def test_engine_of_another_package_cannot_take_the_name_of_a_recogniser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would take its settings, too."""
    entry = EntryPoint("kyutai", f"{__name__}:PLUGIN", ENGINES)
    monkeypatch.setattr(plugin, "entry_points", lambda group: [entry])
    found = plugin.found_engines.__wrapped__()
    assert found.broken == {"kyutai": "the engine kyutai cannot be used: another one has this name"}


def test_settings_cross_to_another_process_whole() -> None:
    chosen = AcmeSettings(folder=Path("/b"), key=SecretStr("open"), keys=(SecretStr("x"),), names={"one": 1})
    launch = Launch("acme", 20, "engine", plain(chosen), RESOURCES)
    received = decode_to_worker(encode(launch))
    assert isinstance(received, Launch) and received.resources == RESOURCES
    assert AcmeSettings.model_validate(received.settings) == chosen


async def test_recogniser_of_live_speech_only_says_so_in_its_process() -> None:
    class Live:
        info = RecognizerInfo("acme_live", "1.0", 16_000, frozenset({"en"}))

    exchange = RecognitionExchange(Transcribe(1, TranscriptionOptions()), Live(), None)
    ended = await outcome(1, exchange)
    assert ended == Failed(1, "failed", "the recogniser acme_live transcribes no recordings")


async def spoken(url: str, text: str) -> bytes:
    """Speak by the WebSocket client; return the WAV file."""
    async with KaniTTSClient(url=url) as client:
        return await client.send_tts_request(text)


def test_settings_that_are_refused_there_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hush" * 2
    monkeypatch.setattr(registry, "found_engines", lambda: Found({"acme": PLUGIN}, {"other": "it is broken"}))
    with pytest.raises(EngineUnavailable, match="refuses settings") as refused:
        registry.launched_engine("acme", {"key": [secret]}, RESOURCES)
    assert secret not in "".join(traceback.format_exception(refused.value))
    with pytest.raises(EngineUnavailable, match="acme cannot be used: AssertionError"):
        registry.launched_engine("acme", {}, RESOURCES)
    with pytest.raises(EngineUnavailable, match="it is broken"):
        registry.launched_engine("other", {}, RESOURCES)
    with pytest.raises(EngineUnavailable, match="third is not installed here"):
        registry.launched_engine("third", {}, RESOURCES)


def test_engine_that_fails_to_join_leaves_the_others_of_auto(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = {name: found_engines().plugins[name] for name in registry.EMBEDDED}
    plugins["acme"] = replace(PLUGIN, joins=never)
    monkeypatch.setattr(registry, "found_engines", lambda: Found(plugins, {}))
    known = registry.Registry(lambda model: model(), RESOURCES, CollectorRegistry())
    assert known.auto(may_fetch=False).late is None
    assert "acme does not join the engines of auto: acme cannot be used: AssertionError" in caplog.text


@pytest.mark.parametrize("arguments", [[], ["--engine-process"]])
def test_server_speaks_by_the_engine_of_another_package(
    installed: Path, start_server: StartServer, arguments: list[str]
) -> None:
    server = start_server(
        *("--engine", "acme", "--acme-pitch", "1000", *arguments),
        PYTHONPATH=str(installed),
        KANI_RECOGNIZER="acme_ear",
        KANI_ACME_EAR_WORD="beep",
        KANI_ACME_KEY="open",
        KANI_ACME_LANGAUGES="en",
    )
    assert "speaks   en es (acme 1.0)" in server.banner
    assert "hears    en (acme_ear 1.0)" in server.banner
    with wave.open(io.BytesIO(asyncio.run(spoken(server.url, "Buenos días")))) as speech:
        rate, samples = speech.getframerate(), np.frombuffer(speech.readframes(speech.getnframes()), "<i2")
    strongest = int(np.argmax(np.abs(np.fft.rfft(samples))))
    assert strongest * rate / len(samples) == pytest.approx(1000, abs=10)
    wav = httpx.post(
        f"{server.http_url}/v1/audio/speech",
        json={"model": "tts-1", "input": "two words", "voice": "acme_en", "response_format": "wav"},
    )
    heard = httpx.post(
        f"{server.http_url}/v1/audio/transcriptions",
        files={"file": ("tones.wav", wav.content)},
        data={"model": "whisper-1"},
    )
    assert "beep" in heard.json().get("text", ""), heard.text
    assert server.log.count(BROKEN) == 1
    assert "another one has this name" in server.log  # its Kokoro
    assert "KANI_ACME_LANGAUGES is no setting of this server; did you mean KANI_ACME_LANGUAGES?" in server.log
    assert "KANI_ACME_KEY is no setting" not in server.log


def test_protocol_of_another_package_is_served(installed: Path, start_server: StartServer) -> None:
    """On a port of its own, and on a path of the server's."""
    server = start_server(
        *("--engine", "acme", "--acme-line", "--acme-line-port", "0"),
        PYTHONPATH=str(installed),
        KANI_RECOGNIZER="none",
        KANI_ACME_LINE_PATH="/lines",
    )
    port = re.search(r"acme +tcp://\S+:(\d+)", server.banner)
    assert port is not None, server.banner
    with socket.create_connection((server.host, int(port[1])), WITHIN_S) as line:
        line.sendall(b"two words\n")
        with line.makefile("rb") as answer:
            speech = answer.read(int(answer.readline()))
    assert np.abs(np.frombuffer(speech, "<i2")).max() > 10_000
    with connect(f"{server.url}/lines") as websocket:
        websocket.send("two words")
        assert websocket.recv(WITHIN_S) == speech


def test_setting_that_is_taken_is_refused_with_its_plugin_only(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from kani.composition import settings; print(*settings.plugin_warnings(), sep='\\n'); "
        "settings.load({'engine': 'acme'}); settings.load({'engine': 'acme_twice'})"
    )
    done = python(installed, tmp_path, "-c", code)
    complaint = "the engine acme_twice cannot be used: KANI_VOICE is taken already"
    assert complaint in done.stdout
    assert done.stderr.splitlines()[-1].endswith(f"SettingsError: {complaint}")


@pytest.mark.parametrize("arguments", [[], ["--engine-process"]])
def test_failed_start_says_why(installed: Path, start_server: StartServer, arguments: list[str]) -> None:
    server = start_server(
        "--engine", "acme", *arguments, ready=False, PYTHONPATH=str(installed), KANI_ACME_KEY="wrong"
    )
    assert server.process.wait(WITHIN_S) == 2
    assert "the tones do not open with a key of 5 characters" in server.terminal
    assert "wrong" not in server.terminal


class AcmeSettings(PluginSettings):
    """Settings of all kinds."""

    folder: Path = setting(Path("/a"), "KANI_ACME_FOLDER", group="Acme", about="A folder.")
    key: SecretStr | None = setting(None, "KANI_ACME_KEY", group="Acme", about="A key.")
    keys: tuple[SecretStr, ...] = setting((), "KANI_ACME_KEYS", group="Acme", about="Keys.")
    names: Mapping[str, int] = setting({}, "KANI_ACME_NAMES", group="Acme", about="Numbers by name.")


def never(*_: object) -> None:
    raise AssertionError


RESOURCES = Resources(Path("/cache"), may_fetch=True)
PLUGIN = EnginePlugin("acme", AcmeSettings, never)
