"""What an operator chooses for the relay, and what /health tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """voice: who speaks; None, or a name that is no voice of this server, is the default of the text's
    language. log_alignment, log_outputs: whether the times and the texts of what was said are kept, in
    folders of ``logs_dir``.
    """

    voice: str | None
    log_alignment: bool
    log_outputs: bool
    logs_dir: Path


@dataclass(slots=True)
class RelayState:
    """Who is here: clients that hear, agents that write, and utterances that are being spoken."""

    clients: int = 0
    agents: int = 0
    active_utterances: int = 0

    def health_fields(self) -> dict[str, int | bool]:
        """By the names that the relay's own /health has."""
        return {
            "flutter_clients": self.clients,
            "agent_connected": self.agents > 0,
            "is_streaming": self.active_utterances > 0,
        }
