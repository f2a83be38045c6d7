"""A service's failures: the sentences for clients, which of them may pass, and how many there were."""

from collections.abc import Mapping
from typing import ClassVar

from prometheus_client import CollectorRegistry, Counter

from kani_text import foreign

MAX_DETAIL_CHARACTERS = 300


class ServiceFailed(Exception):
    """A service failed; ``str()`` is a sentence fit for a client."""

    sentences: ClassVar[Mapping[str, str]]  # by the failures' codes
    other_sentence: ClassVar[str] = ""  # of any other code
    passing: ClassVar[frozenset[str]]  # another try a moment later may succeed; a stall would be waited for
    of_one_request: ClassVar[frozenset[str]]  # they say nothing about other requests

    def __init__(self, code: str, detail: str = "") -> None:
        """code: names the failure; detail: for the log, without a key."""
        super().__init__(self.sentences.get(code, self.other_sentence))
        self.code, self.detail = code, detail

    @property
    def metric_code(self) -> str:
        """The code, or "other" for an unknown one, so that the number of label values is bounded."""
        return self.code if self.code in self.sentences else "other"

    @property
    def affects_all_requests(self) -> bool:
        """True if other requests would fail likewise: the account or the service is the cause."""
        return self.code in self.sentences and self.code not in self.of_one_request

    @property
    def transient(self) -> bool:
        """True if another try a moment later may succeed."""
        return self.code in self.passing

    @property
    def is_outage(self) -> bool:
        """True if another try some minutes later may succeed."""
        return self.transient or self.code == "stalled"


def redacted(text: object, key: str) -> str:
    """Return text fit for a log: on one line, without ``key``, at most ``MAX_DETAIL_CHARACTERS`` long."""
    shown = str(text).replace(key, "(the key)") if key else str(text)
    return " ".join(foreign.log_value(shown).split())[:MAX_DETAIL_CHARACTERS]


class UpstreamMetrics:
    """Counts failures of the service, and segments that the fallback engine spoke."""

    def __init__(self, registry: CollectorRegistry, name: str, service: str) -> None:
        """registry: holds the counters; name: in their names; service: its name for people."""
        self.service = service
        self._failures = Counter(
            f"kani_{name}_failures", f"Failures of {service}.", ["code"], registry=registry
        )
        self._fallbacks = Counter(
            f"kani_{name}_fallbacks",
            f"Segments spoken by the fallback engine instead of {service}.",
            ["engine"],
            registry=registry,
        )

    def count_failure(self, code: str) -> None:
        """Count a failure; ``code``: one of few, such as ``UpstreamFailed.metric_code``."""
        self._failures.labels(code).inc()

    def count_fallback(self, engine: str) -> None:
        """Count a segment that ``engine`` spoke instead of the service."""
        self._fallbacks.labels(engine).inc()
