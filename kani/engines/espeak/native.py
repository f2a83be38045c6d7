"""Binding of the espeak-ng C library in this process, for a single thread.

Source: the public interface of espeak-ng 1.52 (``speak_lib.h``). The library keeps its state in globals,
crashes when two threads use it at once, and crashes at some texts: ``kani.engines.espeak.worker`` runs this
module in a process of its own. SSML and ``[[phoneme]]`` input are off: markup is spoken as text.
"""

import ctypes
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import espeakng_loader

from kani.core.errors import EngineUnavailable

DEFAULT_RATE = 175
"""espeak-ng's default rate, in words a minute."""

CALLBACK_MS = 60
"""Length of the audio of one callback, in milliseconds."""

_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_PHONEME_EVENTS, _INITIALIZE_PHONEME_IPA, _INITIALIZE_DONT_EXIT = 0x01, 0x02, 0x8000
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_PHONEMES_IPA = 0x02
_PHONEMES_TIE = 0x80
_RATE, _PITCH, _PITCH_RANGE = 1, 3, 4
_EVENT_END_OF_LIST, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
# espeak-ng keeps the path of its data in a buffer of this many bytes and refuses a longer one.
_LONGEST_DATA_PATH = 159
_LANGUAGE_SWITCH = re.compile(r"\([a-z]{2,3}(?:-[a-z0-9-]+)?\)")


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class EspeakVoice(NamedTuple):
    name: str  # as the library takes it, in lower case (``es-419``)
    language_name: str  # in English
    language: str  # BCP 47 tag as the data spells it, in lower case (``cmn``, ``en-gb-x-rp``)


class WordEvent(NamedTuple):
    """Start of a word, as the library reports it."""

    position: int  # 1-based code point in the text, as the library counts
    length: int  # in code points; 0 where the library does not know, 31 at most
    sample: int  # start in the audio


class PhonemeEvent(NamedTuple):
    """Start of a phoneme, as the library reports it."""

    position: int  # of its word's event
    sample: int  # start in the audio; of a plosive the end of its closure


class SynthesisParameters(NamedTuple):
    rate: int = DEFAULT_RATE  # words a minute, 80–450; the library clamps other values
    pitch: int = 50  # 0–100, 50 is the voice's own
    pitch_range: int = 50  # 0–100, 50 is the voice's own


OnAudio = Callable[[bytes, Sequence[WordEvent], Sequence[PhonemeEvent]], bool]


def clean_text(text: str) -> str:
    """Replace each character that C or espeak-ng cannot handle by a space, so that positions stay valid.

    These are NUL and other control characters, lone surrogates, unassigned and private code points.
    """
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Cn", "Co") else c for c in text)


class NativeEspeak:
    """espeak-ng; one instance a process. Raises EngineUnavailable when the library or its data is missing."""

    def __init__(self) -> None:
        data = Path(espeakng_loader.get_data_path())
        try:
            self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise EngineUnavailable(
                "espeak-ng's library cannot be loaded; reinstall it with "
                "pip install --force-reinstall espeakng-loader"
            ) from error
        self._declare()
        short, self._link = _short_path(data)
        options = _INITIALIZE_PHONEME_EVENTS | _INITIALIZE_PHONEME_IPA | _INITIALIZE_DONT_EXIT
        self.sample_rate: int = self._library.espeak_Initialize(
            _OUTPUT_SYNCHRONOUS, CALLBACK_MS, os.fsencode(short), options
        )
        if self.sample_rate <= 0:
            raise EngineUnavailable(
                "espeak-ng cannot read its data; reinstall it with "
                "pip install --force-reinstall espeakng-loader"
            )
        self.version: str = self._library.espeak_Info(None).decode()
        self.voices = self._list_voices(data)

    def phonemize_all(self, texts: Sequence[str], voice: str, tie: str | None = None) -> list[str]:
        mode = _PHONEMES_IPA
        if tie is not None:
            mode |= _PHONEMES_TIE | ord(tie) << 8
        self._set_voice(voice)
        return [self._phonemize(text, mode) for text in texts]

    def _phonemize(self, text: str, mode: int) -> str:
        source = ctypes.create_string_buffer(clean_text(text).encode())
        at = ctypes.c_void_p(ctypes.addressof(source))
        clauses = []
        while at.value is not None:
            found = self._library.espeak_TextToPhonemes(ctypes.byref(at), _CHARS_UTF8, mode)
            clauses.append((found or b"").decode(errors="replace"))
        return " ".join(_LANGUAGE_SWITCH.sub("", " ".join(clauses)).split())

    def synthesize(self, text: str, voice: str, parameters: SynthesisParameters, on_audio: OnAudio) -> bool:
        """Speak ``text``; returns whether it was spoken to its end.

        ``on_audio`` is called for every 60 ms with signed 16-bit mono samples in the machine's byte order,
        and the words and phonemes that begin in or after them. The work ends at once when it returns False
        or raises; its error is raised here.
        """
        failure: BaseException | None = None
        stopped = False

        def callback(wave: Any, count: int, events: Any) -> int:
            nonlocal failure, stopped
            # An exception cannot pass through C: it is kept, and raised when C has returned.
            try:
                pcm = ctypes.string_at(wave, count * 2) if wave and count > 0 else b""
                stopped = not on_audio(pcm, *_parse_events(events))
            except BaseException as error:
                failure = error
                stopped = True
            return int(stopped)

        source = clean_text(text).encode()
        c_callback = _Callback(callback)
        self._set_voice(voice)
        for parameter, value in (
            (_RATE, parameters.rate),
            (_PITCH, parameters.pitch),
            (_PITCH_RANGE, parameters.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        self._library.espeak_SetSynthCallback(c_callback)
        status = self._library.espeak_Synth(
            source, len(source) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        if failure is not None:
            raise failure
        return status == 0 and not stopped

    def _set_voice(self, name: str) -> None:
        self._library.espeak_SetVoiceByName(name.encode())

    def _declare(self) -> None:
        number, text, pointer = ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
        flags = ctypes.c_uint
        for name, result, *arguments in (
            ("Initialize", number, number, number, text, number),
            ("Info", text, pointer),
            ("ListVoices", ctypes.POINTER(ctypes.POINTER(_Voice)), pointer),
            ("SetVoiceByName", number, text),
            ("SetParameter", number, number, number, number),
            ("SetSynthCallback", None, _Callback),
            ("Synth", number, text, ctypes.c_size_t, flags, number, flags, flags, pointer, pointer),
            ("TextToPhonemes", text, ctypes.POINTER(pointer), number, number),
        ):
            function = getattr(self._library, f"espeak_{name}")
            function.restype, function.argtypes = result, arguments

    def _list_voices(self, data: Path) -> tuple[EspeakVoice, ...]:
        voices = []
        listed = self._library.espeak_ListVoices(None)
        index = 0
        while listed[index]:
            voice = listed[index].contents
            index += 1
            identifier = voice.identifier.decode()
            name = identifier.rpartition("/")[2].lower()
            # The data lists a few voices that cannot speak, as it lacks their dictionary.
            if (data / f"{_dictionary(data / 'lang' / identifier, name)}_dict").exists():
                # The list of languages: a byte of priority, then a NUL-terminated tag, and so on.
                language = ctypes.string_at(voice.languages + 1).decode().lower()
                voices.append(EspeakVoice(name, voice.name.decode().strip(), language))
        return tuple(voices)


def _parse_events(events: Any) -> tuple[list[WordEvent], list[PhonemeEvent]]:
    words, phonemes = [], []
    index = 0
    while events[index].type != _EVENT_END_OF_LIST:
        event = events[index]
        if event.type == _EVENT_WORD:
            words.append(WordEvent(event.text_position, event.length, event.sample))
        elif event.type == _EVENT_PHONEME and event.id.string:
            # An event without a name is a pause, or the join of two words.
            phonemes.append(PhonemeEvent(event.text_position, event.sample))
        index += 1
    return words, phonemes


def _dictionary(voice_file: Path, name: str) -> str:
    """Return the dictionary that a voice file names, or else its language's first subtag."""
    for line in voice_file.read_text(encoding="utf-8").splitlines():
        word, _, value = line.partition(" ")
        if word == "dictionary":
            return value.partition("//")[0].strip()
    return name.partition("-")[0]


def _short_path(data: Path) -> tuple[Path, tempfile.TemporaryDirectory[str] | None]:
    """Return a path to ``data`` that fits espeak-ng's buffer: itself, or a link in a temporary folder."""
    if len(os.fsencode(data)) <= _LONGEST_DATA_PATH:
        return data, None
    folder = tempfile.TemporaryDirectory(prefix="espeak-")
    link = Path(folder.name, "espeak-ng-data")
    link.symlink_to(data, target_is_directory=True)
    return link, folder
