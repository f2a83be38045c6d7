"""The command line: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import websocket_config

if TYPE_CHECKING:
    from tests.conftest import ServerProcess, StartServer

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    command = [sys.executable, str(ROOT / "start_websocket_server.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def refusal(server: ServerProcess, code: int = 1) -> str:
    """The one line with which a server said that it cannot start."""
    assert server.wait() == code
    lines = server.terminal.splitlines()
    assert len(lines) == 1, server.terminal
    return lines[0].removeprefix("start_websocket_server.py: ")


def test_help_is_grouped_and_complete() -> None:
    """--help shows every option in its group, without starting anything."""
    done = run("--help")
    assert done.returncode == 0 and done.stderr == ""
    for words in ("where it listens:", "who speaks:", "what it writes down:", "instead of serving:"):
        assert words in done.stdout
    for option in (
        "--host",
        "--port",
        "--engine",
        "--voice",
        "--fetch",
        "--version",
        "--no-auth",
        "--compat",
        "--recognizer",
        "--log-json",
    ):
        assert option in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 110


def test_version_is_the_projects() -> None:
    """--version prints the one version there is."""
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"kani-tts {websocket_config.VERSION}\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "x"], "--port='x': has to be a whole number from 0 to 65535"),
        (
            ["--engine", "festival"],
            "--engine='festival': has to be one of auto, kani, kokoro, espeak, elevenlabs",
        ),
        (["--prot", "1"], "unrecognized arguments: --prot 1"),
    ],
)
def test_a_wrong_option_is_a_usage_error(arguments: list[str], complaint: str) -> None:
    """What the command line cannot take ends with code 2 and a line that says what it takes."""
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(complaint)


def test_a_wrong_variable_is_one_line(start_server: StartServer) -> None:
    """A wrong setting names its variable, its value and its range, and nothing else is printed."""
    server = start_server(ready=False, KANI_MAX_TEXT="many")
    assert refusal(server, 2) == "KANI_MAX_TEXT='many': has to be a whole number from 1 to 10000000"


def test_a_taken_port_is_one_line_with_the_cure(start_server: StartServer) -> None:
    """A port that someone listens on is named before any engine is loaded."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start_server("--engine", "espeak", "--port", str(port), ready=False)
        line = refusal(server)
    assert line.startswith(f"port {port} on localhost is taken") and "--port" in line


@pytest.mark.parametrize("variable", ["KANI_KYUTAI_PORT", "KANI_KYUTAI_VOICE_PORT"])
def test_a_taken_compat_port_is_one_line_with_the_cure(start_server: StartServer, variable: str) -> None:
    """A port that another protocol's clients look for and that is taken is named, with its setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start_server("--engine", "espeak", "--compat", ready=False, **{variable: str(port)})
        line = refusal(server)
    assert line.startswith(f"port {port} on localhost is taken") and line.endswith(f"port with {variable}")


def test_compat_ports_are_not_opened_unasked(start_server: StartServer) -> None:
    """Without --compat nobody else's port is touched, taken or not."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        server = start_server("--engine", "espeak", KANI_KYUTAI_PORT=port, KANI_KYUTAI_VOICE_PORT=port)
        assert server.compat == {} and "also" not in server.banner


def test_the_network_needs_keys(start_server: StartServer) -> None:
    """An address that others can reach is not opened without keys, and the ways out are named."""
    line = refusal(start_server("--host", "0.0.0.0", ready=False))
    assert line.startswith("0.0.0.0 can be reached from other machines")
    assert "KANI_API_KEYS" in line and "--no-auth" in line


def test_an_address_of_another_machine_is_refused(start_server: StartServer) -> None:
    """An address that this machine does not have is named."""
    line = refusal(start_server("--host", "203.0.113.1", "--no-auth", ready=False))
    assert line == "'203.0.113.1' is no address of this machine; choose one with --host"


def test_an_engine_that_cannot_run_is_one_line(start_server: StartServer) -> None:
    """An engine that was asked for by name and cannot start is the end, with the reason."""
    line = refusal(start_server("--engine", "kani", "--model", "nowhere", ready=False))
    assert line.startswith("the Kani engine cannot start: 'nowhere' is neither") and "--engine auto" in line


def test_an_unknown_default_voice_is_one_line(start_server: StartServer) -> None:
    """A default voice that no engine has is named, by the option or the variable that sets it."""
    hint = "start without it, and list the voices with: python websocket_client.py --voices"
    line = refusal(start_server("--engine", "espeak", "--voice", "nobody", ready=False))
    assert line == f"--voice: unknown voice 'nobody'; {hint}"
    line = refusal(start_server("--engine", "espeak", ready=False, KANI_VOICE="nobody"))
    assert line == f"KANI_VOICE: unknown voice 'nobody'; {hint}"


def test_a_certificate_is_complained_of_by_its_option(start_server: StartServer, tmp_path: Path) -> None:
    """What the command line sets is called as it is written there."""
    options = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    line = refusal(start_server("--engine", "espeak", *options, ready=False))
    assert line.startswith("--tls-cert: ") and line.endswith("cannot be read: No such file or directory")


def test_broken_weights_are_one_line(start_server: StartServer, tmp_path: Path) -> None:
    """A model file of the user's that is not what it should be is never used, and is named."""
    (tmp_path / "kokoro-v1.0.int8.onnx").write_bytes(b"not a model")
    server = start_server("--engine", "kokoro", ready=False, KANI_MODELS_DIR=str(tmp_path))
    assert refusal(server).startswith(
        "kokoro-v1.0.int8.onnx in the models folder has a wrong size or SHA-256"
    )


def test_the_banner_says_where_who_and_how(espeak_server: ServerProcess) -> None:
    """The banner has the address, who speaks what, the voices, and a command to try that works here."""
    banner = espeak_server.banner
    assert f"kani-tts {websocket_config.VERSION} is ready" in banner
    assert "(espeak" in banner and "voices" in banner
    assert f'python websocket_client.py "Hola" -o hola.wav --server {espeak_server.url}' in banner


def test_the_banner_names_each_compat_port(compat_server: ServerProcess) -> None:
    """Each port that --compat opened has a line with the protocol whose clients look for it."""
    server = compat_server
    ports = server.compat
    assert len({server.port, *ports.values()}) == 1 + len(ports) == 7
    assert f"  also     http://localhost:{ports['Kani REST']} (Kani REST)\n" in server.banner
    assert f"  also     ws://localhost:{ports['Kyutai']} (Kyutai)\n" in server.banner
    voice = f"  also     http://localhost:{ports['Kyutai voice cloning']} (Kyutai voice cloning)\n"
    assert voice in server.banner
    assert f"  also     ws://localhost:{ports['VoxCPM']} (VoxCPM)\n" in server.banner
    assert f"  page     http://localhost:{server.port}/\n" in server.banner


def test_a_model_of_voxcpms_is_answered_with_who_speaks_here(start_server: StartServer) -> None:
    """TTS_MODEL_NAME, which users of that server have set, gets a line that says what it means here."""
    server = start_server("--engine", "espeak", TTS_MODEL_NAME="openbmb/VoxCPM-0.5B")
    (line,) = [line for line in server.log.splitlines() if "TTS_MODEL_NAME" in line]
    assert "openbmb/VoxCPM-0.5B" in line and "speaks VoxCPM's protocol, not its model" in line
    assert "TTS_MODEL_NAME" not in start_server("--engine", "espeak").log


def test_the_banner_says_who_listens(start_server: StartServer, espeak_server: ServerProcess) -> None:
    """Who recognises speech is named with the number of languages; where nobody does there is no line."""
    (line,) = [line for line in espeak_server.banner.splitlines() if line.startswith("  hears ")]
    assert line.endswith(")") and " languages (whisper " in line
    assert "hears" not in start_server("--engine", "espeak", "--recognizer", "none").banner


def test_the_banner_of_every_address_names_one_that_works(start_server: StartServer) -> None:
    """0.0.0.0 is no address to connect to: the banner names localhost, and says that it is not alone."""
    server = start_server("--engine", "espeak", "--host", "0.0.0.0", "--no-auth")
    assert f"ws://localhost:{server.port}, on every address of this machine" in server.banner
    assert httpx.get(f"http://127.0.0.1:{server.port}/metrics").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server_with_1001_and_code_0(start_server: StartServer, number: int) -> None:
    """SIGTERM and Ctrl+C close open sockets with "going away" and end with code 0."""
    server = start_server("--engine", "espeak")
    with connect(server.url) as socket_:
        server.send_signal(number)
        with pytest.raises(ConnectionClosed) as closed:
            socket_.recv(timeout=300)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert server.wait() == 0
    assert "Traceback" not in server.terminal


def test_a_signal_closes_the_compat_ports_too(start_server: StartServer) -> None:
    """Whoever came by another protocol's port is told that the server goes away, and the port is free."""
    server = start_server("--engine", "espeak", "--compat")
    port = server.compat["Kyutai"]
    with connect(f"ws://localhost:{port}") as socket_:
        server.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            socket_.recv(timeout=300)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert server.wait() == 0
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("request_type", "last"), [("tts_stream_request", "tts_stream_complete"), ("tts_request", "tts_response")]
)
def test_speech_under_way_is_finished_before_the_end(
    start_server: StartServer, request_type: str, last: str
) -> None:
    """A request that was being spoken when the signal came is answered whole, then the socket is closed."""
    server = start_server("--engine", "espeak")
    request = {"type": request_type, "data": {"text": "Buenos días. " * 60, "stream": True}}
    with connect(server.url, max_size=None) as socket_:
        socket_.send(json.dumps(request))
        assert json.loads(socket_.recv(timeout=300))["type"] == "tts_stream_chunk"
        server.send_signal(signal.SIGTERM)
        answers = []
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                answers.append(json.loads(socket_.recv(timeout=300)))
    assert answers[-1]["type"] == last and answers[-1]["data"]["status"] in ("success", "completed")
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
    assert server.wait() == 0


def test_the_limit_of_shutdown_ends_a_slow_reader(start_server: StartServer) -> None:
    """Speech that does not end within the limit is cut off, and the server ends all the same."""
    server = start_server("--engine", "espeak", KANI_SHUTDOWN_SECONDS="0.2", KANI_AHEAD_SECONDS="1")
    request = {"type": "tts_stream_request", "data": {"text": "Buenos días. " * 700}}
    with connect(server.url, max_queue=1, close_timeout=0.1) as socket_:
        socket_.send(json.dumps(request))
        socket_.recv(timeout=300)
        server.send_signal(signal.SIGTERM)
        assert server.wait() == 0
    assert "Traceback" not in server.terminal


def test_a_second_ctrl_c_ends_at_once(start_server: StartServer) -> None:
    """Who presses Ctrl+C twice does not wait for speech under way."""
    server = start_server("--engine", "espeak", KANI_SHUTDOWN_SECONDS="600", KANI_AHEAD_SECONDS="1")
    request = {"type": "tts_stream_request", "data": {"text": "Buenos días. " * 700}}
    with connect(server.url, max_queue=1, close_timeout=0.1) as socket_:
        socket_.send(json.dumps(request))
        socket_.recv(timeout=300)
        server.send_signal(signal.SIGINT)
        wait_for_phase(server, "draining")
        server.send_signal(signal.SIGINT)
        assert server.wait() == 130


def test_newcomers_are_turned_away_while_it_stops(start_server: StartServer) -> None:
    """While speech under way is finished, /health says so with 503 and nobody else is let in."""
    server = start_server("--engine", "espeak", KANI_SHUTDOWN_SECONDS="600", KANI_AHEAD_SECONDS="1")
    request = {"type": "tts_stream_request", "data": {"text": "Buenos días. " * 700}}
    with connect(server.url, max_queue=1, close_timeout=0.1) as socket_:
        socket_.send(json.dumps(request))
        socket_.recv(timeout=300)
        server.send_signal(signal.SIGTERM)
        wait_for_phase(server, "draining")
        answer = httpx.get(f"{server.http_url}/v1/audio/voices")
        assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
        assert answer.json() == {"error": {"message": "the server is draining"}}
    assert server.wait() == 0


def wait_for_phase(server: ServerProcess, phase: str) -> None:
    """Return once /health tells the phase; the server needs a moment to hear a signal."""
    with httpx.Client(base_url=server.http_url) as client:
        for _ in range(1000):
            answer = client.get("/health")
            if answer.json()["status"] == phase:
                assert answer.status_code == 503
                return
    pytest.fail(f"the server never was {phase}")


def test_the_log_goes_to_the_terminal_and_the_file(start_server: StartServer) -> None:
    """What happens is told on standard error and in websocket_server.log alike."""
    server = start_server("--engine", "espeak", KANI_PROT="1")
    server.stop()
    sentence = "WARNING server: KANI_PROT is no setting of this server; did you mean KANI_PORT?"
    assert sentence in server.terminal and sentence in server.log
    assert server.log == server.terminal


def test_the_log_is_json_on_request(start_server: StartServer) -> None:
    """--log-json writes one JSON object a line, for machines."""
    server = start_server("--engine", "espeak", "--log-json", KANI_PROT="1")
    server.stop()
    lines = [json.loads(line) for line in server.log.splitlines()]
    assert [line["level"] for line in lines] == ["WARNING", "INFO", "INFO", "INFO"]
    assert all(line["logger"] == "server" and line["time"].endswith("+00:00") for line in lines)
    assert lines[0]["message"].startswith("KANI_PROT is no setting")


def test_a_log_file_that_cannot_be_written_is_a_warning(start_server: StartServer, tmp_path: Path) -> None:
    """Without a place for its log file the server still serves, and says so."""
    server = start_server("--engine", "espeak", KANI_LOG_FILE=str(tmp_path / "nowhere" / "server.log"))
    assert "no log file" in server.terminal


def test_keys_stay_out_of_the_log(start_server: StartServer) -> None:
    """However a client sends its key, and whether it is right or wrong, no log has it."""
    server = start_server(
        "--engine", "espeak", "--host", "0.0.0.0", "--log-level", "DEBUG", KANI_API_KEYS="right-key"
    )
    for key in ("right-key", "wrong-key"):
        address = f"127.0.0.1:{server.port}/?token={key}"
        httpx.get(f"http://{address}", headers={"xi-api-key": key})
        if key == "right-key":
            with connect(f"ws://{address}") as socket_:
                socket_.send('{"type": "ping"}')
                socket_.recv(timeout=300)
    server.stop()
    assert "right-key" not in server.terminal + server.log + server.banner
    assert "wrong-key" not in server.terminal + server.log


def test_fetch_and_no_fetch_exclude_each_other() -> None:
    """The refusal names both."""
    done = run("--fetch", "--no-fetch")
    assert done.returncode == 2
    assert "KANI_NO_FETCH forbids what --fetch asks for" in done.stderr


@pytest.mark.parametrize(("recognizer", "names"), [("auto", ["espeak", "whisper"]), ("none", ["espeak"])])
def test_fetch_gets_what_is_needed_and_ends(
    start_server: StartServer, recognizer: str, names: list[str]
) -> None:
    """--fetch verifies the files of who speaks and who listens, opens no port, and ends with code 0."""
    server = start_server("--engine", "espeak", "--recognizer", recognizer, "--fetch", ready=False)
    assert server.process.stdout is not None
    lines = server.process.stdout.read().decode().splitlines()
    assert server.wait() == 0, server.terminal
    assert [line.partition(" ")[0] for line in lines] == names
    assert all(line.endswith(" has all it needs") for line in lines)
