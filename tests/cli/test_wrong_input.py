"""Wrong input of people: each is one line with the field and the cure, and nothing is spoken instead."""

import http.server
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from kani.cli import check, client, main, serve, speech_commands
from kani.cli.parser import file_of
from kani.composition import settings
from kani.core.service import SpeechService
from kani.server import logs
from tests.cli.conftest import Run
from tests.conftest import ROOT, ServerProcess
from tests.support.patience import WITHIN_S
from tests.support.permissions import binding

PROGRAMS: dict[str, Callable[[Sequence[str]], int]] = {
    "kani": main.main,
    "serve": serve.main,
    "client": client.main,
    "check": check.main,
}
ROWS = Path(__file__).with_name("wrong_inputs.tsv").read_text(encoding="utf-8").splitlines()[1:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with files of several kinds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "out").mkdir()
    contents = {
        **dict.fromkeys(("notes.txt", "mi libro.txt", "docs/LICENSE", "data.xyz", "bad.epub"), b"Hola.\n"),
        **dict.fromkeys(("empty.txt", "empty.wav", "empty.epub"), b""),
        **dict.fromkeys(("song.mp3", "speech.wav", "bin.txt"), bytes(range(256)) * 12),
        "report.pdf": b"%PDF",
        "latin.txt": "mañana".encode("latin-1"),
        "utf16.txt": "Hola".encode("utf-16-le"),
        "nul.txt": bytes(9),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("row", ROWS)
def test_wrong_input_is_one_line_before_a_voice_loads(
    run: Run, row: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.delattr(SpeechService, "start")
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)
    before = sorted(folder.rglob("*"))
    line, code, complaint = row.split("\t")
    program, *arguments = shlex.split(line)
    done = run(*arguments, main=PROGRAMS[program], KANI_DATA_DIR=str(folder))
    assert (done.code, done.out, done.err.count("\n")) == (int(code), "", 1), done
    assert complaint in done.err and len(done.err) < 450
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "text",
    [
        *("Hola", "Hola, ¿qué tal?", "3.14", "v1.0", "Node.js", "example.com", "a.m.", "U.S.", "etc."),
        *("y/o", "km/h", "24/7", "https://example.org", "www.example.org/libro", "Hola.", "...", "LICENSE"),
        *("Lee libro.txt", "Visita https://example.org/index.html", "Lee esto.\nnotas.txt", "-", "docs"),
        "/" * 2000 + ".txt",
    ],
)
def test_text_is_no_file(folder: Path, text: str) -> None:
    assert file_of(text) is None


@pytest.mark.parametrize(
    "name", ["notes.txt", "mi libro.txt", "./notes.txt", "notes.txt\r\n", ' "notes.txt" ']
)
def test_file_that_is_there_is_read(folder: Path, name: str) -> None:
    file = file_of(name)
    assert file is not None and file.read_bytes() == b"Hola.\n"
    assert file_of(str(folder / "notes.txt")) == folder / "notes.txt"


def test_file_is_spoken_by_each_program(run: Run, ask: Run, folder: Path) -> None:
    def say(*arguments: str) -> int:
        return speech_commands.main("say", arguments)

    (folder / "notes.txt").write_text("Uno, dos y tres.", encoding="utf-8")
    for done in (
        ask("notes.txt", "-o", "client.wav"),
        run("notes.txt", "-o", "say.wav", "--engine", "espeak", main=lambda given: say(*given)),
        run("Uno, dos y tres.", "-o", "text.wav", "--engine", "espeak", main=lambda given: say(*given)),
    ):
        assert done.code == 0, done.err
    assert (folder / "say.wav").read_bytes() == (folder / "text.wav").read_bytes()
    assert (folder / "client.wav").stat().st_size > 20_000


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le"])
@pytest.mark.parametrize("command", ["say", "client"])
def test_standard_input_that_is_no_text(run: Run, folder: Path, command: str, encoding: str) -> None:
    program = client.main if command == "client" else lambda given: speech_commands.main("say", given)
    done = run("-o", "x.wav", text="mañana".encode(encoding), main=program)
    assert (done.code, done.err.count("\n")) == (2, 1) and "standard input is not UTF-8 text" in done.err


def test_voices_of_a_language_by_each_of_its_names(run: Run, ask: Run) -> None:
    def voices(given: Sequence[str]) -> int:
        return speech_commands.main("voices", given)

    listed = [run("--engine", "espeak", "--language", name, main=voices).out for name in ("es", "ES", "spa")]
    assert len({*listed}) == 1 and all(" es" in line for line in listed[0].splitlines())
    for name in ("spanish", "Español", "es-MX"):
        done = ask("--voices", "--language", name)
        assert [line.split()[0] for line in done.out.splitlines()] == ["espeak:es", "espeak:es-419"]
    none = run("--engine", "kokoro", "--language", "sw", main=voices)
    assert none.code == 2 and "--language sw: no voice speaks it" in none.err
    assert ask("--voices", "--language", "nb", "--api-key", "").code == 0


def test_unknown_voice_names_the_option_and_the_command(ask: Run, folder: Path) -> None:
    failure = ask("Hola", "-o", "x.wav", "--voice", "nobody").failure
    assert failure == (
        "error: --voice: unknown voice 'nobody'; python websocket_client.py --voices lists the voices\n"
    )


def test_option_is_refused_before_an_engine_is_imported() -> None:
    code = (
        "import sys\nfrom kani.cli import main\ntry:\n    main.main(['say', '--oice', 'x'])\n"
        "except SystemExit as end:\n"
        "    print(end.code, {'numpy', 'av', 'kani.library.blocking'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=True
    )
    assert done.stdout == "2 set()\n" and "did you mean --voice?" in done.stderr


@pytest.mark.parametrize(
    ("file", "given", "key"),
    [
        ("KANI_API_KEYS=one,two", (), "one"),
        ("export KANI_API_KEYS = 'one,two'  # a note", (), "one"),
        ("KANI_API_KEYS=public_token", (), None),
        ("KANI_API_KEYS=one\nKANI_API_KEY=mine", (), "mine"),
        ("# KANI_API_KEYS=one", (), None),
        ("KANI_API_KEYS=one", ("--api-key", "own"), "own"),
        ("KANI_API_KEYS=one", ("--host", "speech.example"), None),
        ("KANI_API_KEYS=one", ("--port", "9"), "one"),
    ],
)
def test_key_of_this_folder_is_for_servers_of_this_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, given: tuple[str, ...], key: str | None
) -> None:
    monkeypatch.delenv("KANI_API_KEY", raising=False)
    Path(".env").write_text(file, encoding="utf-8")
    parser = client.parser()
    options = parser.parse_args(["Hola", *given])
    client.find_server(parser, options)
    assert options.api_key == key


def test_host_and_port_are_an_address(run: Run, espeak_server: ServerProcess, folder: Path) -> None:
    for host in ("localhost", "127.0.0.1", "::1", "[::1]"):
        done = run("Hola.", "-o", "x.wav", "--host", host, "--port", str(espeak_server.port))
        assert done.code == 0, done.err


@contextmanager
def other_server(version: str, status: int, body: bytes) -> Iterator[int]:
    class Answers(http.server.BaseHTTPRequestHandler):
        protocol_version = version

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize(
    ("version", "status", "body"),
    [("HTTP/1.0", 404, b""), ("HTTP/1.0", 200, b"x"), ("HTTP/1.1", 404, b"<html>\n\nno</html>")],
)
def test_another_http_server_is_told(run: Run, folder: Path, version: str, status: int, body: bytes) -> None:
    with other_server(version, status, body) as port:
        failure = run("Hola", "-o", "x.wav", "--server", f"127.0.0.1:{port}").failure
    assert "what answers there is no Kani server" in failure and "wss" not in failure


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("KANI_PORT: 18141", ".env, line 3: KANI_PORT has to be written NAME=VALUE"),
        ("KANI_API_KEYS secret", ".env, line 3: KANI_API_KEYS has to be written NAME=VALUE"),
        ("KANI_NO_AUTH", ".env, line 3: KANI_NO_AUTH has to be written NAME=VALUE"),
        ('export KANI_API_KEYS="secret', ".env, line 3: KANI_API_KEYS has to be written NAME=VALUE"),
        ("=secret", ".env, line 3: it has to be written NAME=VALUE"),
        ("KANI_HOST=localhost:1", "KANI_HOST='localhost:1': has to be an address"),
    ],
)
def test_line_of_the_file_that_is_no_setting(run: Run, folder: Path, line: str, complaint: str) -> None:
    Path(".env").write_text(f"\n# settings\n{line}\n", encoding="utf-8")
    done = run(main=serve.main)
    assert (done.code, done.err.count("\n")) == (2, 1), done
    assert complaint in done.err and "secret" not in done.err


def test_file_that_cannot_be_read_is_one_line(run: Run, folder: Path) -> None:
    Path(".env").touch(0o000)
    with binding():
        done = run("--port", "0", main=serve.main)
    assert (done.code, done.err) == (
        2,
        "start_websocket_server.py: .env cannot be read: Permission denied\n",
    )


def test_other_names_in_the_file_are_left_alone(folder: Path) -> None:
    Path(".env").write_text("FOO\nBAR=1\nexport BAZ\nKANI_API_KEY=x\nKANIKO_DIR=x\nKEYBOARD=x\n", "utf-8")
    assert settings.load({}, {}).port == 8001
    assert [each.partition(" ")[0] for each in settings.variable_warnings({})] == ["KANI_API_KEY"]
    Path(".env").write_text("KANI_API_KEY=x\nKANI_API_KEYS=x\n", "utf-8")
    assert settings.variable_warnings({}) == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *(("kani_port=1", "KANI_PORT"), ("KANI-HOST=x", "KANI_HOST"), ("$env:KANI_VOICE=x", "KANI_VOICE")),
        *(("KANIPORT=1", "KANI_PORT"), ("KANITTS_PORT=1", "KANI_PORT"), ("KANI_TTS_HOST=x", "KANI_HOST")),
        *(("KAIN_ENGINE=espeak", "KANI_ENGINE"), ("kaniApiKeys=x", "KANI_API_KEYS")),
    ],
)
def test_misspelt_setting_ends_the_start_where_only_people_write(
    run: Run, folder: Path, written: str, meant: str
) -> None:
    Path(".env").write_text(f"{written}\n", "utf-8")
    with binding():
        done = run(main=serve.main)
    name, _, value = written.partition("=")
    assert (done.code, done.err) == (
        2,
        f"start_websocket_server.py: {name} is no setting of this server; did you mean {meant}?\n",
    )
    Path(".env").unlink()
    (warned,) = settings.variable_warnings({name: value})
    assert warned.endswith(f"did you mean {meant}?")
    assert settings.load({}, {name: value}).port == 8001


@pytest.mark.parametrize(
    "content",
    [
        *("KANI_PORT=1\n".encode(coding) for coding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
        *(bytes(range(256)), b"KANI_PORT=1\0", "KANI_VOICE=\xe9".encode("latin-1")),
    ],
)
def test_file_of_settings_that_is_no_text(run: Run, folder: Path, content: bytes) -> None:
    Path(".env").write_bytes(content)
    with binding():
        done = run("--port", "0", main=serve.main)
    wanted = "start_websocket_server.py: .env cannot be read: it has to be a text in UTF-8\n"
    assert (done.code, done.err) == (2, wanted)


def test_file_of_settings_as_windows_writes_it(folder: Path) -> None:
    Path(".env").write_bytes("KANI_PORT=81\r\nKANI_VOICE=x\r\n".encode("utf-8-sig"))
    chosen = settings.load({}, {})
    assert (chosen.port, chosen.voice, settings.variable_warnings({})) == (81, "x", [])


@pytest.mark.parametrize(
    "value", ["${NOWHERE}", "a${NOWHERE}", "${KANI_HOST}", "${KEYS-secret}", "${MY-KEY}", "${}"]
)
def test_reference_to_what_is_not_set(run: Run, folder: Path, value: str) -> None:
    """It would stand for nothing, and so for the default: a key that is none."""
    Path(".env").write_text(f"KANI_VOICE=v\nKANI_API_KEYS={value}\nKANI_HOST=localhost\n", "utf-8")
    with binding():
        done = run("--no-auth", main=serve.main)
    name = value.partition("{")[2].strip("}")
    wanted = f"start_websocket_server.py: .env: KANI_API_KEYS refers to {name}, which is not set\n"
    assert (done.code, done.err) == (2, wanted)
    Path(".env").write_text("A=b\nKANI_VOICE=${A}${NOWHERE:-c}\n", "utf-8")
    assert settings.load({}, {}).voice == "bc"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("A=${NOWHERE}\nKANI_API_KEYS=${A}", "KANI_API_KEYS refers to A, which is not set"),
        ("A=a\nA=${NOWHERE}\nKANI_API_KEYS=${A}", "KANI_API_KEYS refers to A, which is not set"),
        ("LIVEKIT_API_SECRET=${NOWHERE}", "LIVEKIT_API_SECRET refers to NOWHERE, which is not set"),
        ("KANI_VOICE=a\nKANI_VOICE=b", "KANI_VOICE is written twice, leave one of them out"),
    ],
)
def test_lines_that_a_file_cannot_mean(folder: Path, written: str, message: str) -> None:
    """The file's own line counts before the environment's, as python-dotenv reads references."""
    Path(".env").write_text(f"# the key\n{written}\nOTHER=${{NOWHERE}}\n", "utf-8")
    with pytest.raises(settings.SettingsError, match=message):
        settings.load({}, {"A": "a"})


@pytest.mark.parametrize(
    ("written", "keys"),
    [
        ("KANI_API_KEYS=a\nKANI_API_KEYS=${KANI_API_KEYS},b", ("a", "b")),
        ("KANI_API_KEYS=a\nKANI_API_KEYS=${KANI_API_KEYS:-c},b", ("a", "b")),
        ("KANI_API_KEYS=a\nKANI_API_KEYS='a'", ("a",)),
        ("TTS_PORT=1\nKANI_API_KEYS=a\nTTS_PORT=2", ("a",)),
    ],
)
def test_variables_that_a_file_may_repeat(folder: Path, written: str, keys: tuple[str, ...]) -> None:
    Path(".env").write_text(written, "utf-8")
    assert tuple(key.get_secret_value() for key in settings.load({}, {}).api_keys) == keys


def test_file_of_settings_with_a_hidden_ending_is_named(folder: Path) -> None:
    Path(".env.txt").write_text("KANI_PORT=1\n", "utf-8")
    assert settings.variable_warnings({}) == [".env.txt is not read: its name has to be .env"]
    Path(".env").touch()
    assert settings.variable_warnings({}) == []


def test_link_to_a_file_of_settings_that_is_not_there(run: Run, folder: Path) -> None:
    Path(".env").symlink_to("settings/production.env")
    with binding():
        done = run("--port", "0", main=serve.main)
    wanted = "start_websocket_server.py: .env cannot be read: No such file or directory\n"
    assert (done.code, done.err) == (2, wanted)


@pytest.mark.parametrize(
    ("variable", "value", "needs"),
    [
        *((f"KANI_LLM_{each}", "true", "KANI_LLM_URL") for each in ("MODEL", "INSTRUCTIONS", "EARLY")),
        ("KANI_UPSTREAM", "http://[::1]:9/v1", "KANI_ENGINE=openai or KANI_RECOGNIZER=openai"),
        *((f"KANI_UPSTREAM_{each}", "en", "KANI_UPSTREAM") for each in ("VOICES", "LANGUAGES")),
        ("KANI_MCP_SERVERS", "http://[::1]:9/mcp", "KANI_LLM_URL"),
        ("KANI_ENGINE_ADDRESS", "unix:/run/k.sock", "KANI_ENGINE=remote"),
        ("KANI_RECOGNIZER_ADDRESS", "unix:/run/k.sock", "KANI_RECOGNIZER=remote"),
        *((f"KANI_{each}_PORT", "9000", "KANI_COMPAT") for each in ("REST", "KYUTAI", "RELAY", "VOXCPM")),
    ],
)
def test_setting_that_has_an_effect_only_with_another(variable: str, value: str, needs: str) -> None:
    nothing = Path(os.devnull)
    with pytest.raises(settings.SettingsError) as caught:
        settings.load({}, {variable: value}, nothing)
    assert str(caught.value) == f"{variable} has no effect without {needs}: set that, or leave it out"
    # Any value counts: a command line may replace the one that the environment was written for.
    given = {"KANI_LLM_URL": "http://[::1]:9/v1", "KANI_UPSTREAM": "http://[::1]:9/v1"}
    given |= {"KANI_ENGINE": "espeak", "KANI_RECOGNIZER": "none", "KANI_COMPAT": "false"}
    settings.load({}, {**given, variable: value}, nothing)
    settings.load({}, {variable: value} | dict.fromkeys(needs.replace("=", " ").split(" "), ""), nothing)
    settings.load({}, {"KANI_RELAY_PORT": "0", "KANI_LLM_EARLY": "false"}, nothing)


@pytest.mark.parametrize("engine", ["kokoro", "espeak", "elevenlabs"])
def test_model_of_an_engine_that_takes_none(folder: Path, engine: str) -> None:
    nothing, environment = Path(os.devnull), {"KANI_MODEL": "a/b"}
    wanted = f"KANI_MODEL has no effect on the engine {engine}: leave it out"
    with pytest.raises(settings.SettingsError, match=wanted):
        settings.load({}, {**environment, "KANI_ENGINE": engine}, nothing)
    with pytest.raises(settings.SettingsError, match=wanted.replace("KANI_MODEL", "--model")):
        settings.load({"model": "a/b"}, {"KANI_ENGINE": engine}, nothing, names={"model": "--model"})
    for chosen in ("auto", "kani", "openai", "remote"):
        settings.load({}, {**environment, "KANI_ENGINE": chosen}, nothing)
    # The environment may be written for the engine that a command line replaces.
    settings.load({"engine": engine}, {**environment, "KANI_ENGINE": "kani"}, nothing)
    # The file may be written for the engine that the environment replaces.
    Path(".env").write_text("KANI_MODEL=a/b\nKANI_ENGINE=kani\n")
    settings.load({}, {"KANI_ENGINE": engine})
    Path(".env").write_text(f"KANI_ENGINE={engine}\n")
    with pytest.raises(settings.SettingsError, match=wanted):
        settings.load({}, environment)


def test_option_without_the_one_that_gives_it_an_effect(run: Run, folder: Path) -> None:
    with binding():
        done = run("--llm-model", "llama3", "--port", "0", main=serve.main)
    wanted = "--llm-model has no effect without KANI_LLM_URL: set that, or leave it out\n"
    assert (done.code, done.err) == (2, f"start_websocket_server.py: {wanted}")


@pytest.mark.parametrize(
    "variable", ["KANI_API_KEYS", "KANI_ALLOWED_ORIGINS", "KANI_ALLOWED_HOSTS", "KANI_PYTHONS"]
)
@pytest.mark.parametrize("value", [",", " ", " , ,"])
def test_list_without_an_entry(variable: str, value: str) -> None:
    with pytest.raises(
        settings.SettingsError, match=rf"^{variable}=.*: has no entry: leave it empty for none$"
    ):
        settings.load({}, {variable: value}, Path(os.devnull))


@pytest.mark.parametrize(
    "host", ["localhost", "[::1]", "::1", "0.0.0.0", "speech.lan", "my-pc", "a_b.local."]
)
def test_hosts(host: str) -> None:
    assert settings.load({"host": host}, {}, Path(os.devnull)).host == host.strip("[]")


def test_servers_of_several_ports_log_to_several_files(tmp_path: Path) -> None:
    def path(**given: object) -> Path:
        return settings.load(given, {}, Path(os.devnull)).log_path

    assert path().name == path(port=8001).name == "websocket_server.log"
    assert path(port=8002) == path().with_name("websocket_server-8002.log")
    assert path(port=8002, log_file=tmp_path / "x.log") == tmp_path / "x.log"


@pytest.mark.server
def test_server_says_at_once_where_it_starts_and_listens_already(tmp_path: Path) -> None:
    environment = os.environ | {"KANI_LOG_FILE": os.devnull, "KANI_DATA_DIR": str(tmp_path)}
    command = [
        sys.executable,
        "-m",
        "kani",
        "serve",
        "--engine",
        "espeak",
        "--recognizer",
        "none",
        "--port",
        "0",
    ]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdout is not None
        try:
            first = server.stdout.readline().decode()
            assert first.startswith("kani-tts ") and " is starting on localhost port " in first
            with socket.create_connection(("127.0.0.1", int(first.split()[-1])), WITHIN_S) as early:
                early.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert early.recv(12) == b"HTTP/1.1 200"
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=WITHIN_S)


@pytest.mark.server
def test_stopped_book_says_that_it_can_go_on(tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(
        "\n\n".join(f"Capítulo {n}. " + "Y así sigue la historia. " * 40 for n in range(300)), "utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "kani",
        "say",
        str(book),
        "--engine",
        "espeak",
        "-o",
        str(tmp_path / "b.m4b"),
    ]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as program:
        assert program.stderr is not None
        said = os.read(program.stderr.fileno(), 4096)  # the first line of its progress
        program.send_signal(signal.SIGINT)
        said += program.communicate(timeout=WITHIN_S)[1]
    assert program.returncode == 130
    assert said.endswith(b"stopped: the same command goes on from here\n"), said


@pytest.mark.server
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["-m", "kani", "say", "missing.txt"], "there is no file missing.txt"),
        (["-m", "kani", "speak"], "did you mean python -m kani say?"),
        (["websocket_client.py", "report.pdf"], "there is no file report.pdf"),
        (["test_websocket.py", "--port", "x"], "--port 'x': has to be a whole number"),
        (["start_websocket_server.py", "--lexicon", "x"], "KANI_LEXICON sets it"),
        (["start_websocket_server.py", "--host", "not.a.host"], "no address of this machine"),
    ],
)
def test_wrong_input_of_a_real_process(arguments: list[str], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert done.returncode in (1, 2) and done.stdout == ""
    assert done.stderr.count("\n") == 1 and complaint in done.stderr
