"""Settings: where they come from, what they may be, and how they complain."""

from pathlib import Path

import httpx2
import pytest

import websocket_config
from kani.composition import settings
from kani.composition.settings import SettingsError, document, load
from kani.composition.speech_service import build_chat_model
from kani.engines.elevenlabs.plugin import UpstreamSettings
from kani.engines.plugin import ENGINE_NAMES, RECOGNIZER_NAMES
from kani.server.lifecycle import warn_about
from tests.running.sources import ROOT
from tests.support.patience import until
from tests.support.servers.app_server import AppServer, app_server

UNKNOWN = "is no setting of this server;"
NO_FILE = Path("no such file")


def test_command_line_wins_over_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("KANI_PORT=1\nKANI_MAX_TEXT=2\nKANI_THREADS=3\n")
    chosen = load({"port": "10"}, {"KANI_PORT": "11", "KANI_MAX_TEXT": "12"}, file)
    assert (chosen.port, chosen.max_text, chosen.threads, chosen.max_waiting) == (10, 12, 3, 1000)
    file = tmp_path / ".env"
    file.write_text("KANI_HOST=127.0.0.2\n")
    assert load({}, {"TTS_HOST": "0.0.0.0"}, file).host == "127.0.0.2"
    assert load({}, {"KANI_VOICE": "", "KANI_PORT": ""}, NO_FILE) == load({}, {}, NO_FILE)


METRICS = {"TTS_METRICS_ENABLED": "true", "TTS_METRICS_PORT": "9091"}
APP = ("https://app.example", "null")
RATE = {"TTS_RATE_LIMIT_ENABLED": "false", "TTS_RATE_LIMIT_PER_MINUTE": "60"}


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ({"TTS_HOST": "0.0.0.0"}, "host", "0.0.0.0"),
        ({"TTS_LOG_LEVEL": "debug"}, "log_level", "DEBUG"),
        ({"LOG_LEVEL": "warning"}, "log_level", "WARNING"),
        ({"TTS_LOG_FORMAT": "JSON"}, "log_format", "json"),
        ({"TTS_MAX_CONNECTIONS": "100"}, "max_connections", 100),
        ({"TTS_MAX_QUEUE_SIZE": "50"}, "max_waiting", 50),
        ({"TTS_MAX_TEXT_LENGTH": "300"}, "max_text", 300),
        ({"TTS_METRICS_ENABLED": "true"}, "metrics_port", 9090),
        ({"TTS_METRICS_ENABLED": "false"}, "metrics_port", None),
        ({"TTS_METRICS_PORT": "9091"}, "metrics_port", None),
        (METRICS, "metrics_port", 9091),
        (METRICS | {"KANI_METRICS_PORT": "9092"}, "metrics_port", 9092),
        ({"TTS_RATE_LIMIT_PER_MINUTE": "60"}, "rate_per_minute", 60),
        (RATE, "rate_per_minute", 0),
        (RATE | {"KANI_RATE_PER_MINUTE": "5"}, "rate_per_minute", 5),
        # Ports of other protocols do not move ours.
        *(({variable: "9300"}, "port", 8001) for variable in ("TTS_PORT", "PORT", "TTS_WS_PORT")),
        ({"KANI_LANGUAGE": "Spanish"}, "language", "es"),
        ({"KANI_LANGUAGE": "PT_br"}, "language", "pt-BR"),
        ({"KANI_LANGUAGE": "deu"}, "language", "de"),
        ({"KANI_LLM_URL": "http://localhost:11434/v1"}, "llm_url", "http://localhost:11434/v1"),
        ({"KANI_LLM_URL": "https://api.example/v1/chat/completions"}, "llm_url", "https://api.example/v1"),
        ({"KANI_LLM_URL": "http://[::1]:8080/"}, "llm_url", "http://[::1]:8080"),
        ({"KANI_ALLOWED_ORIGINS": "https://App.example/, null"}, "allowed_origins", APP),
    ],
)
def test_variables_are_read_the_original_servers_among_them(
    given: dict[str, str], name: str, expected: object
) -> None:
    assert getattr(load({}, given, NO_FILE), name) == expected


def test_keys_are_split_at_commas_and_never_shown_nor_is_one_that_no_header_can_hold() -> None:
    chosen = load({}, {"KANI_API_KEYS": " one, hush-hush ,,", "KANI_LLM_API_KEY": "sk-1\n"}, NO_FILE)
    assert [key.get_secret_value() for key in chosen.api_keys] == ["one", "hush-hush"]
    assert chosen.llm_api_key is not None and chosen.llm_api_key.get_secret_value() == "sk-1"
    assert not any(key in f"{chosen} {chosen!r}" for key in ("hush-hush", "sk-1"))
    with pytest.raises(SettingsError, match=r"KANI_LLM_API_KEY.*ASCII") as refused:
        load({}, {"KANI_LLM_API_KEY": "sk-clé"}, NO_FILE)
    assert "sk-cl" not in str(refused.value)
    # As Docker passes a line of --env-file.
    with pytest.raises(SettingsError, match=r"KANI_API_KEYS.* without quotes around them"):
        load({}, {"KANI_API_KEYS": '"hush-hush"'}, NO_FILE)


PORT = "a whole number from 0 to 65535"
LANGUAGE = "a known language, such as es, pt-BR or spanish"
FOLDER = "s3://BUCKET or s3://BUCKET/FOLDER, the folder without parts . and .."
LLM_URL = (
    "an address like https://api.example/v1 or http://localhost:11434/v1, "
    "without a key in it (a key has a setting of its own)"
)
ENGINES = "one of auto, kani, kokoro, espeak, pocket, voxcpm, kyutai, elevenlabs, openai, remote"


@pytest.mark.parametrize(
    ("variable", "value", "required"),
    [
        ("KANI_PORT", "99999", PORT),
        ("TTS_MAX_QUEUE_SIZE", "-1", "a whole number from 0 to 1000000"),
        ("KANI_IDLE_UNLOAD_SECONDS", "0.5", "a number from 1 to 86400"),
        ("KANI_ENGINE", "festival", ENGINES),
        ("KANI_RECOGNIZER", "ears", "one of auto, whisper, transcribe, kyutai, openai, remote, none"),
        ("KANI_VOICE_BUCKET", "s3://voices/../other", FOLDER),
        ("KANI_VOICE_BUCKET", "s3://voices/./kani/", FOLDER),
        ("KANI_NO_AUTH", "maybe", "true or false"),
        ("KANI_LANGUAGE", "spanish!", LANGUAGE),
        ("KANI_LANGUAGE", "xx", LANGUAGE),
        ("ELEVEN_VOICE_ID", "Ana María", "a voice's id: 1 to 72 characters, no space among them"),
        *(("KANI_LLM_URL", url, LLM_URL) for url in ("localhost:11434", "ftp://x/v1", "http://x/v1?key=1")),
        *(
            ("KANI_LLM_URL", f"http://{host}/v1", LLM_URL)
            for host in ("a:b@x", ":b@x", "x:port", "[::1", "x:0")
        ),
        ("KANI_LLM_URL", "http://localhost:11434/v1 ;", LLM_URL),
        ("KANI_UPSTREAM", "http://x y/v1", LLM_URL),
        # What other programs, and people, write for ten thousand.
        *(("KANI_MAX_TEXT", number, "a whole number from 1 to 10000000") for number in ("10.000", "10_000")),
        ("KANI_VOXCPM_PORT", "9300.0", PORT),
    ],
)
def test_a_wrong_setting_is_a_line_with_its_range(variable: str, value: str, required: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, {variable: value}, NO_FILE)
    assert str(caught.value) == f"{variable}={value!r}: has to be {required}"


def test_wrong_origin_and_wrong_option_are_named_as_typed() -> None:
    with pytest.raises(SettingsError) as caught:
        load({}, {"KANI_ALLOWED_ORIGINS": "app.example"}, NO_FILE)
    reason = "'app.example' is no origin (https://host, https://host:port or null)"
    assert str(caught.value) == f"KANI_ALLOWED_ORIGINS='app.example': {reason}"
    with pytest.raises(SettingsError, match=r"^KANI_ALLOWED_ORIGINS=.* is no origin "):
        load({}, {"KANI_ALLOWED_ORIGINS": "https://*.example.com"}, NO_FILE)
    for host in ("*.example.com", "a b"):
        with pytest.raises(SettingsError, match=r"^KANI_ALLOWED_HOSTS=.* is no host: "):
            load({}, {"KANI_ALLOWED_HOSTS": host}, NO_FILE)
    with pytest.raises(SettingsError, match=r"^--log-level='loud': has to be one of DEBUG, "):
        load({"log_level": "loud"}, {}, NO_FILE, names={"log_level": "--log-level"})
    for value, complaint in (("kokro=p", "there is no engine and no recogniser kokro"), ("p", "NAME=VALUE")):
        with pytest.raises(SettingsError, match=f"^KANI_PYTHONS='{value}': .*{complaint}"):
            load({}, {"KANI_PYTHONS": value}, NO_FILE)


@pytest.mark.parametrize("voice", ["custom:Ana_María", "custom:" + 64 * "n", "हिन्दी", "21m00Tcm4TlvDq8ikWAM"])
def test_the_relays_voice_may_be_any_id(voice: str) -> None:
    assert load({}, {"ELEVEN_VOICE_ID": voice}, NO_FILE).of_plugin(UpstreamSettings).voice_id == voice


def test_folders_follow_the_xdg_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    chosen = load({}, {}, NO_FILE)
    assert chosen.data_dir == tmp_path / "data" / "kani-tts"
    assert chosen.cache_dir == tmp_path / "cache" / "kani-tts"


def test_variables_that_are_no_settings_are_answered() -> None:
    assert settings.variable_warnings(
        {"KANI_PROT": "1", "KANI_FOO": "1", "KANI_PORT": "2", "KANI_API_KEY": "the client's", "PATH": "x"},
        NO_FILE,
    ) == [
        f"KANI_API_KEY {UNKNOWN} did you mean KANI_API_KEYS?",
        f"KANI_FOO {UNKNOWN} docs/settings.md lists them",
        f"KANI_PROT {UNKNOWN} did you mean KANI_PORT?",
    ]
    (warning,) = settings.variable_warnings({"TTS_MODEL_NAME": "openbmb/VoxCPM-0.5B"}, NO_FILE)
    assert "openbmb/VoxCPM-0.5B" in warning and "KANI_ENGINE=voxcpm with KANI_MODEL" in warning
    assert settings.variable_warnings({}, NO_FILE) == []


def test_choices_are_those_of_the_registries_and_each_variable_of_one_setting() -> None:
    assert settings.accepted_values("engine") == "one of " + ", ".join(ENGINE_NAMES)
    assert settings.accepted_values("recognizer") == "one of " + ", ".join(RECOGNIZER_NAMES)
    names = [settings.variables(name) for name in settings.fields()]
    flat = [variable for each in names for variable in each]
    assert len(flat) == len(set(flat))
    assert all(each[0] == "KANI_" + name.upper() for name, each in zip(settings.fields(), names, strict=True))


def test_the_page_and_the_example_file_are_up_to_date(tmp_path: Path) -> None:
    """The page has each default; two of them are those of ``websocket_config``."""
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == document.documentation() + "\n"
    example, chosen = ROOT / ".env.example", load({}, {}, NO_FILE)
    assert (chosen.host, chosen.port) == (websocket_config.WEBSOCKET_HOST, websocket_config.WEBSOCKET_PORT)
    assert load({}, {}, example) == chosen
    awake = tmp_path / ".env"
    awake.write_text(example.read_text(encoding="utf-8").replace("# KANI_", "KANI_"), encoding="utf-8")
    assert settings.variable_warnings({}, awake) == []
    assert load({}, {}, awake).port == 8001


@pytest.mark.parametrize("keys", ["one two", "fine,schlüssel"])
def test_key_that_no_client_can_send_is_refused_unshown(keys: str) -> None:
    with pytest.raises(SettingsError, match=r"KANI_API_KEYS=\(not shown\): has to consist of ASCII"):
        load({}, {"KANI_API_KEYS": keys}, NO_FILE)


@pytest.mark.parametrize("address", ["tools.example", "ftp://tools.example", "http://", "http://a:b/mcp"])
def test_mcp_server_without_an_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="KANI_MCP_SERVERS="):
        load({}, {"KANI_MCP_SERVERS": f"http://localhost:9/mcp,{address}"}, NO_FILE)


def test_model_on_another_machine_is_named_and_no_long_key(caplog: pytest.LogCaptureFixture) -> None:
    keys = {"KANI_LLM_API_KEY": "sk-geheim", "KANI_API_KEYS": f"{'k' * 16},public_token"}
    for url in ("http://[::1]:9/v1", "https://api.example/v1"):
        warn_about(load({}, {"KANI_LLM_URL": url, **keys}, NO_FILE), (), 2**20)
    assert caplog.text.count("another machine: ") == 1
    assert "another machine: https://api.example/v1 (KANI_LLM_URL)" in caplog.text
    servers = {"KANI_MCP_SERVERS": "http://[::1]:9/mcp,https://tools.example/mcp"}
    servers["KANI_LLM_URL"] = "http://[::1]:9/v1"
    warn_about(load({}, servers, NO_FILE), (), 2**20)
    assert caplog.text.count("another machine: ") == 2
    assert "another machine: https://tools.example/mcp (KANI_MCP_SERVERS)" in caplog.text
    assert "sk-geheim" not in caplog.text and "characters" not in caplog.text


@pytest.mark.parametrize(
    ("url", "more", "early"),
    [
        ("http://localhost:11434/v1", {}, True),
        ("http://ollama:11434/v1", {}, True),
        ("http://localhost:4000/v1", {"KANI_LLM_API_KEY": "sk-1"}, False),
        ("https://api.example/v1", {}, False),
        ("https://api.example/v1", {"KANI_LLM_EARLY": "true"}, True),
        ("http://localhost:11434/v1", {"KANI_LLM_EARLY": "false"}, False),
    ],
)
def test_model_is_asked_early_where_that_is_free(url: str, more: dict[str, str], early: bool) -> None:
    model = build_chat_model(load({}, {"KANI_LLM_URL": url, **more}, NO_FILE))
    assert model is not None and model.asked_early is early


def spoken_form(server: AppServer, text: str) -> str:
    answer = httpx2.post(
        f"{server.http_url}/v1/text-to-speech/default/with-timestamps",
        json={"text": text, "language_code": "es"},
        params={"output_format": "pcm_8000"},
    )
    answer.raise_for_status()
    return "".join(answer.json()["normalized_alignment"]["characters"])


def test_lexicon_follows_its_setting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A changed lexicon is reloaded; an invalid line is logged, and the others count."""
    file = tmp_path / "words.txt"
    file.write_text("[es]\nSQL = sícuel\nkein Eintrag\nWi-Fi = güifi\n", encoding="utf-8")
    with app_server(tmp_path, KANI_LEXICON=str(file)) as server:
        assert spoken_form(server, "Usa SQL por Wi-Fi.") == "Usa sícuel por güifi."
        assert "words.txt, line 3" in caplog.text
        file.write_text("[es]\nSQL = ese cu ele\n", encoding="utf-8")
        until(lambda: spoken_form(server, "Usa SQL.") == "Usa ese cu ele.")
