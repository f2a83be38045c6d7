"""Settings of single protocols: ElevenLabs', OpenAI's, the relay, LiveKit, Wyoming."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

import websocket_config as config
from kani.composition.settings.conversation import ConversationSettings
from kani.composition.settings.types import Networks, Pairs, Times
from kani.engines.plugin_settings import setting

ELEVENLABS = "ElevenLabs' protocol"
OPENAI = "OpenAI's audio API"
RELAY = "The relay"
LIVEKIT = "LiveKit"
WYOMING = "Wyoming, for Home Assistant"
REALTIME = "OpenAI's Realtime protocol"
RECORDINGS = "Transcription of recordings"


class ProtocolSettings(ConversationSettings):
    """Settings of protocols, frozen; an unknown name is an error."""

    elevenlabs_voices: Pairs = setting(
        {},
        "KANI_ELEVENLABS_VOICES",
        group=ELEVENLABS,
        about="Voices by the ids that ElevenLabs' clients name, `ID=VOICE`, separated by commas "
        "(`21m00Tcm4TlvDq8ikWAM=af_heart`). Voices of this server have their own ids there too; the ids of "
        "ElevenLabs' well-known voices are known.",
    )
    elevenlabs_times: Times = setting(
        "auto",
        "KANI_ELEVENLABS_TIMES",
        group=ELEVENLABS,
        about="What the times of characters count from on the WebSockets: `absolute` from the start of the "
        "stream, `relative` from where the message's own audio starts, which then waits until its characters "
        "are known (up to a word longer); `auto` is absolute for clients that ask for `sync_alignment`, else "
        "from the end of the characters before, as clients add them up.",
    )
    elevenlabs_max_text: int = setting(
        config.ELEVENLABS_MAX_TEXT,
        "KANI_ELEVENLABS_MAX_TEXT",
        group=ELEVENLABS,
        unit="characters",
        ge=1,
        le=10_000_000,
        about="Longest text of one request, or of one context of a WebSocket, in ElevenLabs' protocol.",
    )

    openai_max_text: int = setting(
        config.OPENAI_MAX_TEXT,
        "KANI_OPENAI_MAX_TEXT",
        group=OPENAI,
        unit="characters",
        ge=1,
        le=10_000_000,
        about="Longest input of `/v1/audio/speech` and the calls for captions.",
    )
    openai_voice_tags: bool = setting(
        False,
        "KANI_OPENAI_VOICE_TAGS",
        group=OPENAI,
        about="Whether `[voice:NAME]` and `[pause:1.5s]` in an input change the voice and make a pause, for "
        "requests that do not say so themselves (`allow_voice_tags`).",
    )
    openai_open_lists: bool = setting(
        True,
        "KANI_OPENAI_OPEN_LISTS",
        group=OPENAI,
        about="Whether the names of models and built-in voices are listed without a key, as Open WebUI asks "
        "for them. Stored voices are listed only to clients with a key.",
    )

    log_alignment: bool = setting(
        False,
        "KANI_LOG_ALIGNMENT",
        "LOG_ALIGNMENT",
        group=RELAY,
        about="Store the times of every character that the relay spoke, text included, in a JSON file for "
        "each utterance, in `alignment` of KANI_LOGS_DIR. Not set: true if ELEVEN_API_KEY, ELEVEN_VOICE_ID, "
        "LIVEKIT_API_KEY and LIVEKIT_API_SECRET are all set, as the original relay requires.",
    )
    log_outputs: bool = setting(
        False,
        "KANI_LOG_OUTPUTS",
        "LOG_OUTPUTS",
        group=RELAY,
        about="Store the texts that the relay spoke in `outputs` there.",
    )
    logs_dir: Path = setting(
        Path("logs"),
        "KANI_LOGS_DIR",
        group=RELAY,
        about="Folder of these files. Not set: `logs` in the folder where the server is started.",
    )

    transcription_max_bytes: int = setting(
        25 * 2**20,
        "KANI_TRANSCRIPTION_MAX_BYTES",
        group=RECORDINGS,
        unit="bytes",
        ge=1024,
        le=1 << 34,
        about="Longest audio file of OpenAI's and ElevenLabs' transcription calls. It is kept in a temporary "
        "file until it is transcribed.",
    )
    transcription_max_seconds: float = setting(
        14_400.0,
        "KANI_TRANSCRIPTION_MAX_SECONDS",
        group=RECORDINGS,
        unit="seconds",
        ge=1,
        le=360_000,
        about="Longest recording of these calls.",
    )

    livekit_url: str | None = setting(
        None,
        "KANI_LIVEKIT_URL",
        "LIVEKIT_URL",
        group=LIVEKIT,
        pattern=r"^(wss?|https?)://[^\s/]+/?$",
        about="LiveKit server for the clients of `/token` (`wss://rooms.example`).",
    )
    livekit_api_key: str | None = setting(
        None,
        "KANI_LIVEKIT_API_KEY",
        "LIVEKIT_API_KEY",
        group=LIVEKIT,
        min_length=1,
        about="Name of the key that its tokens are signed with.",
    )
    livekit_api_secret: SecretStr | None = setting(
        None,
        "KANI_LIVEKIT_API_SECRET",
        "LIVEKIT_API_SECRET",
        group=LIVEKIT,
        about="That key's secret, 32 characters or more (a shorter one works, with a warning). Never "
        "printed or logged.",
    )

    wyoming: bool = setting(
        False,
        "KANI_WYOMING",
        group=WYOMING,
        about="Open the port for Wyoming, Home Assistant's speech protocol. It knows no keys and no TLS: "
        "every client in KANI_WYOMING_ALLOW may speak, listen and list the voices. On a loopback address "
        "KANI_COMPAT opens it too.",
    )
    wyoming_port: int = setting(
        config.WYOMING_PORT,
        "KANI_WYOMING_PORT",
        group=WYOMING,
        ge=0,
        le=65535,
        about="That port; 0 takes a free one.",
    )
    wyoming_allow: Networks = setting(
        config.PRIVATE_NETWORKS,
        "KANI_WYOMING_ALLOW",
        group=WYOMING,
        about="Networks that clients may connect from, separated by commas; connections from others "
        "are closed. The default is all private addresses.",
    )
    wyoming_zeroconf: bool = setting(
        True,
        "KANI_WYOMING_ZEROCONF",
        group=WYOMING,
        about="Announce it to the local network (mDNS), so that Home Assistant finds it. Never done on a "
        "loopback address.",
    )
    wyoming_end_of_speech: bool = setting(
        False,
        "KANI_WYOMING_END_OF_SPEECH",
        group=WYOMING,
        about="Recognise the end of every command here, for Home Assistant from 2026.11 on, and tell it that "
        "it need not. Otherwise only for clients that ask for it (`vad_sensitivity`).",
    )
    realtime_session_seconds: float = setting(
        3600.0,
        "KANI_REALTIME_SESSION_SECONDS",
        group=REALTIME,
        unit="seconds",
        gt=0,
        le=86_400,
        about="Longest life of a connection to `/v1/realtime`, which then ends with the error "
        "`session_expired`.",
    )
    realtime_idle_seconds: float = setting(
        900.0,
        "KANI_REALTIME_IDLE_SECONDS",
        group=REALTIME,
        unit="seconds",
        gt=0,
        le=86_400,
        about="Longest time without an event of its client. LiveKit keeps a connection for ten minutes "
        "between two streams.",
    )
