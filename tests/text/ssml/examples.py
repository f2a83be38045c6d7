"""Documents of the structures that other services document of their SSML (examples.tsv).

The structures are those of W3C's recommendation and of the pages of Azure, Google and Amazon Polly, in
sentences of our own. In the table ``<0.5>`` is a pause, in seconds.
"""

from typing import NamedTuple

from tests.support.tables import rows

Spoken = list[str | float]
"""Spoken segments, and pauses in seconds."""


class Example(NamedTuple):
    """A document, its spoken form, and the names of its parts without effect."""

    language: str
    text: str
    spoken: Spoken
    unused: list[str]


SOURCES: dict[str, list[Example]] = {}
for source, language, text, spoken, unused in rows(__file__, "examples.tsv"):
    parts: Spoken = [float(part[1:-1]) if part[0] == "<" else part for part in spoken.split(" | ")]
    SOURCES.setdefault(source, []).append(Example(language, text, parts, unused.strip("-").split()))
W3C, AZURE, GOOGLE, AMAZON, OTHER_LANGUAGES = SOURCES.values()
