"""Description of Wyoming for the server."""

import ipaddress
from typing import Annotated, Any

from pydantic import BeforeValidator

from kani.engines.plugin_settings import PluginSettings, listed, setting
from kani.protocols.shared.plugin import ProtocolPlugin, built_by

WYOMING = "Wyoming, for Home Assistant"
PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)


def _networks(value: Any) -> Any:
    networks = listed(value)
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise ValueError(f"{network!r} is no network (192.168.1.0/24) and no IP address") from None
    return networks


class Settings(PluginSettings):
    enabled: bool = setting(
        False,
        "KANI_WYOMING",
        group=WYOMING,
        after="livekit_api_secret",
        option=False,
        about="Open the port for Wyoming, Home Assistant's speech protocol. It knows no keys and no TLS: "
        "every client in KANI_WYOMING_ALLOW may speak, listen and list the voices. On a loopback address "
        "KANI_COMPAT opens it too.",
    )
    port: int = setting(
        10300, "KANI_WYOMING_PORT", option=False, ge=0, le=65535, about="That port; 0 takes a free one."
    )
    allow: Annotated[tuple[str, ...], BeforeValidator(_networks)] = setting(
        PRIVATE_NETWORKS,
        "KANI_WYOMING_ALLOW",
        option=False,
        about="Networks that clients may connect from, separated by commas; connections from others "
        "are closed. The default is all private addresses.",
    )
    end_of_speech: bool = setting(
        False,
        "KANI_WYOMING_END_OF_SPEECH",
        option=False,
        about="Recognise the end of every command here, for Home Assistant from 2026.11 on, and tell it that "
        "it need not. Otherwise only for clients that ask for it (`vad_sensitivity`).",
    )


PROTOCOL = ProtocolPlugin("wyoming", Settings, built_by("kani.protocols.wyoming.protocol:protocol"))
