"""Description of ElevenLabs' protocol and the relay's for the server, and what their calls are given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator

from kani.engines.plugin_settings import LOWER, PluginSettings, is_true, paired, setting
from kani.protocols.shared.plugin import ProtocolPlugin, built_by, compat_port

ELEVENLABS = "ElevenLabs' protocol"
RELAY = "The relay"

ORIGINAL_RELAY = ("ELEVEN_API_KEY", "ELEVEN_VOICE_ID", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
"""Variables that the original relay requires. It stores what it speaks; so does a server with all of them."""

ORIGINAL_LOGS = ("LOG_ALIGNMENT", "LOG_OUTPUTS")
"""The original relay's switches of the two kinds of its files."""

LOGS_FOLDER = Path("logs")
"""Folder of the original relay's files: the one where it is started."""


class Settings(PluginSettings):
    """Settings of ElevenLabs' protocol and the relay's, frozen."""

    relay_port: int = compat_port(
        8081,
        "KANI_RELAY_PORT",
        "TTS_WS_PORT",
        after="kyutai_port",
        about="Port for clients of the relay, opened with KANI_COMPAT; 0 takes a free one.",
    )
    voices: Annotated[Mapping[str, str], BeforeValidator(paired)] = setting(
        {},
        "KANI_ELEVENLABS_VOICES",
        group=ELEVENLABS,
        after="llm_early",
        option=False,
        names_voices=True,
        about="Voices by the ids that ElevenLabs' clients name, `ID=VOICE`, separated by commas "
        "(`21m00Tcm4TlvDq8ikWAM=af_heart`). Voices of this server have their own ids there too; the ids of "
        "ElevenLabs' well-known voices are known.",
    )
    times: Annotated[Literal["auto", "absolute", "relative"], LOWER] = setting(
        "auto",
        "KANI_ELEVENLABS_TIMES",
        option=False,
        about="What the times of characters count from on the WebSockets: `absolute` from the start of the "
        "stream, `relative` from where the message's own audio starts, which then waits until its characters "
        "are known (up to a word longer); `auto` is absolute for clients that ask for `sync_alignment`, else "
        "from the end of the characters before, as clients add them up.",
    )
    relay_logs: Path | None = setting(
        None,
        "KANI_RELAY_LOGS",
        group=RELAY,
        after="elevenlabs_url",
        option=False,
        accepts="a folder",
        about="Folder in which the relay stores each utterance: the times of its characters in `alignment`, "
        "its text in `outputs`. Not set: none, but `logs` in the folder where the server is started if "
        "LOG_ALIGNMENT or LOG_OUTPUTS is true, or if ELEVEN_API_KEY, ELEVEN_VOICE_ID, LIVEKIT_API_KEY and "
        "LIVEKIT_API_SECRET are all set, as the original relay requires, and LOG_ALIGNMENT is not false.",
    )

    @classmethod
    def implied(cls, environment: Mapping[str, str]) -> dict[str, object]:
        """Store the relay's utterances where the original relay would."""
        switches = [environment[name] for name in ORIGINAL_LOGS if environment.get(name)]
        original = all(environment.get(name) for name in ORIGINAL_RELAY)
        stores = any(map(is_true, switches)) or (original and not environment.get("LOG_ALIGNMENT"))
        return {"relay_logs": LOGS_FOLDER} if stores else {}


PROTOCOL = ProtocolPlugin("elevenlabs", Settings, built_by("kani.protocols.elevenlabs.protocol:protocol"))


MAX_TEXT = 40_000


@dataclass(frozen=True, slots=True)
class ElevenLabsSettings:
    own: Settings = field(default_factory=Settings)
    max_text: int = MAX_TEXT  # characters of one request, or of one WebSocket context
    relay_voice: str | None = None  # None, or the id of no voice here: the default of the text's language
