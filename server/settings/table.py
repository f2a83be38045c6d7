"""The table of the settings, each once: name, unit, range, environment variables, default.

Those of the doors stand in ``settings_doors``, those of single protocols in ``settings_protocols``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from platformdirs import user_cache_path, user_data_path
from pydantic.fields import FieldInfo

import websocket_config as config
from server.settings.protocols import PROJECT_FOLDER, ProtocolSettings
from server.settings.types import (
    CodeBlocks,
    CommaList,
    Decoder,
    Decoding,
    Engine,
    Language,
    Level,
    LogFormat,
    Precision,
    Recognizer,
    setting,
)

SPEECH = "Speech"
KANI = "The Kani model"
LIMITS = "Limits"
FILES = "Files"
LOG = "Log"


class Settings(ProtocolSettings):
    """The settings of one server; frozen. ``settings.load`` builds it, and explains what is wrong."""

    engine: Engine = setting(
        config.DEFAULT_ENGINE,
        "KANI_ENGINE",
        group=SPEECH,
        about="Who speaks. `auto` takes the best that this machine can run for each language.",
    )
    voice: str | None = setting(
        None,
        "KANI_VOICE",
        group=SPEECH,
        min_length=1,
        about="Voice id that replaces the default voice of its own language. Not set: each engine's own "
        "defaults.",
    )
    language: Language = setting(
        config.DEFAULT_LANGUAGE,
        "KANI_LANGUAGE",
        group=SPEECH,
        about="Language of a text whose language neither the request, nor its voice, nor the text, nor its "
        "client tells; for protocols without a default of their own (Kani's own default is Spanish).",
    )
    threads: int | None = setting(
        None,
        "KANI_THREADS",
        group=SPEECH,
        ge=1,
        le=256,
        about="Threads that one segment is computed with. Not set: the engine's own measure (Kokoro: 2; "
        "Kani: one a core). Kokoro's fast decoder takes one in any case, and a second while it is idle.",
    )
    kokoro_decoding: Decoding = setting(
        "windows",
        "KANI_KOKORO_DECODING",
        group=SPEECH,
        about="How Kokoro's sound is made: `windows` (a sentence is heard while its end is still being made) "
        "or `whole` (the model's own samples, a sentence at a time).",
    )
    kokoro_decoder: Decoder = setting(
        "auto",
        "KANI_KOKORO_DECODER",
        group=SPEECH,
        about="Who makes it in windows: `onnx`, `fast` (int8 on torch and Numba; loaded before the server is "
        "ready, which does not start where it cannot be), or `auto` (`fast` where the machine is fit for it, "
        "at a first start perhaps `onnx` until it is prepared). Decoded whole it is always `onnx`.",
    )
    lexicon: Path | None = setting(
        None,
        "KANI_LEXICON",
        group=SPEECH,
        about="Words and how they are said (docs/lexicon.md): a file, or a folder of them; read anew when it "
        "changes. Not set: none.",
    )
    code_blocks: CodeBlocks = setting(
        "announce",
        "KANI_CODE_BLOCKS",
        group=SPEECH,
        about="What is said of a block of code in a text: `announce` says that there is one, `skip` nothing.",
    )
    recognizer: Recognizer = setting(
        config.DEFAULT_RECOGNIZER,
        "KANI_RECOGNIZER",
        group=SPEECH,
        about="Who listens. `auto` takes the best that this machine can run; with `none` nobody does.",
    )

    model: str | None = setting(
        None,
        "KANI_MODEL",
        group=KANI,
        min_length=1,
        about="Checkpoint of the Kani model: a folder with config.json, the tokenizer and safetensors, or "
        "the name of one on a model hub (`OWNER/NAME`, `OWNER/NAME@REVISION`); without a revision the one "
        "that was fetched first is kept. Not set: `nineninesix/kani-tts-370m`.",
    )
    codec: str | None = setting(
        None,
        "KANI_CODEC",
        group=KANI,
        min_length=1,
        about="NanoCodec: a .nemo file, or a hub's name. Not set: "
        "`nvidia/nemo-nano-codec-22khz-0.6kbps-12.5fps`.",
    )
    embedder: str | None = setting(
        None,
        "KANI_EMBEDDER",
        group=KANI,
        min_length=1,
        about="What makes the speakers of KaniTTS-2 out of recordings: a folder, or a name on a model hub "
        "(1.3 GB, fetched once). Not set: `nineninesix/speaker-emb-tbr`.",
    )
    device: str = setting(
        config.DEFAULT_DEVICE,
        "KANI_DEVICE",
        "TTS_DEVICE",
        group=KANI,
        min_length=1,
        about="What it runs on: `cpu`, `cuda`, `cuda:1`; `auto` is CUDA where there is one.",
    )
    precision: Precision = setting(
        config.DEFAULT_PRECISION,
        "KANI_PRECISION",
        group=KANI,
        about="Precision of its arithmetic. `auto` is bfloat16 on CUDA and int8 on a CPU that can; float32 "
        "is exact.",
    )
    slots: int | None = setting(
        None,
        "KANI_SLOTS",
        group=KANI,
        unit="streams",
        ge=1,
        le=1024,
        about="Streams that run at once. Not set: 8, on CUDA 256. Their memory is taken at the start.",
    )

    max_connections: int = setting(
        config.MAX_CONNECTIONS,
        "KANI_MAX_CONNECTIONS",
        "TTS_MAX_CONNECTIONS",
        group=LIMITS,
        ge=1,
        le=1_000_000,
        about="WebSocket connections, and speech sessions, open at once. One more connection is refused with "
        "HTTP 503, one more session as busy, in the words of its protocol.",
    )
    max_waiting: int = setting(
        config.MAX_WAITING,
        "KANI_MAX_WAITING",
        "TTS_MAX_QUEUE_SIZE",
        group=LIMITS,
        ge=0,
        le=1_000_000,
        about="Syntheses that may wait for an engine; a session beyond is refused as busy.",
    )
    max_concurrent: int | None = setting(
        None,
        "KANI_MAX_CONCURRENT",
        "TTS_MAX_CONCURRENT",
        group=LIMITS,
        unit="segments",
        ge=1,
        le=1024,
        about="Segments that each engine speaks at once, at most; what comes beyond waits its turn. Not set: "
        "as many as the engine has places.",
    )
    max_text: int = setting(
        config.MAX_TEXT,
        "KANI_MAX_TEXT",
        group=LIMITS,
        unit="characters",
        ge=1,
        le=10_000_000,
        about="Longest text of one request.",
    )
    voxcpm_max_text: int = setting(
        config.VOXCPM_MAX_TEXT,
        "KANI_VOXCPM_MAX_TEXT",
        "TTS_MAX_TEXT_LENGTH",
        group=LIMITS,
        unit="characters",
        ge=1,
        le=10_000_000,
        about="The same for VoxCPM's protocol; KANI_ELEVENLABS_MAX_TEXT is ElevenLabs'.",
    )
    max_message_bytes: int = setting(
        config.MAX_MESSAGE_BYTES,
        "KANI_MAX_MESSAGE_BYTES",
        group=LIMITS,
        unit="bytes",
        ge=1024,
        le=1 << 30,
        about="Longest message, and longest HTTP body; a longer message closes its connection with 1009. "
        "Messages on Kyutai's WebSocket paths may have 64 MiB, those on VoxCPM's 1 MiB, as on their own "
        "servers.",
    )
    rate_per_minute: int = setting(
        config.RATE_PER_MINUTE,
        "KANI_RATE_PER_MINUTE",
        "TTS_RATE_LIMIT_PER_MINUTE",
        group=LIMITS,
        unit="sessions a minute",
        ge=0,
        le=1_000_000,
        about="Sessions that one client address may open a minute; 0 is no limit.",
    )
    rate_limit_enabled: bool = setting(
        True,
        "KANI_RATE_LIMIT_ENABLED",
        "TTS_RATE_LIMIT_ENABLED",
        group=LIMITS,
        about="Whether that limit counts.",
    )
    request_timeout: float = setting(
        config.REQUEST_TIMEOUT,
        "KANI_REQUEST_TIMEOUT",
        "TTS_REQUEST_TIMEOUT",
        group=LIMITS,
        unit="seconds",
        ge=0,
        le=86400,
        about="How long a client may have to wait in all, in the queue and for its engine, once its text is "
        "whole; 0 is for ever. The time in which it plays what it has got does not count.",
    )
    ahead_seconds: float = setting(
        config.AHEAD_SECONDS,
        "KANI_AHEAD_SECONDS",
        group=LIMITS,
        unit="seconds of audio",
        ge=1,
        le=3600,
        about="How far an engine may run ahead of what a client has taken.",
    )
    idle_seconds: float = setting(
        config.IDLE_SECONDS,
        "KANI_IDLE_SECONDS",
        group=LIMITS,
        unit="seconds",
        ge=1,
        le=86400,
        about="How long a session of Kyutai's protocol that waits for its text may stay open. The other "
        "protocols have limits of their own.",
    )
    shutdown_seconds: float = setting(
        config.SHUTDOWN_SECONDS,
        "KANI_SHUTDOWN_SECONDS",
        group=LIMITS,
        unit="seconds",
        ge=0,
        le=3600,
        about="How long speech under way may go on once the server was told to stop.",
    )
    ping_interval: float = setting(
        config.WEBSOCKET_PING_INTERVAL,
        "KANI_PING_INTERVAL",
        "TTS_PING_INTERVAL",
        group=LIMITS,
        unit="seconds",
        gt=0,
        le=3600,
        about="How often the server asks a WebSocket client whether it is still there.",
    )
    ping_timeout: float = setting(
        config.SERVER_PING_TIMEOUT,
        "KANI_PING_TIMEOUT",
        "TTS_PING_TIMEOUT",
        group=LIMITS,
        unit="seconds",
        gt=0,
        le=86400,
        about="How long the answer may take. Long on purpose: a client that reads as it plays answers only "
        "after the audio that was sent before the question. A client that takes nothing of an HTTP answer "
        "for so long is left as well.",
    )

    voice_dir: Path | None = setting(
        None,
        "KANI_VOICE_DIR",
        "TTS_VOICE_DIR",
        group=FILES,
        about="Folder of recordings, as the VoxCPM server has it (`CATEGORY/NAME.mp3`, and what is said in "
        "`CATEGORY/NAME.txt`): its clients find them in `/api/voices` and name them with `voice_id` or "
        "`prompt_wav_path`. Not set: none.",
    )
    recording_hosts: CommaList = setting(
        (),
        "KANI_RECORDING_HOSTS",
        group=FILES,
        about="Hosts of private networks, `name` or `name:port`, separated by commas, that recordings may be "
        "fetched from (VoxCPM's `prompt_wav_url`). From public addresses they always may.",
    )
    models_dir: Path | None = setting(
        None,
        "KANI_MODELS_DIR",
        group=FILES,
        about="Folder with model files to use instead of the installed or fetched ones.",
    )
    no_fetch: bool = setting(
        False,
        "KANI_NO_FETCH",
        group=FILES,
        about="Fetch no model file, whatever is missing. Otherwise missing files are fetched by `--fetch`, "
        "for an engine that `--engine` names, and for the Kani model where there is CUDA; nothing else is.",
    )
    data_dir: Path = setting(
        lambda: user_data_path(config.APP_NAME, appauthor=False),
        "KANI_DATA_DIR",
        group=FILES,
        about="Folder of the kept voices. Not set: `kani-tts` in the user's data folder (XDG_DATA_HOME "
        "counts).",
    )
    cache_dir: Path = setting(
        lambda: user_cache_path(config.APP_NAME, appauthor=False),
        "KANI_CACHE_DIR",
        group=FILES,
        about="Folder of the model files that were fetched. Not set: `kani-tts` in the user's cache folder "
        "(XDG_CACHE_HOME counts).",
    )

    log_level: Level = setting(
        config.LOG_LEVEL,
        "KANI_LOG_LEVEL",
        "TTS_LOG_LEVEL",
        "LOG_LEVEL",
        group=LOG,
        about="Least severity that is logged.",
    )
    log_format: LogFormat = setting(
        config.LOG_FORMAT,
        "KANI_LOG_FORMAT",
        "TTS_LOG_FORMAT",
        group=LOG,
        about="One line of text or one JSON object.",
    )
    log_text: bool = setting(
        False,
        "KANI_LOG_TEXT",
        group=LOG,
        about="Log what clients want said, too.",
    )
    log_file: Path = setting(
        PROJECT_FOLDER / config.LOG_FILE,
        "KANI_LOG_FILE",
        group=LOG,
        about=f"Log file besides the terminal, rotated at 10 MB, five kept. Not set: `{config.LOG_FILE}` "
        f"beside the server.",
    )


def field_metadata(field: FieldInfo) -> dict[str, Any]:
    """What a setting's field says of itself: its ``variables``, its ``group`` and its ``unit``."""
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra


def variables(field: str) -> list[str]:
    """The environment variables of a setting, the one that wins first."""
    return list(field_metadata(Settings.model_fields[field])["variables"])
