"""Table of the settings: name, unit, range, environment variables and default of each.

``network`` holds those of ports and access, ``conversation`` those of the chat endpoint; engines, recognisers
and protocols have their own (``kani.engines.plugin``, ``kani.protocols.shared.plugin``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from platformdirs import user_cache_path, user_data_path, user_log_path
from pydantic import BaseModel, PrivateAttr, SecretStr
from pydantic.fields import FieldInfo

import websocket_config as config
from kani.composition.settings.conversation import ConversationSettings
from kani.composition.settings.types import (
    Bucket,
    Engine,
    Language,
    Level,
    LogFormat,
    Precision,
    Pythons,
    Recognizer,
    WorkerAddresses,
)
from kani.engines.plugin_settings import LOWER, is_true, setting, setting_name

SPEECH = "Speech"
KANI = "The Kani model"

Plugged = TypeVar("Plugged", bound=BaseModel)


class Settings(ConversationSettings):
    """Settings of one server, frozen; ``settings.load`` builds them."""

    _plugins: Mapping[type[BaseModel], BaseModel] = PrivateAttr(default_factory=dict)
    """Settings of plugins, by their models."""

    engine: Engine = setting(
        config.DEFAULT_ENGINE,
        "KANI_ENGINE",
        group=SPEECH,
        about="Engine. `auto` takes the best one that this machine can run for each language; `remote` is "
        "the engine of the workers at KANI_ENGINE_ADDRESS.",
    )
    model: str | None = setting(
        None,
        "KANI_MODEL",
        min_length=1,
        about="Model of that engine: a folder, or a name on a model hub (`OWNER/NAME`, "
        "`OWNER/NAME@REVISION`). Without a revision the one that was fetched first is kept. `kani`, "
        "also as a part of `auto`: config.json, the tokenizer and safetensors (not set: "
        "`nineninesix/kani-tts-370m`, with KANI_LANGUAGE=es `nineninesix/kani-tts-400m-es`). `voxcpm`: of "
        "VoxCPM or VoxCPM2 (`openbmb/VoxCPM2` at a pinned revision, 5 GB). `kyutai`: `kyutai/tts-1.6b-en_fr` "
        "(4.1 GB). `pocket`: a folder with `languages/NAME/` as the hub's repositories have it, with "
        "model.safetensors, tokenizer.json and embeddings/ (the pinned checkpoints of `kyutai/pocket-tts`). "
        "`openai`: a name at KANI_UPSTREAM (the only one that it lists, or `tts-1`). Others have none.",
    )
    engine_voices: str | None = setting(
        None,
        "KANI_ENGINE_VOICES",
        min_length=1,
        accepts="a folder",
        about="Folder of voices for that engine. KaniTTS-2: `NAME.pt` or `NAME.npy`, each of 128 numbers. "
        "`kyutai`: published embeddings of its checkpoint, or, for `kyutai/tts-0.75b-en-public`, recordings; "
        "not set: the embeddings of Unmute's voices are fetched, recordings are not.",
    )
    pythons: Pythons = setting(
        {},
        "KANI_PYTHONS",
        about="Pythons of environments with the packages of `pocket`, `voxcpm`, `kyutai` and `transcribe`, "
        "by these names (`kyutai=moshi/bin/python`, after `python3 -m venv moshi && moshi/bin/pip install -r "
        "requirements/kyutai.txt`). Not set: the environment that `--fetch` makes, if it is there, else the "
        "server's own.",
    )
    engine_process: bool = setting(
        False,
        "KANI_ENGINE_PROCESS",
        about="Run each local engine, and the recogniser, in a process of its own, which is started again "
        "when it crashes ([scale.md](scale.md)).",
    )
    engine_address: WorkerAddresses = setting(
        (),
        "KANI_ENGINE_ADDRESS",
        needs=("KANI_ENGINE=remote",),
        about="Addresses of the workers that `remote` speaks by, separated by commas: `unix:/path` or "
        "`tcp://host:port`. Each segment goes to the least loaded one ([scale.md](scale.md)).",
    )
    engine_key: SecretStr | None = setting(
        None,
        "KANI_ENGINE_KEY",
        about="Key that a worker and its servers share, of 16 characters at least; required for `tcp://`. "
        "Never sent, printed or logged.",
    )
    fallback: Annotated[Literal["none", "kokoro", "espeak"], LOWER] = setting(
        "none",
        "KANI_FALLBACK",
        about="Engine of this machine for a segment that fails, before its first audio, at ElevenLabs "
        "(KANI_ENGINE=elevenlabs) or at another server (`openai`).",
    )
    voice: str | None = setting(
        None,
        "KANI_VOICE",
        min_length=1,
        about="Voice id that replaces the default voice of its own language. Not set: each engine's own "
        "defaults.",
    )
    language: Language | None = setting(
        None,
        "KANI_LANGUAGE",
        about="Language of a text where neither the request, nor the text, nor its voice, nor its client "
        "tells it ([languages.md](languages.md)), in every protocol. Not set: the protocol's own, which is "
        "Spanish for Kani's messages and English for all others. Also that of speech if "
        "the client names none, and the recogniser has several and detects none, as Canary.",
    )
    one_language: bool = setting(
        False,
        "KANI_ONE_LANGUAGE",
        about="Speak quotations and sentences in another language as the text around them, instead of in "
        "their own ([languages.md](languages.md#quotations-in-another-language)).",
    )
    unmarked: bool = setting(
        False,
        "KANI_UNMARKED",
        about="Leave out the mark in files, streams and headers that tells programs that speech is "
        "synthetic ([voices.md](voices.md#marked-as-synthetic)).",
    )
    melody: float = setting(
        1.0,
        "KANI_MELODY",
        ge=0,
        le=1,
        about="Share of the melody of questions, lists and exclamations that requests do not set (`melody`); "
        "0 leaves the voice's own ([kokoro.md](kokoro.md#melody)).",
    )
    threads: int | None = setting(
        None,
        "KANI_THREADS",
        ge=1,
        le=256,
        about="Threads that one segment is computed with. Not set: the engine's own measure (Kokoro: 2; "
        "Kani: one a core). Kokoro's decoder on LiteRT takes one in any case, and a second while it is idle.",
    )
    lexicon: Path | None = setting(
        None,
        "KANI_LEXICON",
        about="Lexicon of pronunciations (docs/lexicon.md): a file, or a folder of files; reloaded when it "
        "changes. Not set: none.",
    )
    recognizer: Recognizer = setting(
        config.DEFAULT_RECOGNIZER,
        "KANI_RECOGNIZER",
        about="Recogniser. `auto` takes the best one that this machine can run; `remote` is the one of the "
        "workers at KANI_RECOGNIZER_ADDRESS; `none` disables recognition.",
    )
    turn_model: Path | None = setting(
        None,
        "KANI_TURN_MODEL",
        about="Network that hears whether a speaker has said all: an ONNX file with the input and output of "
        "smart-turn v3. Not set: smart-turn v3.2.",
    )
    recognizer_address: WorkerAddresses = setting(
        (),
        "KANI_RECOGNIZER_ADDRESS",
        needs=("KANI_RECOGNIZER=remote",),
        about="Addresses of the workers that the recogniser `remote` is at, as those of KANI_ENGINE_ADDRESS, "
        "with the same KANI_ENGINE_KEY. Each stream goes to the worker that has the fewest of this server.",
    )
    recognizer_model: str | None = setting(
        None,
        "KANI_RECOGNIZER_MODEL",
        min_length=1,
        about="Model of the recogniser: a folder, or a name on a model hub, as for KANI_MODEL. `whisper`, "
        "also as that of `auto`: in CTranslate2's format, with model.bin, config.json, tokenizer.json and "
        "vocabulary.json or .txt, such as `Systran/faster-whisper-small` (not set: the embedded base). "
        "`transcribe`, which has no default: a GGUF file of transcribe.cpp, or a repository (its file in "
        "Q8_0 is taken). `kyutai`: config.json, the tokenizer and safetensors (`kyutai/stt-1b-en_fr`). "
        "`openai`: a name at KANI_UPSTREAM (the only one that it lists, or `whisper-1`).",
    )

    device: str = setting(
        config.DEFAULT_DEVICE,
        "KANI_DEVICE",
        "TTS_DEVICE",
        group=KANI,
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        accepts="auto, cpu, cuda, cuda:N or mps",
        about="`auto` is CUDA if there is a CUDA device. It applies to VoxCPM and Kyutai's models, too.",
    )
    precision: Precision = setting(
        config.DEFAULT_PRECISION,
        "KANI_PRECISION",
        about="Precision of its arithmetic. `auto` is bfloat16 on CUDA and int8 on a CPU that can; float32 "
        "is exact. Pocket TTS has float32, and int8 of its language model where torch can; Kyutai's models "
        "have float32 and bfloat16.",
    )

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
