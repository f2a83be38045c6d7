"""Description of VoxCPM's protocol for the server."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from kani.engines.plugin_settings import PluginSettings, hosts, setting
from kani.protocols.shared.plugin import ProtocolPlugin, built_by, compat_port

FILES = "Files"


class Settings(PluginSettings):
    """Settings of VoxCPM's protocol, frozen."""

    port: int = compat_port(
        9300,
        "KANI_VOXCPM_PORT",
        "TTS_PORT",
        after="kyutai_port",
        about="Port for clients of the VoxCPM server, opened with KANI_COMPAT; 0 takes a free one. A "
        "WebSocket on `/` speaks VoxCPM's protocol there. The port after it is for bookmarks of the VoxCPM "
        "server's page.",
    )
    voice_dir: Path | None = setting(
        None,
        "KANI_VOICE_DIR",
        "TTS_VOICE_DIR",
        group=FILES,
        after="cache_dir",
        option=False,
        about="Folder of recordings, as the VoxCPM server has it (`CATEGORY/NAME.mp3`, with its transcript "
        "in `CATEGORY/NAME.txt`): `/api/voices` lists them, and clients name them with `voice_id` or "
        "`prompt_wav_path`. Not set: none.",
    )
    recording_hosts: Annotated[tuple[str, ...], BeforeValidator(hosts)] = setting(
        (),
        "KANI_RECORDING_HOSTS",
        option=False,
        about="Hosts, `name` or `name:port`, separated by commas, from which recordings may be fetched "
        "(VoxCPM's `prompt_wav_url`). Not set: none.",
    )


PROTOCOL = ProtocolPlugin("voxcpm", Settings, built_by("kani.protocols.voxcpm.protocol:protocol"))
