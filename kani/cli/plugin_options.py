"""Options for the settings of engines and recognisers."""

from __future__ import annotations

import argparse
from contextlib import suppress
from functools import partial
from typing import NoReturn

from kani.composition import settings

Groups = dict[str, argparse._ArgumentGroup]


def add(options: argparse.ArgumentParser, groups: Groups) -> Groups:
    """Add an option for each setting of a plugin, below the heading that the plugin chose.

    groups: those that there are already, by the headings of docs/settings.md; returned with the new ones.
    """
    of_plugins = settings.plugin_fields().keys()
    for name, field in settings.fields().items():
        if name not in of_plugins or not settings.field_metadata(field)["option"]:
            continue
        heading = settings.field_metadata(field)["group"]
        if heading not in groups:
            groups[heading] = options.add_argument_group(heading)
        option, about = "--" + name.replace("_", "-"), f"{field.description}"
        # A name that is an option of the server already: the setting has only its variable.
        with suppress(argparse.ArgumentError):
            if field.default is False:
                groups[heading].add_argument(option, action="store_true", help=_literal(about))
            else:
                accepted = "Accepts " + settings.accepted_values(name) + _default(field.default)
                groups[heading].add_argument(option, metavar="VALUE", help=_literal(f"{about} {accepted}"))
    for option, sentence in settings.retired_options().items():
        options.add_argument(
            option, type=partial(_refuse, sentence), default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )
    return groups


def _refuse(sentence: str, _: str) -> NoReturn:
    raise argparse.ArgumentTypeError(sentence)


def _default(value: object) -> str:
    return f" (default {value})" if isinstance(value, str | int | float) and value != "" else ""


def _literal(text: str) -> str:
    """Return text that argparse shows as it is."""
    return text.replace("%", "%%")
