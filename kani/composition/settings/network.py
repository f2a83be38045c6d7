"""Settings of the network: ports, TLS and access control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

import websocket_config as config
from kani.composition.settings.types import CommaList, Keys, Origins
from kani.engines.plugin_settings import setting

ADDRESS = "Address"
ACCESS = "Access"


def _behind_voxcpm(given: dict[str, Any]) -> int:
    port: int = given.get("voxcpm_port", 0)
    return port + 1 if 0 < port < 65535 else 0


class NetworkSettings(BaseModel):
    """Network settings, frozen; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = setting(
        config.WEBSOCKET_HOST,
        "KANI_HOST",
        "TTS_HOST",
        group=ADDRESS,
        min_length=1,
        about="Address to listen on. `localhost` is both 127.0.0.1 and ::1; any address that is not a "
        "loopback address asks for keys (KANI_API_KEYS).",
    )
    port: int = setting(
        config.WEBSOCKET_PORT,
        "KANI_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port to listen on; 0 takes a free one.",
    )
    compat: bool = setting(
        False,
        "KANI_COMPAT",
        group=ADDRESS,
        about="Listen also on the ports that clients of other servers look for, which follow. Each serves "
        "all that KANI_PORT serves.",
    )
    rest_port: int = setting(
        config.REST_PORT,
        "KANI_REST_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port for clients of Kani's original HTTP server and for its page, opened with KANI_COMPAT; 0 "
        "takes a free one. A page that is opened from a file has the origin `null`, which "
        "KANI_ALLOWED_ORIGINS has to list.",
    )
    kyutai_port: int = setting(
        config.KYUTAI_PORT,
        "KANI_KYUTAI_PORT",
        "PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port for clients of Kyutai's server and for the relay's app, which asks for its token there, "
        "opened with KANI_COMPAT; 0 takes a free one.",
    )
    kyutai_voice_port: int = setting(
        config.KYUTAI_VOICE_PORT,
        "KANI_KYUTAI_VOICE_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port for clients of Kyutai's voice cloning, opened with KANI_COMPAT; 0 takes a free one.",
    )
    relay_port: int = setting(
        config.RELAY_PORT,
        "KANI_RELAY_PORT",
        "TTS_WS_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port for clients of the relay, opened with KANI_COMPAT; 0 takes a free one.",
    )
    voxcpm_port: int = setting(
        config.VOXCPM_PORT,
        "KANI_VOXCPM_PORT",
        "TTS_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port for clients of the VoxCPM server, opened with KANI_COMPAT; 0 takes a free one. A "
        "WebSocket on `/` speaks VoxCPM's protocol there.",
    )
    voxcpm_page_port: int = setting(
        _behind_voxcpm,
        "KANI_VOXCPM_PAGE_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="Port where users of the VoxCPM server look for its page, opened with KANI_COMPAT; 0 takes a "
        "free one. Not set: the one after KANI_VOXCPM_PORT.",
    )
    metrics_enabled: bool = setting(
        False,
        "KANI_METRICS_ENABLED",
        "TTS_METRICS_ENABLED",
        group=ADDRESS,
        about="Open a port for nothing but metrics, besides `/metrics` on all the others.",
    )
    metrics_port: int = setting(
        config.METRICS_PORT,
        "KANI_METRICS_PORT",
        "TTS_METRICS_PORT",
        group=ADDRESS,
        ge=0,
        le=65535,
        about="That port; 0 takes a free one.",
    )
    tls_cert: Path | None = setting(
        None,
        "KANI_TLS_CERT",
        group=ADDRESS,
        about="Certificate (PEM, with its chain) to serve https and wss with, on every port; with "
        "KANI_TLS_KEY. docs/operations.md describes how to make one.",
    )
    tls_key: Path | None = setting(
        None,
        "KANI_TLS_KEY",
        group=ADDRESS,
        about="Its private key (PEM, without a passphrase).",
    )

    api_keys: Keys = setting(
        (),
        "KANI_API_KEYS",
        group=ACCESS,
        about="Keys of clients, separated by commas, each of 16 characters at least: the log warns of a "
        "shorter one. Never printed or logged. On a loopback address clients of "
        "this machine need none, except on Kyutai's speech paths, where "
        f"`{config.PUBLIC_TOKEN}`, which Kyutai's clients send, is a key too. A request through a proxy "
        "(known "
        "by X-Forwarded-For, X-Real-IP, Forwarded or Via) needs one of these keys, and is refused if none is "
        f"set. To admit Kyutai's clients from other machines, list `{config.PUBLIC_TOKEN}`: it is no secret, "
        "and opens only Kyutai's paths.",
    )
    no_auth: bool = setting(
        False,
        "KANI_NO_AUTH",
        group=ACCESS,
        about="Require no key, on any address and through any proxy: any client that reaches the port may "
        "speak and list voices. The server answers to IP addresses, loopback names, this machine's own name "
        "and KANI_ALLOWED_HOSTS.",
    )
    allowed_origins: Origins = setting(
        (),
        "KANI_ALLOWED_ORIGINS",
        group=ACCESS,
        about="Web pages that may use this server, by origin (`https://app.example`), separated by commas. "
        "Pages of this machine and of the server itself always may; `null` (a page opened from a file) "
        "has to be listed.",
    )
    allowed_hosts: CommaList = setting(
        (),
        "KANI_ALLOWED_HOSTS",
        group=ACCESS,
        about="Further host names, separated by commas, that are answered to where no secret key is asked "
        "for: on a loopback address, with KANI_NO_AUTH, and on Kyutai's paths where KANI_API_KEYS lists "
        f"`{config.PUBLIC_TOKEN}`. Where keys are set, a request to a loopback server under such a name "
        "needs one.",
    )
