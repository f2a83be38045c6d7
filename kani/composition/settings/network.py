"""Settings of the network: ports, TLS and access control."""

from collections.abc import Mapping
from pathlib import Path

import websocket_config as config
from kani.composition.settings.types import MOST_FRONTS, Fronts, Host, Hosts, Keys, Origins
from kani.engines.plugin_settings import PluginSettings, is_true, setting

ADDRESS = "Address"
ACCESS = "Access"


class NetworkSettings(PluginSettings):
    """Network settings, frozen; an unknown name is an error."""

    host: Host = setting(
        config.WEBSOCKET_HOST,
        "KANI_HOST",
        "TTS_HOST",
        group=ADDRESS,
        about="Address to listen on. `localhost` is both 127.0.0.1 and ::1; any address that is not a "
        "loopback address asks for keys (KANI_API_KEYS).",
    )
    port: int = setting(
        config.WEBSOCKET_PORT, "KANI_PORT", ge=0, le=65535, about="Port to listen on; 0 takes a free one."
    )
    fronts: Fronts = setting(
        1,
        "KANI_FRONTS",
        accepts=f"a number from 1 to {MOST_FRONTS}, or auto",
        about="Processes that serve clients, as one server, with one process for each engine "
        "([scale.md](scale.md#several-processes-on-one-port)); Linux only. `auto`: one a core where the "
        "engine is a graphics card's or another machine's, else 1.",
    )
    compat: bool = setting(
        False,
        "KANI_COMPAT",
        about="Listen also on the ports that clients of other servers look for, which follow. Each serves "
        "all that KANI_PORT serves.",
    )
    metrics_port: int | None = setting(
        None,
        "KANI_METRICS_PORT",
        ge=0,
        le=65535,
        about="Port for nothing but metrics, besides `/metrics` on all the others; 0 takes a free one. Not "
        f"set: none, but with TTS_METRICS_ENABLED the one of TTS_METRICS_PORT, or {config.METRICS_PORT}.",
    )
    tls_cert: Path | None = setting(
        None,
        "KANI_TLS_CERT",
        about="Certificate (PEM, with its chain) to serve https and wss with, on every port; with "
        "KANI_TLS_KEY. docs/security.md describes how to make one.",
    )
    tls_key: Path | None = setting(None, "KANI_TLS_KEY", about="Its private key (PEM, without a passphrase).")

    api_keys: Keys = setting(
        (),
        "KANI_API_KEYS",
        group=ACCESS,
        about="Keys of clients, separated by commas: ASCII letters, digits and marks only, 16 at least (the "
        "log warns of fewer). Never printed or logged. On a loopback address clients of this machine need "
        f"none, except of `kani-tts mcp --http` and on Kyutai's speech paths, where `{config.PUBLIC_TOKEN}`, "
        "which Kyutai's clients send, is a key too. A request through a proxy (known by X-Forwarded-For, "
        "X-Real-IP, Forwarded or Via) needs one of these keys, and is refused if none is set. To admit "
        f"Kyutai's clients from other machines, list `{config.PUBLIC_TOKEN}`: it is no secret, and opens "
        "only Kyutai's paths.",
    )
    no_auth: bool = setting(
        False,
        "KANI_NO_AUTH",
        about="Require no key, on any address and through any proxy: any client that reaches the port may "
        "speak and list voices. The server answers to IP addresses, loopback names, this machine's own name "
        "and KANI_ALLOWED_HOSTS.",
    )
    allowed_origins: Origins = setting(
        (),
        "KANI_ALLOWED_ORIGINS",
        about="Web pages that may use this server, by origin (`https://app.example`), separated by commas. "
        "Pages of this machine and of the server itself always may; `null` (a page opened from a file) "
        "has to be listed.",
    )
    allowed_hosts: Hosts = setting(
        (),
        "KANI_ALLOWED_HOSTS",
        about="Further host names, separated by commas, that are answered to where no secret key is asked "
        "for: on a loopback address, with KANI_NO_AUTH, and on Kyutai's paths where KANI_API_KEYS lists "
        f"`{config.PUBLIC_TOKEN}`. Where keys are set, a request to a loopback server under such a name "
        "needs one.",
    )

    @classmethod
    def implied(cls, environment: Mapping[str, str]) -> dict[str, object]:
        """Open the port for metrics as the VoxCPM server's variables do."""
        if not is_true(environment.get("TTS_METRICS_ENABLED", "")):
            return {}
        return {"metrics_port": environment.get("TTS_METRICS_PORT") or config.METRICS_PORT}
