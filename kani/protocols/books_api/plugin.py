"""Description of the calls for books for the server."""

from kani.engines.plugin_settings import PluginSettings
from kani.protocols.shared.plugin import ProtocolPlugin, built_by

PROTOCOL = ProtocolPlugin("books_api", PluginSettings, built_by("kani.protocols.books_api.protocol:protocol"))
