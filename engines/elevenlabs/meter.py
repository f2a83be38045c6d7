"""What the ElevenLabs engine tells whoever counts it."""

from __future__ import annotations


class UpstreamMeter:
    """Callbacks; each returns at once and never raises. This one keeps nothing."""

    def count_failure(self, code: str) -> None:
        """ElevenLabs failed once: ``code`` is one of ``failures.CODES``, or "other"."""

    def count_fallback(self, engine: str) -> None:
        """A segment was spoken by ``engine`` in its place."""
