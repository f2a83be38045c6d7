"""Settings of the relay, and its counters for /health."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RelaySettings:
    voice: str | None  # None, or the id of no voice here: the default voice of the text's language
    logs: Path | None  # folder in which each utterance is stored, None for none

    @property
    def folders(self) -> list[Path]:
        return [] if self.logs is None else [self.logs / kind for kind in ("alignment", "outputs")]


@dataclass(slots=True)
class RelayState:
    """Counts of connections and of utterances being spoken."""

    clients: int = 0
    agents: int = 0
    active_utterances: int = 0

    def health_fields(self) -> dict[str, int | bool]:
        return {
            "flutter_clients": self.clients,
            "agent_connected": self.agents > 0,
            "is_streaming": self.active_utterances > 0,
        }
