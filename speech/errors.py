"""What can go wrong between a request and its speech.

One small hierarchy. Dialects translate it into the words of their protocol; ``str(error)`` is
always a sentence fit for a client: it names the field and the limit, never a path or a traceback.
"""


class SpeechError(Exception):
    """Any failure of the speech core that a client may be told about."""


class InvalidRequest(SpeechError):
    """A request that cannot be spoken as it stands.

    ``field`` is the request's field (``text``, ``speed``, ``reference`` …), so that a dialect can
    put its own name for it in front; ``reason`` is the rest of the sentence.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class TextTooLong(InvalidRequest):
    """More text than the limit allows (``limit`` in characters)."""

    def __init__(self, limit: int) -> None:
        super().__init__("text", f"too long (at most {limit} characters)")
        self.limit = limit


class UnknownVoice(InvalidRequest):
    """No voice of that name."""

    def __init__(self, voice: str) -> None:
        super().__init__("voice", f"unknown voice {voice!r}")
        self.voice = voice


class NameTaken(InvalidRequest):
    """A voice cannot be called so: another one is."""

    def __init__(self, name: str) -> None:
        super().__init__("name", f"there is a voice {name!r} already: delete it, or choose another")
        self.name = name


class UnsupportedLanguage(InvalidRequest):
    """A language that no engine at hand speaks, or that nobody knows."""

    def __init__(self, language: str, known: str = "") -> None:
        hint = f" (known: {known})" if known else ""
        super().__init__("language", f"unsupported language {language!r}{hint}")
        self.language = language


class Busy(SpeechError):
    """Too many sessions or waiting syntheses; the client may try again later."""


class RateLimited(Busy):
    """More sessions than one client may open (``limit`` in a minute)."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"too many requests (at most {limit} a minute)")
        self.limit = limit


class TimedOut(SpeechError):
    """The client waited longer than the server's limit (``seconds``) for its speech."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the speech was not ready in time (at most {seconds:g} s)")
        self.seconds = seconds


class EngineFailed(SpeechError):
    """An engine broke while it spoke. The cause is logged, never sent.

    ``told``: whether the engine has logged it already.
    """

    def __init__(self, message: str, *, logged: bool = False) -> None:
        super().__init__(message)
        self.logged = logged


class EngineUnavailable(SpeechError):
    """An engine cannot start here; the sentence holds the reason and the cure."""


class StoreUnavailable(SpeechError):
    """The kept voices cannot be read here; the sentence holds the reason and the cure."""


class SpeechCancelled(SpeechError):
    """The speech was ended by its own client."""

    def __init__(self) -> None:
        super().__init__("cancelled")
