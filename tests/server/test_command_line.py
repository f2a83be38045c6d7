"""The command line: its options, its refusals, and the ends of the process."""

import asyncio
import json
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import websocket_config
from kani.cli import serve as start_websocket_server
from kani.composition import settings
from kani.composition.speech_service import Builder
from kani.engines.whisper.engine import WhisperRecognizer
from kani.server import logs
from tests.conftest import ServerProcess, StartServer
from tests.running.sources import ROOT
from tests.support.patience import until
from tests.support.servers.asgi import closing
from tests.support.servers.serving import serving

Run = Callable[..., tuple[int, str, str]]
OWN_VARIABLES = ("KANI_", "TTS_", "ELEVEN_", "LIVEKIT_", "LOG_", "PORT")
LONG = {"type": "tts_stream_request", "data": {"text": "Buenos días. " * 700}}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command line to its end: ``run("--port", "x", KANI_VOICE="y")``; code, output and errors."""
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)
    for name in list(os.environ):
        if name.startswith(OWN_VARIABLES):
            monkeypatch.delenv(name)

    def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
        for name, value in ({"KANI_PORT": "0", "KANI_DATA_DIR": str(tmp_path)} | environment).items():
            monkeypatch.setenv(name, value)
        try:
            code = start_websocket_server.main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_help_is_complete_and_version_the_projects(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--version") == (0, f"kani-tts {websocket_config.VERSION}\n", "")
    monkeypatch.setenv("COLUMNS", "80")
    code, shown, errors = run("--help")
    assert (code, errors) == (0, "")
    groups = ("where it listens:", "engines and voices:", "log:", "instead of serving:")
    options = "--host --port --engine --voice --fetch --version --no-auth --compat --recognizer --log-json"
    assert all(words in shown for words in (*groups, *options.split()))
    assert "9301, 10300)" in " ".join(shown.split()) and "`" not in shown and "](" not in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


STARTS = f"kani-tts {websocket_config.VERSION} is starting on "
WRONG = Path(__file__).with_name("wrong_options.tsv").read_text(encoding="utf-8").splitlines()[1:]


@pytest.mark.parametrize("row", WRONG)
def test_wrong_option_is_one_line_before_an_engine_loads(
    run: Run, caplog: pytest.LogCaptureFixture, row: str
) -> None:
    options, environment, code, complaint = row.split("\t")
    ended, printed, line = run(*options.split(), **dict(each.split("=", 1) for each in environment.split()))
    assert (ended, line.count("\n")) == (int(code), 1), line
    assert not printed or (printed.startswith(STARTS) and printed.count("\n") == 1)
    assert line.startswith("start_websocket_server.py: ") and complaint in line
    # Kokoro, which the settings' defaults begin with, logs its decoder.
    assert not [record.getMessage() for record in caplog.records if record.name.startswith("engines.")]


@pytest.mark.parametrize(
    ("option", "package", "complaint"),
    [
        ("--recognizer=kyutai", "moshi", "the Kyutai engine needs "),
        ("--recognizer=whisper", "ctranslate2", "ctranslate2 not installed; pip install "),
    ],
)
def test_named_recogniser_without_its_package_ends_the_start(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: str, package: str, complaint: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    code, _, line = run(option, "--engine", "espeak", "--no-fetch", KANI_CACHE_DIR=str(tmp_path))
    assert (code, line.count("\n")) == (2, 1) and complaint in line


def test_automatic_recogniser_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    chosen = settings.load({"cache_dir": tmp_path}, {}, tmp_path / "no file")
    recognizer = Builder(chosen).recognizer()
    assert recognizer is not None and "ctranslate2 not installed" in recognizer.info.unavailable_reason


@pytest.mark.parametrize(
    ("variable", "place", "complaint"),
    [
        ("KANI_LEXICON", "file/x", "lexicon (KANI_LEXICON): there is no "),
        ("KANI_MODELS_DIR", "file/x", "models_dir (KANI_MODELS_DIR): there is no "),
        ("KANI_TURN_MODEL", "file/x", "turn_model (KANI_TURN_MODEL): there is no "),
        ("KANI_DATA_DIR", "file/x", "data_dir (KANI_DATA_DIR): no voice can be stored in "),
        ("KANI_MODELS_DIR", 300 * "x", "models_dir (KANI_MODELS_DIR): there is no folder "),
        ("KANI_DATA_DIR", 300 * "x", "data_dir (KANI_DATA_DIR): no voice can be stored in "),
        # A file where a folder is needed.
        ("KANI_MODELS_DIR", "file", "models_dir (KANI_MODELS_DIR): there is no folder "),
        ("KANI_DATA_DIR", "file", "data_dir (KANI_DATA_DIR): no voice can be stored in "),
    ],
)
def test_missing_place_ends_the_start(
    run: Run, tmp_path: Path, variable: str, place: str, complaint: str
) -> None:
    (tmp_path / "file").touch()
    code, _, line = run("--engine", "espeak", **{variable: str(tmp_path / place)})
    assert (code, line.count("\n")) == (2, 1) and complaint in line


def test_taken_port_ends_the_start_with_the_remedy(run: Run) -> None:
    compat = [f"KANI_{name}_PORT" for name in ("KYUTAI", "RELAY", "VOXCPM")]
    free = dict.fromkeys((*compat, "KANI_REST_PORT"), "0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for variable in ("KANI_PORT", *compat):
            code, _, line = run(
                "--engine", "espeak", "--compat", **({"KANI_PORT": "0"} | free | {variable: port})
            )
            setting = "--port" if variable == "KANI_PORT" else variable
            assert (code, line.count("\n")) == (1, 1)
            assert f"port {port} on localhost is taken" in line and line.endswith(f"port with {setting}\n")


def test_server_that_cannot_start_prints_one_line(run: Run, tmp_path: Path) -> None:
    import torch  # noqa: F401 - without it another line comes

    models = {"KANI_KOKORO_MODELS": f"de={tmp_path}"}
    for engine, environment, complaint in (
        (("kani", "--model", "nowhere"), {}, "the Kani engine cannot start: 'nowhere' is neither"),
        (("kokoro",), models, "KANI_KOKORO_MODELS: the checkpoint in "),
        (
            ("espeak",),
            {"KANI_ELEVENLABS_VOICES": "a=nobody"},
            "KANI_ELEVENLABS_VOICES: unknown voice 'nobody'",
        ),
    ):
        ended, _, line = run("--engine", *engine, **environment)
        assert (ended, line.count("\n")) == (2, 1)
        assert line.startswith(f"start_websocket_server.py: {complaint}")


def test_wrong_turn_model_ends_the_start(run: Run, tmp_path: Path) -> None:
    code, _, line = run("--engine", "espeak", KANI_TURN_MODEL=str(tmp_path))
    assert (code, line.count("\n")) == (2, 1)
    assert f"turn_model (KANI_TURN_MODEL): {tmp_path} is no network like smart-turn v3" in line


async def test_banner_names_address_engine_and_a_command_that_works(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # Without --compat its ports stay closed.
        port = str(taken.getsockname()[1])
        async with serving(tmp_path, KANI_KYUTAI_PORT=port) as server:
            assert server.compat == {} and "also" not in server.banner
    assert f"kani-tts {websocket_config.VERSION} is ready" in server.banner
    assert "(tone 1)" in server.banner and "voices   2" in server.banner
    address = f"ws://localhost:{server.port}"
    assert f'python websocket_client.py "Hola" -o hola.wav --server {address}' in server.banner
    assert "hears" not in server.banner


async def test_compat_ports_are_named_and_closed_at_the_end(tmp_path: Path) -> None:
    async with serving(tmp_path, KANI_COMPAT="true") as server:
        ports = server.compat
        assert len({server.port, *ports.values()}) == 1 + len(ports) == 7
        for scheme, protocol in (
            *(("http", "Kani REST"), ("ws", "Kyutai"), ("http", "Kyutai voice cloning")),
            ("ws", "VoxCPM"),
        ):
            line = f"  also     {scheme}://localhost:{ports[protocol]} ({protocol})\n"
            assert line in server.banner
        assert f"  page     http://localhost:{server.port}/\n" in server.banner
        async with connect_async(f"ws://localhost:{ports['Kyutai']}") as client:
            server.stop.set()
            assert (await closing(client))[0] == 1001
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", ports["Kyutai"]))


async def test_banner_of_every_address_names_one_that_works(tmp_path: Path) -> None:
    async with serving(tmp_path, KANI_HOST="0.0.0.0", KANI_NO_AUTH="true") as server:
        assert f"ws://localhost:{server.port}, on every address of this machine" in server.banner
        assert (await server.get("/metrics")).status_code == 200
        assert "--api-key" not in server.banner


@pytest.mark.server
async def test_banner_names_a_key_where_one_is_needed_and_never_prints_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, KANI_HOST="0.0.0.0", KANI_API_KEYS="a-short-key") as server:
        (example,) = [line for line in server.banner.splitlines() if line.startswith("  try ")]
        assert example.endswith(f" --server ws://localhost:{server.port} --api-key KEY")
        assert "KEY is one of KANI_API_KEYS" in server.banner and "a-short-key" not in server.banner
        program, *arguments = shlex.split(example.partition("python ")[2].replace("KEY", "a-short-key"))
        client = await asyncio.create_subprocess_exec(
            sys.executable, ROOT / program, *arguments, cwd=tmp_path
        )
        assert await client.wait() == 0
    assert (tmp_path / "hola.wav").stat().st_size > 10_000
    assert "a key of fewer than 16 characters, which can be guessed" in caplog.text
    assert "a-short-key" not in caplog.text


async def test_banner_says_what_recognition_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    recognizer = WhisperRecognizer(models_dir=None, cache_dir=tmp_path)
    async with serving(tmp_path, recognizer) as server:
        (line,) = [line for line in server.banner.splitlines() if line.startswith("  hears ")]
    assert line == "  hears    nothing: tokenizers not installed; pip install -r requirements.txt"


def test_banner_names_the_recogniser(espeak_server: ServerProcess) -> None:
    (line,) = [line for line in espeak_server.banner.splitlines() if line.startswith("  hears ")]
    assert line.endswith(")") and " languages (whisper " in line


def test_ctrl_c_ends_an_idle_server_with_1001_and_code_0_and_its_log_is_in_both_places(
    start_server: StartServer,
) -> None:
    server = start_server("--engine", "espeak", KANI_PROT="1", TTS_MODEL_NAME="openbmb/VoxCPM-0.5B")
    with connect(server.url) as socket_:
        server.send_signal(signal.SIGINT)
        with pytest.raises(ConnectionClosed) as closed:
            socket_.recv(timeout=300)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert server.wait() == 0
    assert "Traceback" not in server.terminal and server.log == server.terminal
    for sentence in (
        "WARNING server: TTS_MODEL_NAME=openbmb/VoxCPM-0.5B is not read: ",
        "WARNING server: KANI_PROT is no setting of this server; did you mean KANI_PORT?",
    ):
        assert sentence in server.log


async def test_new_requests_are_refused_while_speech_is_finished(tmp_path: Path) -> None:
    async with serving(tmp_path, KANI_SHUTDOWN_SECONDS="300") as server, connect_async(server.url) as client:
        server.engine.allow = 4
        await client.send(json.dumps(LONG))
        await client.recv()
        server.stop.set()
        while (health := await server.get("/health")).json()["status"] != "draining":
            assert health.status_code == 200
        assert health.status_code == 503
        assert (await server.get("/livez")).status_code == 200
        answer = await server.get("/v1/audio/voices")
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
        assert answer.json() == {"error": {"message": "the server is draining"}}
        await client.close()


@contextmanager
def read_slowly(start_server: StartServer, shutdown_s: str) -> Iterator[ServerProcess]:
    """A server that is in the middle of a long answer."""
    server = start_server("--engine", "espeak", KANI_SHUTDOWN_SECONDS=shutdown_s)
    with connect(server.url, max_queue=1, close_timeout=0.1) as socket_:
        socket_.send(json.dumps(LONG))
        socket_.recv(timeout=300)
        yield server


def test_the_limit_of_shutdown_ends_a_slow_reader(start_server: StartServer) -> None:
    with read_slowly(start_server, "0.2") as server:
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    assert "Traceback" not in server.terminal


def test_a_second_ctrl_c_ends_at_once(start_server: StartServer) -> None:
    with read_slowly(start_server, "600") as server, httpx2.Client(base_url=server.http_url) as client:
        server.send_signal(signal.SIGINT)
        until(lambda: client.get("/health").json()["status"] == "draining")
        server.send_signal(signal.SIGINT)
        assert server.wait() == 130


@pytest.mark.parametrize(("recognizer", "names"), [("auto", ["espeak", "whisper"]), ("none", ["espeak"])])
def test_fetch_loads_files_and_ends(start_server: StartServer, recognizer: str, names: list[str]) -> None:
    server = start_server("--engine", "espeak", "--recognizer", recognizer, "--fetch", ready=False)
    assert server.process.stdout is not None
    lines = server.process.stdout.read().decode().splitlines()
    assert server.wait() == 0, server.terminal
    assert [line.partition(" ")[0] for line in lines] == names
    assert all(line.endswith(" has all it needs") for line in lines)
