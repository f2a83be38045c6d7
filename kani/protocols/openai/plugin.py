"""Description of OpenAI's audio API for the server."""

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator

from kani.engines.plugin_settings import PluginSettings, listed, setting
from kani.protocols.shared.plugin import ProtocolPlugin, built_by


def _addresses(value: Any) -> Any:
    for address in (addresses := listed(value)):
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or " " in address:
            raise ValueError(f"{address!r} is no address like http://localhost:9000/mcp")
    return addresses


class Settings(PluginSettings):
    """Settings of OpenAI's audio API, frozen."""

    mcp_servers: Annotated[tuple[str, ...], BeforeValidator(_addresses)] = setting(
        (),
        "KANI_MCP_SERVERS",
        needs=("KANI_LLM_URL",),
        group="Conversations",
        after="llm_instructions",
        option=False,
        about="Addresses of MCP servers, separated by commas, that a Realtime session may name as tools. "
        "Not set: none.",
    )


PROTOCOL = ProtocolPlugin("openai", Settings, built_by("kani.protocols.openai.protocol:protocol"))
