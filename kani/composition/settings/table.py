"""Table of the settings: name, unit, range, environment variables and default of each.

Here are those of limits, files and the log. ``network`` holds those of ports and access, ``conversation``
those of the chat endpoint, ``speech`` those of engines and recognisers; single engines, recognisers and
protocols have their own (``kani.engines.plugin``, ``kani.protocols.shared.plugin``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from platformdirs import user_cache_path, user_data_path, user_log_path
from pydantic import BaseModel, PrivateAttr
from pydantic.fields import FieldInfo

import websocket_config as config
from kani.composition.settings.speech import SpeechSettings
from kani.composition.settings.types import Bucket, Level, LogFormat
from kani.engines.plugin_settings import is_true, setting, setting_name

Plugged = TypeVar("Plugged", bound=BaseModel)


class Settings(SpeechSettings):
    """Settings of one server, frozen; ``settings.load`` builds them."""

    _plugins: Mapping[type[BaseModel], BaseModel] = PrivateAttr(default_factory=dict)
    """Settings of plugins, by their models."""

    max_connections: int = setting(
        config.MAX_CONNECTIONS,
        "KANI_MAX_CONNECTIONS",
        "TTS_MAX_CONNECTIONS",
        group="Limits",
        ge=1,
        le=1_000_000,
        about="WebSocket connections, and speech sessions, open at once. One more connection is refused with "
        "HTTP 503, one more session as busy, in the words of its protocol.",
    )
    max_waiting: int = setting(
        config.MAX_WAITING,
        "KANI_MAX_WAITING",
        "TTS_MAX_QUEUE_SIZE",
        ge=0,
        le=1_000_000,
        about="Syntheses that may wait for an engine; a session beyond is refused as busy.",
    )
    max_concurrent: int | None = setting(
        None,
        "KANI_MAX_CONCURRENT",
        "TTS_MAX_CONCURRENT",
        unit="segments",
        ge=1,
        le=1024,
        about="Segments that each engine speaks at once, Kokoro's and its students' together; further ones "
        "wait in the queue. Not set, or more: the engine's own number of slots. Kokoro's is the number of "
        "streams that this machine synthesizes in real time, measured after the start. The Kani model "
        "takes the memory of so many slots at the start: 8 if this is not set, on CUDA 256; Kyutai's at "
        "most 64: 1, on CUDA 4. Another server (KANI_UPSTREAM) is sent so many requests: 4.",
    )
    max_text: int | None = setting(
        None,
        "KANI_MAX_TEXT",
        "TTS_MAX_TEXT_LENGTH",
        unit="characters",
        ge=1,
        le=10_000_000,
        about="Longest text of one request, in every protocol. Not set: 5,000 in VoxCPM's, 40,000 in "
        "ElevenLabs', 100,000 in OpenAI's audio API, 10,000 in the others.",
    )
    max_upload: int = setting(
        512,
        "KANI_MAX_UPLOAD",
        unit="MB",
        ge=1,
        le=1000,
        about="Largest recording to be transcribed, in every protocol. Until its text is there, "
        "it lies in the folder for temporary files (TMPDIR); all together may take 1024 MB there, files of "
        "up to 25 MB a quarter more.",
    )
    rate_per_minute: int = setting(
        config.RATE_PER_MINUTE,
        "KANI_RATE_PER_MINUTE",
        unit="sessions a minute",
        ge=0,
        le=1_000_000,
        about="Sessions that one client address may open a minute; 0 is no limit. Not set: "
        "TTS_RATE_LIMIT_PER_MINUTE, unless TTS_RATE_LIMIT_ENABLED is false.",
    )
    request_timeout: float = setting(
        config.REQUEST_TIMEOUT,
        "KANI_REQUEST_TIMEOUT",
        "TTS_REQUEST_TIMEOUT",
        unit="seconds",
        ge=0,
        le=86400,
        about="Longest wait of a client in all, in the queue and for its engine, once its text is complete; "
        "0 is no limit. Time while it plays audio that it has received does not count.",
    )
    idle_unload_seconds: float | None = setting(
        None,
        "KANI_IDLE_UNLOAD_SECONDS",
        unit="seconds",
        ge=1,
        le=86400,
        about="Time without a request after which the recogniser, and each engine but the preferred one, is "
        "unloaded; the next request loads it again, and waits. Implies KANI_ENGINE_PROCESS. Not set: never.",
    )
    shutdown_seconds: float = setting(
        config.SHUTDOWN_SECONDS,
        "KANI_SHUTDOWN_SECONDS",
        unit="seconds",
        ge=0,
        le=3600,
        about="Time for speech under way to finish once the server is stopping.",
    )

    models_dir: Path | None = setting(
        None,
        "KANI_MODELS_DIR",
        group="Files",
        about="Folder with model files to use instead of the installed or fetched ones.",
    )
    no_fetch: bool = setting(
        False,
        "KANI_NO_FETCH",
        about="Download no missing model file. Otherwise missing files are downloaded by `--fetch`, for an "
        "engine that `--engine` names, and for the Kani model if there is a CUDA device; nothing else is.",
    )
    data_dir: Path = setting(
        lambda: user_data_path(config.APP_NAME, appauthor=False),
        "KANI_DATA_DIR",
        about="Folder of the stored voices. Not set: `kani-tts` in the user's data folder (XDG_DATA_HOME "
        "counts).",
    )
    voice_bucket: Bucket | None = setting(
        None,
        "KANI_VOICE_BUCKET",
        about="Bucket of the stored voices, instead of KANI_DATA_DIR, shared by any number of servers: "
        "`s3://BUCKET` or `s3://BUCKET/FOLDER`. Needs `deploy/requirements-bucket.txt`; credentials, region "
        "and endpoint are those of the usual `AWS_…` variables "
        "([scale.md](scale.md#voices-for-several-servers)).",
    )
    cache_dir: Path = setting(
        lambda: user_cache_path(config.APP_NAME, appauthor=False),
        "KANI_CACHE_DIR",
        about="Folder of the model files that were fetched. Not set: `kani-tts` in the user's cache folder "
        "(XDG_CACHE_HOME counts).",
    )

    log_level: Level = setting(
        config.LOG_LEVEL,
        "KANI_LOG_LEVEL",
        "TTS_LOG_LEVEL",
        "LOG_LEVEL",
        group="Log",
        about="Least severity that is logged.",
    )
    log_format: LogFormat = setting(
        config.LOG_FORMAT,
        "KANI_LOG_FORMAT",
        "TTS_LOG_FORMAT",
        about="One line of text or one JSON object.",
    )
    log_text: bool = setting(False, "KANI_LOG_TEXT", about="Also log the texts of requests.")
    log_file: Path = setting(
        lambda: user_log_path(config.APP_NAME, appauthor=False) / config.LOG_FILE,
        "KANI_LOG_FILE",
        about=f"Log file besides the terminal, rotated at 10 MB, five kept. Not set: `{config.LOG_FILE}` "
        "(`-PORT` before the dot if not 8001) in `kani-tts/log` of the user's state folder (XDG_STATE_HOME "
        "counts).",
    )

    @property
    def log_path(self) -> Path:
        """``log_file``; where that is not set, servers of several ports have a file each."""
        file = self.log_file
        if "log_file" in self.model_fields_set or self.port == config.WEBSOCKET_PORT:
            return file
        return file.with_stem(f"{file.stem}-{self.port}")

    @classmethod
    def implied(cls, environment: Mapping[str, str]) -> dict[str, object]:
        """Limit the rate, and open the port for metrics, as the VoxCPM server's variables do."""
        rate = environment.get("TTS_RATE_LIMIT_PER_MINUTE")
        limited = rate and is_true(environment.get("TTS_RATE_LIMIT_ENABLED", "true"))
        return super().implied(environment) | ({"rate_per_minute": rate} if limited else {})

    def with_plugins(self, plugins: Mapping[type[BaseModel], BaseModel]) -> Settings:
        """Return these settings with those of plugins."""
        complete = self.model_copy()
        complete._plugins = plugins
        return complete

    def of_plugin(self, model: type[Plugged]) -> Plugged:
        """Return the settings that a plugin's model describes: their defaults where none were loaded."""
        found = self._plugins.get(model)
        return found if isinstance(found, model) else model()

    def named_voices(self) -> Iterator[tuple[str, str]]:
        """Yield the voices that plugins' settings name, each with its setting's name."""
        for chosen in self._plugins.values():
            for field, info in type(chosen).model_fields.items():
                if field_metadata(info).get("names_voices"):
                    yield from ((setting_name(info), voice) for voice in getattr(chosen, field).values())

    def value(self, name: str) -> Any:
        """Return a setting, of a plugin too, by its name in docs/settings.md."""
        for model, chosen in self._plugins.items():
            for field, info in model.model_fields.items():
                if setting_name(info) == name:
                    return getattr(chosen, field)
        return getattr(self, name)


def field_metadata(field: FieldInfo) -> dict[str, Any]:
    """Return the ``variables``, the ``group`` and the ``unit`` of a setting's field."""
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra
