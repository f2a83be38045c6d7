"""Resolution of a session's voice: by its request, the language of its text, and that of foreign passages."""

from __future__ import annotations

from collections.abc import Callable

from speech.text import language_detection
from speech.text.languages import primary
from speech.types import SpeechRequest
from speech.voices.catalogue import ResolvedVoice, VoiceCatalogue

LANGUAGE_DETECTION_CHARACTERS = 80
"""Characters from which a language is detected where neither the request nor its voice sets it."""

EARLY_DETECTION = ((24, 0.8), (40, 0.6))
"""(characters, least probability) at which detection may decide early, as text that comes word by word then
waits less (of 165 sentences in ten languages 24 characters decide 133, 40 decide 163, and none wrongly)."""


class VoiceResolver:
    """Resolves the voice of one session.

    Requests are passed to each method because the session may replace its own (``use_embeddings``). All but
    ``next_voice`` raise InvalidRequest.
    """

    def __init__(
        self,
        catalogue: Callable[[], VoiceCatalogue],
        request: SpeechRequest,
        *,
        fallback_language: str | None,
        default_language: str,
        cloning: bool,
    ) -> None:
        """catalogue: returns the current one, which is replaced when an engine joins; fallback_language: used
        where the text's language cannot be detected, before default_language; cloning: whether a recording
        is to be imitated that is not in the request yet. Raises UnknownVoice.
        """
        self._catalogue = catalogue
        self._first_catalogue = catalogue()
        self._fallback_language = fallback_language
        self._default_language = default_language
        self._cloning = cloning
        # Looked up once: the session keeps its voice even if that is renamed or deleted meanwhile.
        self._named = self._first_catalogue.find(request.voice)

    def by_request(self, request: SpeechRequest) -> ResolvedVoice | None:
        """The voice for the language that the request or its voice sets; None where neither does."""
        language = request.language or (self._named.language if self._named is not None else None)
        return self.by_language(request, language) if language else None

    def by_language(self, request: SpeechRequest, language: str) -> ResolvedVoice:
        """The voice for a language (BCP 47)."""
        voice = self._named if request.voice is not None else request.voices.get(primary(language))
        cloning = self._cloning or request.reference is not None
        return self._catalogue().resolve(voice, language, cloning=cloning)

    def by_text(self, request: SpeechRequest, text: str, complete: bool) -> ResolvedVoice | None:
        """The voice for the language of ``text``; None while that is too short, and not ``complete``."""
        known = self._catalogue().languages
        hints = tuple(primary(tag) for tag in request.languages)
        expected = hints or ((self._fallback_language,) if self._fallback_language else ())
        for characters, min_probability in EARLY_DETECTION:
            if len(text) >= characters:
                detected = language_detection.detect(text[:characters], known, min_probability, expected)
                if detected is not None:
                    return self.by_language(request, detected)
        if len(text) < LANGUAGE_DETECTION_CHARACTERS and not complete:
            return None
        detected = language_detection.detect(text[:LANGUAGE_DETECTION_CHARACTERS], known, expected=expected)
        detected = detected or next((language for language in hints if language in known), None)
        return self.by_language(request, detected or self._fallback_language or self._default_language)

    def next_voice(self, request: SpeechRequest, voice: ResolvedVoice) -> ResolvedVoice:
        """The voice of the next segment: the same, unless a preferred engine has joined meanwhile."""
        imitates = voice.stored is not None or request.reference is not None or self._cloning
        # An embedding is of use only to the engine that made it.
        if imitates or self._catalogue() is self._first_catalogue:
            return voice
        return self.by_language(request, voice.language)
