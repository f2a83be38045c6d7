"""Settings of the relay, and its counters for /health."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """Settings of the relay."""

    voice: str | None  # None, or the id of no voice here: the default voice of the text's language
    log_alignment: bool  # whether the times of characters are written to ``logs_dir``
    log_outputs: bool  # whether the texts are written to ``logs_dir``
    logs_dir: Path

    @property
    def folders(self) -> dict[str, Path]:
        """Folders of the files that are written, by their kind."""
        kinds = {"alignment": self.log_alignment, "outputs": self.log_outputs}
        return {kind: self.logs_dir / kind for kind, written in kinds.items() if written}


@dataclass(slots=True)
class RelayState:
    """Counts of connections and of utterances being spoken."""

    clients: int = 0
    agents: int = 0
    active_utterances: int = 0

    def health_fields(self) -> dict[str, int | bool]:
        """Return the fields of the original relay's /health."""
        return {
            "flutter_clients": self.clients,
            "agent_connected": self.agents > 0,
            "is_streaming": self.active_utterances > 0,
        }
