"""Every setting of the server, once: name, unit, range, environment variable, default.

A value comes from the command line, else from the environment, else from the file ``.env`` beside
this one, else from ``websocket_config``. Of several variables that mean the same setting the first
that is set counts, wherever it is set: so ours (KANI_*) always wins. That is why the variables are
picked here, and not by pydantic-settings, which lets the environment's alias win over the file's
own name.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import annotated_types
from dotenv import dotenv_values
from platformdirs import user_cache_path, user_data_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

import websocket_config as config
from setting_types import (
    LANGUAGES,
    CommaList,
    Decoding,
    Engine,
    Keys,
    Language,
    Level,
    LogFormat,
    Origins,
    Precision,
    Recognizer,
)

HERE = Path(__file__).resolve().parent
ENV_FILE = HERE / ".env"
CLIENT_VARIABLES = ("KANI_API_KEY",)


class SettingsError(ValueError):
    """A setting that cannot be taken; ``str()`` is one line: its name, its value and its range."""


def _setting(default: Any, *variables: str, group: str, unit: str = "", about: str, **limits: Any) -> Any:
    """A field that is read from the first of the environment ``variables`` that is set."""
    source = {"default_factory": default} if callable(default) else {"default": default}
    extra: dict[str, Any] = {"variables": list(variables), "group": group, "unit": unit}
    return Field(description=about, json_schema_extra=extra, **source, **limits)


ADDRESS = "Address"
ACCESS = "Who may come in"
SPEECH = "Speech"
KANI = "The Kani model"
LIMITS = "Limits"
FILES = "Files"
LOG = "Log"


class Settings(BaseModel):
    """The settings of one server; frozen. Build it with ``load``, which explains what is wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = _setting(
        config.WEBSOCKET_HOST,
        "KANI_HOST",
        "TTS_HOST",
        group=ADDRESS,
        min_length=1,
        about="Address to listen on. `localhost` is both 127.0.0.1 and ::1; any address that is not a "
        "loopback address asks for keys (KANI_API_KEYS).",
    )
    port: int = _setting(
        config.WEBSOCKET_PORT,
        "KANI_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port to listen on; 0 takes a free one.",
    )
    compat: bool = _setting(
        False,
        "KANI_COMPAT",
        group=ADDRESS,
        about="Listen also on the ports that clients of other servers look for, which follow. Each serves "
        "all that KANI_PORT serves.",
    )
    kyutai_port: int = _setting(
        config.KYUTAI_PORT,
        "KANI_KYUTAI_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port for clients of Kyutai's server, opened with KANI_COMPAT; 0 takes a free one.",
    )
    kyutai_voice_port: int = _setting(
        config.KYUTAI_VOICE_PORT,
        "KANI_KYUTAI_VOICE_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port for clients of Kyutai's voice cloning, opened with KANI_COMPAT; 0 takes a free one.",
    )

    api_keys: Keys = _setting(
        (),
        "KANI_API_KEYS",
        group=ACCESS,
        about="Keys that clients may come in with, separated by commas. Never printed or logged. On a "
        "loopback address clients of this machine need none, but for Kyutai's speech paths, where "
        f"`{config.PUBLIC_TOKEN}`, which Kyutai's clients send, is a key too. Whoever comes through a proxy "
        "needs one of these (it has to send X-Forwarded-For, X-Real-IP, Forwarded or Via), and is refused "
        f"where none is set. To let Kyutai's clients in from other machines, list `{config.PUBLIC_TOKEN}`, "
        "which everybody knows: it opens Kyutai's paths and no others.",
    )
    no_auth: bool = _setting(
        False,
        "KANI_NO_AUTH",
        group=ACCESS,
        about="Ask nobody for a key, on any address and through any proxy: whoever reaches the port may "
        "speak and list voices. The server answers to addresses, loopback names, this machine's own name "
        "and KANI_ALLOWED_HOSTS.",
    )
    allowed_origins: Origins = _setting(
        (),
        "KANI_ALLOWED_ORIGINS",
        group=ACCESS,
        about="Web pages that may use this server, by origin (`https://app.example`), separated by commas. "
        "Pages of this machine and of the server itself always may; `null` (a page opened from a file) "
        "has to be listed.",
    )
    allowed_hosts: CommaList = _setting(
        (),
        "KANI_ALLOWED_HOSTS",
        group=ACCESS,
        about="Further host names, separated by commas, that are answered to where no secret key is asked "
        "for: on a loopback address, with KANI_NO_AUTH, and on Kyutai's paths where KANI_API_KEYS lists "
        f"`{config.PUBLIC_TOKEN}`. Where keys are set, whoever asks a loopback server for such a name needs "
        "one.",
    )

    engine: Engine = _setting(
        config.DEFAULT_ENGINE,
        "KANI_ENGINE",
        group=SPEECH,
        about="Who speaks. `auto` takes the best that this machine can run for each language.",
    )
    voice: str | None = _setting(
        None,
        "KANI_VOICE",
        group=SPEECH,
        min_length=1,
        about="Voice id that replaces the default voice of its own language. Not set: each engine's own "
        "defaults.",
    )
    language: Language = _setting(
        config.DEFAULT_LANGUAGE,
        "KANI_LANGUAGE",
        group=SPEECH,
        about="Language of a text whose language neither the request, nor its voice, nor the text tells; for "
        "protocols without a default of their own (Kani's own default is Spanish).",
    )
    threads: int | None = _setting(
        None,
        "KANI_THREADS",
        group=SPEECH,
        ge=1,
        le=256,
        about="Threads that one segment is computed with. Not set: the engine's own measure (Kokoro: 2; "
        "Kani: one a core).",
    )
    kokoro_decoding: Decoding = _setting(
        "windows",
        "KANI_KOKORO_DECODING",
        group=SPEECH,
        about="How Kokoro's sound is made: `windows` (a sentence is heard while its end is still being made) "
        "or `whole` (the model's own samples, a sentence at a time).",
    )
    recognizer: Recognizer = _setting(
        config.DEFAULT_RECOGNIZER,
        "KANI_RECOGNIZER",
        group=SPEECH,
        about="Who listens. `auto` takes the best that this machine can run; with `none` nobody does.",
    )

    model: str | None = _setting(
        None,
        "KANI_MODEL",
        group=KANI,
        min_length=1,
        about="Checkpoint of the Kani model: a folder with config.json, the tokenizer and safetensors, or "
        "the name of one on a model hub (`OWNER/NAME`, `OWNER/NAME@REVISION`); without a revision the one "
        "that was fetched first is kept. Not set: `nineninesix/kani-tts-370m`.",
    )
    codec: str | None = _setting(
        None,
        "KANI_CODEC",
        group=KANI,
        min_length=1,
        about="NanoCodec: a .nemo file, or a hub's name. Not set: "
        "`nvidia/nemo-nano-codec-22khz-0.6kbps-12.5fps`.",
    )
    device: str = _setting(
        config.DEFAULT_DEVICE,
        "KANI_DEVICE",
        group=KANI,
        min_length=1,
        about="What it runs on: `cpu`, `cuda`, `cuda:1`; `auto` is CUDA where there is one.",
    )
    precision: Precision = _setting(
        config.DEFAULT_PRECISION,
        "KANI_PRECISION",
        group=KANI,
        about="Precision of its arithmetic. `auto` is bfloat16 on CUDA and int8 on a CPU that can; float32 "
        "is exact.",
    )
    slots: int | None = _setting(
        None,
        "KANI_SLOTS",
        group=KANI,
        unit="streams",
        ge=1,
        le=1024,
        about="Streams that run at once. Not set: 8, on CUDA 256. Their memory is taken at the start.",
    )

    max_connections: int = _setting(
        config.MAX_CONNECTIONS,
        "KANI_MAX_CONNECTIONS",
        "TTS_MAX_CONNECTIONS",
        group=LIMITS,
        ge=1,
        le=1_000_000,
        about="WebSocket connections, and speech sessions, open at once. One more is refused with HTTP 503.",
    )
    max_waiting: int = _setting(
        config.MAX_WAITING,
        "KANI_MAX_WAITING",
        "TTS_MAX_QUEUE_SIZE",
        group=LIMITS,
        ge=0,
        le=1_000_000,
        about="Syntheses that may wait for an engine; a session beyond is refused as busy.",
    )
    max_text: int = _setting(
        config.MAX_TEXT,
        "KANI_MAX_TEXT",
        group=LIMITS,
        unit="characters",
        ge=1,
        le=10_000_000,
        about="Longest text of one request.",
    )
    max_message_bytes: int = _setting(
        config.MAX_MESSAGE_BYTES,
        "KANI_MAX_MESSAGE_BYTES",
        group=LIMITS,
        unit="bytes",
        ge=1024,
        le=1 << 30,
        about="Longest message, and longest HTTP body; a longer message closes its connection with 1009. "
        "Messages on Kyutai's WebSocket paths may have 64 MiB, as on its own server.",
    )
    rate_per_minute: int = _setting(
        config.RATE_PER_MINUTE,
        "KANI_RATE_PER_MINUTE",
        group=LIMITS,
        unit="sessions a minute",
        ge=0,
        le=1_000_000,
        about="Sessions that one client address may open a minute; 0 is no limit.",
    )
    ahead_seconds: float = _setting(
        config.AHEAD_SECONDS,
        "KANI_AHEAD_SECONDS",
        group=LIMITS,
        unit="seconds of audio",
        ge=1,
        le=3600,
        about="How far an engine may run ahead of what a client has taken.",
    )
    idle_seconds: float = _setting(
        config.IDLE_SECONDS,
        "KANI_IDLE_SECONDS",
        group=LIMITS,
        unit="seconds",
        ge=1,
        le=86400,
        about="How long a session that waits for its text may stay open.",
    )
    shutdown_seconds: float = _setting(
        config.SHUTDOWN_SECONDS,
        "KANI_SHUTDOWN_SECONDS",
        group=LIMITS,
        unit="seconds",
        ge=0,
        le=3600,
        about="How long speech under way may go on once the server was told to stop.",
    )
    ping_interval: float = _setting(
        config.WEBSOCKET_PING_INTERVAL,
        "KANI_PING_INTERVAL",
        "TTS_PING_INTERVAL",
        group=LIMITS,
        unit="seconds",
        gt=0,
        le=3600,
        about="How often the server asks a WebSocket client whether it is still there.",
    )
    ping_timeout: float = _setting(
        config.SERVER_PING_TIMEOUT,
        "KANI_PING_TIMEOUT",
        "TTS_PING_TIMEOUT",
        group=LIMITS,
        unit="seconds",
        gt=0,
        le=86400,
        about="How long the answer may take. Long on purpose: a client that reads as it plays answers only "
        "after the audio that was sent before the question.",
    )

    models_dir: Path | None = _setting(
        None,
        "KANI_MODELS_DIR",
        group=FILES,
        about="Folder with model files to use instead of the installed or fetched ones.",
    )
    data_dir: Path = _setting(
        lambda: user_data_path(config.APP_NAME, appauthor=False),
        "KANI_DATA_DIR",
        group=FILES,
        about="Folder of the kept voices. Not set: `kani-tts` in the user's data folder (XDG_DATA_HOME "
        "counts).",
    )
    cache_dir: Path = _setting(
        lambda: user_cache_path(config.APP_NAME, appauthor=False),
        "KANI_CACHE_DIR",
        group=FILES,
        about="Folder of the model files that were fetched. Not set: `kani-tts` in the user's cache folder "
        "(XDG_CACHE_HOME counts).",
    )

    log_level: Level = _setting(
        config.LOG_LEVEL,
        "KANI_LOG_LEVEL",
        "TTS_LOG_LEVEL",
        "LOG_LEVEL",
        group=LOG,
        about="Least severity that is logged.",
    )
    log_format: LogFormat = _setting(
        config.LOG_FORMAT,
        "KANI_LOG_FORMAT",
        "TTS_LOG_FORMAT",
        group=LOG,
        about="One line of text or one JSON object.",
    )
    log_file: Path = _setting(
        HERE / config.LOG_FILE,
        "KANI_LOG_FILE",
        group=LOG,
        about=f"Log file besides the terminal, rotated at 10 MB, five kept. Not set: `{config.LOG_FILE}` "
        f"beside the server.",
    )


def variables(field: str) -> list[str]:
    """The environment variables of a setting, the one that wins first."""
    return list(extra(Settings.model_fields[field])["variables"])


def load(
    given: Mapping[str, object], environment: Mapping[str, str] = os.environ, env_file: Path = ENV_FILE
) -> Settings:
    """Read the settings.

    ``given`` holds what the command line says, by the setting's name. Raises SettingsError with
    every wrong setting on a line of its own.
    """
    written = {**dotenv_values(env_file), **environment}
    values, called = dict(given), {name: "--" + name.replace("_", "-") for name in given}
    for name in Settings.model_fields:
        for variable in variables(name):
            if name not in values and written.get(variable):
                values[name], called[name] = written[variable], variable
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        wrong = {str(line["loc"][0]): line for line in error.errors()}
        lines = [
            _complaint(name, f"{called[name]}={_shown(name, values[name])}", wrong[name]) for name in wrong
        ]
        raise SettingsError("\n".join(lines)) from None


def unknown_variables(environment: Mapping[str, str] = os.environ, env_file: Path = ENV_FILE) -> list[str]:
    """One sentence for each KANI_* variable that is set and means nothing: most likely misspelt."""
    known = [*CLIENT_VARIABLES, *(variable for name in Settings.model_fields for variable in variables(name))]
    written = {**dotenv_values(env_file), **environment}
    sentences = []
    for variable in sorted(name for name in written if name.startswith("KANI_") and name not in known):
        close = difflib.get_close_matches(variable, known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        sentences.append(f"{variable} is no setting of this server{hint}")
    return sentences


def takes(name: str) -> str:
    """What a setting may be, in words: "a whole number from 0 to 65535"."""
    field = Settings.model_fields[name]
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not NoneType]
    if get_origin(field.annotation) is Literal:
        return "one of " + ", ".join(str(choice) for choice in kinds)
    if get_origin(field.annotation) is tuple:
        return "a list, separated by commas"
    if kinds == [bool]:
        return "true or false"
    if kinds in ([int], [float]):
        return ("a whole number" if kinds == [int] else "a number") + _range(field)
    if Path in kinds:
        return "a folder" if name.endswith("_dir") else "a file"
    return LANGUAGES if name == "language" else "a text"


def _range(field: FieldInfo) -> str:
    low = high = ""
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            low = f" from {limit.ge}"
        elif isinstance(limit, annotated_types.Gt):
            low = f" above {limit.gt}"
        elif isinstance(limit, annotated_types.Le):
            high = f" to {limit.le}" if low.startswith(" from") else f", at most {limit.le}"
    return low + high


def extra(field: FieldInfo) -> dict[str, Any]:
    """What a setting's field says of itself: its ``variables``, its ``group`` and its ``unit``."""
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra


def _shown(name: str, value: object) -> str:
    return "(not shown)" if name == "api_keys" else repr(value)


def _complaint(name: str, written: str, error: ErrorDetails) -> str:
    if error["type"] == "value_error":
        return f"{written}: {error['ctx']['error']}"
    return f"{written}: has to be {takes(name)}"
