"""Environment variables that the actors get from the command."""

from collections.abc import Collection, Mapping

from kani.composition.settings import fields, plugin_protocols, variables
from kani.composition.settings.conversation import ConversationSettings
from kani.composition.settings.installed import fields_of
from kani.engines.elevenlabs.plugin import UpstreamSettings
from kani.engines.openai.plugin import OpenAIUpstreamSettings

APART = "engine_key"
"""Setting that every actor gets, but as an argument of its own."""

FRONT_PREFIXES = ("AWS_", "HF_", "OTEL_")
"""Variables that libraries of the server read: the voices' bucket, the model hub, the collector of traces."""

REPLICA_PREFIXES = ("HF_",)


def of_fronts(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a front: every setting, and those of the libraries."""
    return _chosen(environment, fields().keys(), FRONT_PREFIXES)


def of_replicas(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for an engine replica, without the network's, the protocols' and other services'.

    So no key of a client or of an outside service leaves the fronts.
    """
    apart = {
        *ConversationSettings.model_fields,
        *fields_of(UpstreamSettings),
        *fields_of(OpenAIUpstreamSettings),
    }
    for plugin in plugin_protocols():
        apart |= fields_of(plugin.settings).keys()
    return _chosen(environment, fields().keys() - apart, REPLICA_PREFIXES)


def _chosen(
    environment: Mapping[str, str], settings: Collection[str], prefixes: tuple[str, ...]
) -> dict[str, str]:
    names = {variable for setting in settings if setting != APART for variable in variables(setting)}
    return {name: value for name, value in environment.items() if name in names or name.startswith(prefixes)}
