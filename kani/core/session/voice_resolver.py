"""Resolution of a session's voices: by its request, the language of its text, foreign passages, and SSML."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from kani.core.errors import InvalidRequest, StoreUnavailable
from kani.core.types import SpeechRequest
from kani.core.voices.catalogue import ResolvedVoice, VoiceCatalogue
from kani_text import language_detection
from kani_text.foreign_passages import has_words, outside_quotations, shows
from kani_text.languages import primary
from kani_text.ssml import Style

DEFAULT_LANGUAGE = "en"
"""Language of a text where nothing tells it, in protocols that have no other default (BCP 47)."""

LANGUAGE_DETECTION_CHARACTERS = 80
"""Characters from which a language is detected where the request does not set it."""

EARLY_DETECTION = ((24, 0.8), (40, 0.6))
"""(characters, least probability) at which detection may decide early, as text that comes word by word then
waits less (24 characters decide 133 of 165 sentences in ten languages, 40 decide 163, none wrongly)."""

EARLY_EXPECTED = (12, 0.9)
"""The same where a language is expected: that of a named voice, or the one that the client has just spoken
(236 of 253 sentences in ten languages are decided by it, none wrongly)."""

CLEAR = 0.8
"""Least probability of a language other than the named voice's."""


MAX_STYLED_VOICES = 50
"""Different voices and languages of the SSML of one session; more are spoken by the session's voice."""


@dataclass(slots=True)
class LanguageMemory:
    """The language of a client's last text that had a clear one; one for each connection or session."""

    last: str | None = None  # BCP 47 tag
    heard: bool = False
    """True if the client itself spoke a known language last, so that an answer in it is expected."""

    def hear(self, language: str) -> None:
        """Note the language that the client speaks: a primary subtag, empty if unknown."""
        self.heard = bool(language)
        self.last = language or self.last


class VoiceResolver:
    """Resolves the voice of one session.

    The language is that of the request, else of the text, else of the voice that is named, else of the
    client's last text, else the client's first, else the server's or the protocol's default.

    Requests are passed to each method because the session may replace its own (``use_embeddings``). All but
    ``next_voice`` and ``resolve_style`` raise InvalidRequest.
    """

    def __init__(
        self,
        catalogue: Callable[[], VoiceCatalogue],
        request: SpeechRequest,
        *,
        default_language: str,
        memory: LanguageMemory | None = None,
        cloning: bool,
    ) -> None:
        """catalogue: returns the current one, which is replaced when an engine joins; default_language: for
        texts that do not tell theirs (BCP 47); memory: the client's; cloning: whether a recording is to be
        imitated that is not in the request yet. Raises UnknownVoice.
        """
        self._catalogue = catalogue
        self._first_catalogue = catalogue()
        self._default_language = default_language
        self._memory = memory or LanguageMemory()
        self._cloning = cloning
        # Looked up once: the session keeps its voice even if that is renamed or deleted meanwhile.
        self._named = self._first_catalogue.find(request.voice)
        self._voice_language = (self._named.language or None) if self._named is not None else None
        self._styled: dict[tuple[str | None, str | None], ResolvedVoice | None] = {}
        self.unused_ssml: list[str] = []
        """Names of what has no effect: "ssml.voice", "ssml.lang", "ssml.emphasis"."""

    def by_request(self, request: SpeechRequest) -> ResolvedVoice | None:
        """The voice for the language that the request sets; None where the text has to be seen.

        A voice speaks its own language in any case where that cannot be detected.
        """
        if request.language:
            voice = self.by_language(request, request.language)
            self._memory.last = request.language
            return voice
        spoken = self._catalogue().languages
        if len(spoken) == 1:
            # Nothing is to be told apart: a server of one language loads no detector.
            return self.by_language(request, self._in_region(*spoken))
        language = self._voice_language
        if language is None or language_detection.is_detectable(primary(language)):
            return None
        return self.by_language(request, language)

    def by_language(self, request: SpeechRequest, language: str) -> ResolvedVoice:
        voice = self._named if request.voice is not None else request.voices.get(primary(language))
        cloning = self._cloning or request.reference is not None
        return self._catalogue().resolve(voice, language, cloning=cloning)

    def by_name(self, voice: str, language: str | None) -> ResolvedVoice:
        """Another voice than the request's, in ``language`` or else its own (reads a file)."""
        catalogue = self._catalogue()
        found = catalogue.find(voice)
        own = (found.language if found is not None else None) or self._default_language
        return catalogue.resolve(found, language or own)

    def by_text(self, request: SpeechRequest, text: str, complete: bool) -> ResolvedVoice | None:
        """The voice for the language of ``text``; None while that is too short, and not ``complete``.

        A quotation may be in another language: it counts only where the words outside tell none.
        """
        of_voice, outside = self._voice_language, outside_quotations(text)
        expected = of_voice or self._memory.heard
        for characters, min_probability in ((EARLY_EXPECTED,) if expected else ()) + EARLY_DETECTION:
            if len(outside) >= characters:
                detected = self._detect_outer(request, outside[:characters], min_probability)
                if detected is not None:
                    return self.by_language(request, detected)
        if len(text) < LANGUAGE_DETECTION_CHARACTERS and not complete:
            return None
        min_probability = CLEAR if of_voice else language_detection.MIN_PROBABILITY
        if outside != text and has_words(outside):
            if not of_voice and any(map(str.islower, outside.split())):
                # A clause, not a name: its likeliest language is a better guess than the default.
                min_probability = 0.0
        elif outside != text:
            # One word ("Fehler:") tells its language where nothing is expected, or none.
            lone = language_detection.detect(outside, self._catalogue().languages, min_probability)
            if lone is not None:
                return self.by_language(request, self._in_region(lone))
            outside = text
        detected = self._detect_outer(request, outside[:LANGUAGE_DETECTION_CHARACTERS], min_probability)
        return self.by_language(request, detected or self._likeliest(request))

    def by_passage(self, request: SpeechRequest, language: str, own: ResolvedVoice) -> ResolvedVoice:
        """The voice of a passage in another language than the text's: the session's own where it can.

        A passage in another script, or in a language that the request names a voice for, is spoken by that
        language's voice.
        """
        chosen = request.voice is not None or request.reference is not None or self._cloning
        written = language_detection.scripts_of(primary(own.language))
        apart = language_detection.scripts_of(primary(language)) != written
        if chosen or apart or primary(language) in request.voices:
            return self.by_language(request, language)
        return self._catalogue().resolve(self._catalogue().find(own.voice), language)

    def next_voice(self, request: SpeechRequest, voice: ResolvedVoice) -> ResolvedVoice:
        """The voice of the next segment: the same, unless a preferred engine has joined meanwhile."""
        imitates = voice.stored is not None or request.reference is not None or self._cloning
        # An embedding is of use only to the engine that made it.
        if imitates or self._catalogue() is self._first_catalogue:
            return voice
        return self.by_language(request, voice.language)

    def _expected(self, request: SpeechRequest) -> tuple[str, ...]:
        """The languages that the text may be in, by voice and client, the likeliest first."""
        likely = (self._voice_language, self._memory.last, *map(primary, request.languages))
        return tuple(tag for tag in likely if tag)

    def _likeliest(self, request: SpeechRequest) -> str:
        """The language of a text that is in no clear one: the first that is spoken."""
        spoken = self._catalogue().languages
        likely = (*self._expected(request), self._default_language)
        return next((tag for tag in likely if primary(tag) in spoken), next(iter(spoken)))

    def _detect_outer(self, request: SpeechRequest, text: str, min_probability: float) -> str | None:
        """The language of ``text``; what comes after a colon may be in another one (BCP 47)."""
        head, colon, _ = text.partition(":")
        if colon and has_words(head):
            detected = self._detect(request, head, CLEAR)
            if detected is not None and shows(head, primary(detected)):
                return detected
        return self._detect(request, text, min_probability)

    def _detect(self, request: SpeechRequest, text: str, min_probability: float) -> str | None:
        """The language of ``text`` (BCP 47); None if it is not clear."""
        known = self._catalogue().languages
        expected = self._expected(request) or (self._default_language,)
        detected = language_detection.detect(text, known, min_probability, expected)
        if detected is None:
            return None
        language = self._in_region(detected)
        # An expectation must not become certain by being used again.
        if language_detection.detect(text, known) == detected:
            self._memory.last = language
        return language

    def _in_region(self, language: str) -> str:
        """The tag with the region of a language (a primary subtag) that the voice, the client or the server
        has; without one the language itself."""
        regional = (self._voice_language, self._memory.last, self._default_language)
        return next((tag for tag in regional if tag and primary(tag) == language), language)

    async def resolve_style(
        self, request: SpeechRequest, style: Style, own: ResolvedVoice
    ) -> ResolvedVoice | None:
        """Return the voice of an SSML style; None for ``own``, the session's. A later call returns the same.

        What there is not is named in ``unused_ssml``, and spoken by the session's voice.
        """
        key = style.voice, style.language
        if key not in self._styled:
            few = len(self._styled) < MAX_STYLED_VOICES
            self._styled[key] = await self._find_styled(request, style, own) if few else None
        return self._styled[key]

    def styled(self, style: Style) -> ResolvedVoice | None:
        """Return what ``resolve_style`` has returned; None before."""
        return self._styled.get((style.voice, style.language))

    async def _find_styled(
        self, request: SpeechRequest, style: Style, own: ResolvedVoice
    ) -> ResolvedVoice | None:
        language = style.language
        if style.voice is not None:
            try:
                # A stored voice is in a file, or farther away.
                return await asyncio.to_thread(self.by_name, style.voice, language)
            except (InvalidRequest, StoreUnavailable):
                self.note_unused("ssml.voice")
        if language is None or language == own.language:
            return None
        try:
            return self.by_language(request, language)
        except InvalidRequest:
            self.note_unused("ssml.lang")
            return None

    def note_unused(self, name: str) -> None:
        if name not in self.unused_ssml:
            self.unused_ssml.append(name)
