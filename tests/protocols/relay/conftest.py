from __future__ import annotations

from tests.protocols.elevenlabs.conftest import espeak_app, start_app

__all__ = ["espeak_app", "start_app"]
