"""Engines of other packages: a package that is installed beside the server, as its makers would build it."""

import io
import os
import re
import socket
import traceback
import wave
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

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
from kani.engines.plugin import ENGINE_NAMES, ENGINES, EnginePlugin, Found, Resources, found_engines
from kani.engines.plugin_settings import PluginSettings, plain, setting
from kani.engines.remote.messages import Failed, Launch, Transcribe, decode_to_worker, encode
from kani.engines.worker.exchanges import RecognitionExchange, outcome
from tests.conftest import ROOT, StartServer
from tests.support import programs
from tests.support.patience import WITHIN_S
from tests.support.programs import Ended
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


def python(installed: Path, folder: Path, *arguments: str, code: int = 0, **environment: str) -> Ended:
    """Run Python to its end where both packages are installed, without settings of the machine's."""
    paths = os.pathsep.join([str(ROOT), str(installed)])
    own = {"PYTHONPATH": paths, "KANI_LOG_FILE": str(folder / "log"), "KANI_CACHE_DIR": str(folder)}
    outside = {name: value for name, value in os.environ.items() if not name.startswith("KANI_")}
    return programs.python(*arguments, code=code, cwd=folder, env=outside | own | environment)


def run(installed: Path, folder: Path, *arguments: str, **given: Any) -> Ended:
    return python(installed, folder, str(ROOT / "start_websocket_server.py"), *arguments, **given)


def test_help_lists_the_engine_and_its_settings(installed: Path, tmp_path: Path) -> None:
    words = " ".join(run(installed, tmp_path, "--help").stdout.split())
    assert ", ".join([*ENGINE_NAMES, "acme", "acme_twice"]) + " (default auto)" in words
    assert "Acme's tones: --acme-pitch VALUE" in words
    assert "100% of it. Accepts a number from 50 to 5000 (default 440.0)" in words
    assert "Acme's lines: --acme-line Open the port for lines. --acme-line-port VALUE That port." in words
    assert "none, acme_ear" in words


def test_document_of_the_settings_has_its_rows(installed: Path, tmp_path: Path) -> None:
    document = python(installed, tmp_path, "-m", "kani.composition.settings.document").stdout
    assert "## Acme's tones\n" in document
    accepted = "a number from 50 to 5000 (hertz)"
    assert f"| `acme_pitch` | `KANI_ACME_PITCH` | `440.0` | {accepted} | Frequency, 100% of it. |" in document
    port = "| `acme_line_port` | `KANI_ACME_LINE_PORT` | `9009` | a whole number from 0 to 65535 |"
    assert port in document
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
    (line,) = run(installed, tmp_path, *arguments, code=2, **environment).stderr.splitlines()
    assert complaint in line


def test_settings_come_from_the_file_and_files_are_prepared(installed: Path, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KANI_ENGINE=acme\nKANI_ACME_PITCH=20000\n", encoding="utf-8")
    assert "KANI_ACME_PITCH='20000': has to be" in run(installed, tmp_path, code=2).stderr
    (tmp_path / ".env").unlink()
    done = run(installed, tmp_path, "--engine", "acme", "--recognizer", "acme_ear", "--fetch")
    assert done.stdout.splitlines() == ["acme has all it needs", "acme_ear 1.0 has all it needs"]
    assert (tmp_path / "acme" / "table.npy").is_file()


def test_library_speaks_by_the_engine(installed: Path, tmp_path: Path) -> None:
    code = (
        "import kani\n"
        "with kani.Speech('acme', acme_pitch=1000) as speech: print(speech.say('Two words.').duration_s)\n"
        "try: kani.Speech('acme', acme_pitch=1)\n"
        "except ValueError as error: print(error)"
    )
    spoken_s, refusal = python(installed, tmp_path, "-c", code).stdout.splitlines()
    assert float(spoken_s) >= 0.5
    assert refusal == "acme_pitch=1: has to be a number from 50 to 5000"


def test_plugin_that_cannot_be_used_takes_no_other_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine of another package cannot have the name of a recogniser either: they share settings."""
    broken = {
        "acme": "another one has this name",
        "acme_missing": "ModuleNotFoundError: No module named 'acme_missing'",
        "acme_text": "its entry point names no EnginePlugin",
        "kokoro": "another one has this name",
        "other": "its name 'acme' has to be that of its entry point, of small letters, digits and _",
        "whisper": "another one has this name",
    }
    values = {"acme_missing": "acme_missing:PLUGIN", "acme_text": f"{__name__}:BROKEN"}
    entries = [EntryPoint(name, values.get(name, f"{__name__}:PLUGIN"), ENGINES) for name in broken]
    monkeypatch.setattr(plugin, "entry_points", lambda group: [*entries, entries[0]])
    found = plugin.found_engines.__wrapped__()
    assert found.plugins == {**found_engines().plugins, "acme": PLUGIN}
    assert found.broken == {name: f"the engine {name} cannot be used: {why}" for name, why in broken.items()}


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


def test_settings_that_are_refused_there_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hush" * 2
    monkeypatch.setattr(registry, "found_engines", lambda: Found({"acme": PLUGIN}, {"other": "it is broken"}))
    with pytest.raises(EngineUnavailable, match="refuses settings") as refused:
        registry.launched("engine", "acme", {"key": [secret]}, RESOURCES)
    assert secret not in "".join(traceback.format_exception(refused.value))
    reasons = {"acme": "acme cannot be used: AssertionError", "other": "it is broken"}
    for name, reason in (reasons | {"third": "third is not installed here"}).items():
        with pytest.raises(EngineUnavailable, match=reason):
            registry.launched("engine", name, {}, RESOURCES)


def test_engine_that_fails_to_join_leaves_the_others_of_auto(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plugins = {name: found_engines().plugins[name] for name in registry.EMBEDDED}
    plugins["acme"] = replace(PLUGIN, joins=never)
    monkeypatch.setattr(registry, "found_engines", lambda: Found(plugins, {}))
    known = registry.Registry(lambda model: model(), RESOURCES, CollectorRegistry())
    assert known.auto().late is None
    assert "acme does not join the engines of auto: acme cannot be used: AssertionError" in caplog.text


@pytest.mark.parametrize("arguments", [[], ["--engine-process"]])
async def test_server_has_the_engine_the_recogniser_and_the_protocol_of_another_package(
    installed: Path, start_server: StartServer, arguments: list[str]
) -> None:
    """The protocol on a port of its own, and on a path of the server's."""
    server = start_server(
        *("--engine", "acme", "--acme-pitch", "1000", "--acme-line", "--acme-line-port", "0", *arguments),
        PYTHONPATH=str(installed),
        KANI_RECOGNIZER="acme_ear",
        KANI_ACME_EAR_WORD="beep",
        KANI_ACME_KEY="open",
        KANI_ACME_LANGAUGES="en",
        KANI_ACME_LINE_PATH="/lines",
    )
    assert "speaks   en es (acme 1.0)" in server.banner
    assert "hears    en (acme_ear 1.0)" in server.banner
    async with KaniTTSClient(url=server.url) as client:
        spoken = await client.send_tts_request("Buenos días")
    with wave.open(io.BytesIO(spoken)) as speech:
        rate, samples = speech.getframerate(), np.frombuffer(speech.readframes(speech.getnframes()), "<i2")
    strongest = int(np.argmax(np.abs(np.fft.rfft(samples))))
    assert strongest * rate / len(samples) == pytest.approx(1000, abs=10)
    asked = {"model": "tts-1", "input": "two words", "voice": "acme_en", "response_format": "wav"}
    wav, form = (await server.post("/v1/audio/speech", json=asked)).content, {"model": "whisper-1"}
    heard = await server.post("/v1/audio/transcriptions", files={"file": ("tones.wav", wav)}, data=form)
    assert "beep" in heard.json().get("text", ""), heard.text
    assert server.log.count(BROKEN) == 1
    assert "another one has this name" in server.log  # its Kokoro
    assert "KANI_ACME_LANGAUGES is no setting of this server; did you mean KANI_ACME_LANGUAGES?" in server.log
    assert "KANI_ACME_KEY is no setting" not in server.log
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
    done = python(installed, tmp_path, "-c", code, code=1)
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
