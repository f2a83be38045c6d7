"""Private speech: a server for many protocols, and this library.

    from kani import Recognizer, Speech

    with Speech() as speech:
        speech.say("Hola, ¿qué tal?").save("hola.wav")

Nothing is loaded before a name is used: ``import kani`` takes milliseconds. Every Python from 3.8 on can
import this module, so that the programs can say which one they need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import kani.no_telemetry  # noqa: F401 - before any library that reports

if TYPE_CHECKING:
    __version__: str
    from kani.core.errors import (
        EngineFailed,
        EngineUnavailable,
        InvalidRequest,
        SpeechError,
        TimedOut,
        UnknownVoice,
        UnsupportedLanguage,
    )
    from kani.core.recognizer import RecognizedWord
    from kani.core.types import Span, SpeechChunk, Voice
    from kani.library.asynchronous import AsyncRecognizer, AsyncSpeech
    from kani.library.blocking import Conversation, Recognizer, Speech
    from kani.library.conversation import AsyncConversation
    from kani.library.results import (
        Aligned,
        AlignedWord,
        Answered,
        Audio,
        Heard,
        Interrupted,
        NoAnswer,
        Transcript,
        Turn,
        Word,
    )

__all__ = [
    "Aligned",
    "AlignedWord",
    "Answered",
    "AsyncConversation",
    "AsyncRecognizer",
    "AsyncSpeech",
    "Audio",
    "Conversation",
    "EngineFailed",
    "EngineUnavailable",
    "Heard",
    "Interrupted",
    "InvalidRequest",
    "NoAnswer",
    "RecognizedWord",
    "Recognizer",
    "Span",
    "Speech",
    "SpeechChunk",
    "SpeechError",
    "TimedOut",
    "Transcript",
    "Turn",
    "UnknownVoice",
    "UnsupportedLanguage",
    "Voice",
    "Word",
]

_HOMES = {
    "kani.core.errors": (
        *("EngineFailed", "EngineUnavailable", "InvalidRequest", "SpeechError", "TimedOut"),
        *("UnknownVoice", "UnsupportedLanguage"),
    ),
    "kani.core.recognizer": ("RecognizedWord",),
    "kani.core.types": ("Span", "SpeechChunk", "Voice"),
    "kani.library.asynchronous": ("AsyncRecognizer", "AsyncSpeech"),
    "kani.library.blocking": ("Conversation", "Recognizer", "Speech"),
    "kani.library.conversation": ("AsyncConversation",),
    "kani.library.results": (
        *("Aligned", "AlignedWord", "Answered", "Audio", "Heard", "Interrupted"),
        *("NoAnswer", "Transcript", "Turn", "Word"),
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("websocket_config").VERSION
    if name not in _HOME_OF:
        raise AttributeError("module 'kani' has no attribute {!r}".format(name))  # noqa: UP032
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF, "__version__"])
