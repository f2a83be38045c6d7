"""Settings of the server: their table, their sources, and the page that documents them."""

from kani.composition.settings.installed import (
    fields,
    option_variables,
    own_protocols,
    plugin_fields,
    plugin_protocols,
    plugin_warnings,
    variables,
)
from kani.composition.settings.loader import (
    SettingsError,
    accepted_values,
    load,
    variable_warnings,
)
from kani.composition.settings.speech import KANI, SPEECH
from kani.composition.settings.table import Settings, field_metadata

__all__ = [
    "KANI",
    "SPEECH",
    "Settings",
    "SettingsError",
    "accepted_values",
    "field_metadata",
    "fields",
    "load",
    "option_variables",
    "own_protocols",
    "plugin_fields",
    "plugin_protocols",
    "plugin_warnings",
    "variable_warnings",
    "variables",
]
