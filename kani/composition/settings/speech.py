"""Settings of engines and recognisers: which speak and hear here, with which models, on which device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import SecretStr

import websocket_config as config
from kani.composition.settings.conversation import ConversationSettings
from kani.composition.settings.types import Engine, Language, Precision, Pythons, Recognizer, WorkerAddresses
from kani.engines.plugin_settings import LOWER, setting

SPEECH = "Speech"
KANI = "The Kani model"


class SpeechSettings(ConversationSettings):
    """Settings of speech, frozen; an unknown name is an error."""

    engine: Engine = setting(
        config.DEFAULT_ENGINE,
        "KANI_ENGINE",
        group=SPEECH,
        about="Engine. `auto` takes the best one that this machine can run for each language; `remote` is "
        "the engine of the workers at KANI_ENGINE_ADDRESS.",
    )
    model: str | None = setting(
        None,
        "KANI_MODEL",
        min_length=1,
        about="Model of that engine: a folder, or a name on a model hub (`OWNER/NAME`, "
        "`OWNER/NAME@REVISION`). Without a revision the one that was fetched first is kept. `kani`, "
        "also as a part of `auto`: config.json, the tokenizer and safetensors (not set: "
        "`nineninesix/kani-tts-370m`, with KANI_LANGUAGE=es `nineninesix/kani-tts-400m-es`). `voxcpm`: of "
        "VoxCPM or VoxCPM2 (`openbmb/VoxCPM2` at a pinned revision, 5 GB). `kyutai`: `kyutai/tts-1.6b-en_fr` "
        "(4.1 GB). `pocket`: a folder with `languages/NAME/` as the hub's repositories have it, with "
        "model.safetensors, tokenizer.json and embeddings/ (the pinned checkpoints of `kyutai/pocket-tts`). "
        "`openai`: a name at KANI_UPSTREAM (the only one that it lists, or `tts-1`). Others have none.",
    )
    engine_voices: str | None = setting(
        None,
        "KANI_ENGINE_VOICES",
        min_length=1,
        accepts="a folder",
        about="Folder of voices for that engine. KaniTTS-2: `NAME.pt` or `NAME.npy`, each of 128 numbers. "
        "`kyutai`: published embeddings of its checkpoint, or, for `kyutai/tts-0.75b-en-public`, recordings; "
        "not set: the embeddings of Unmute's voices are fetched, recordings are not.",
    )
    pythons: Pythons = setting(
        {},
        "KANI_PYTHONS",
        about="Pythons of environments with the packages of `pocket`, `voxcpm`, `kyutai` and `transcribe`, "
        "by these names (`kyutai=moshi/bin/python`, after `python3 -m venv moshi && moshi/bin/pip install -r "
        "requirements/kyutai.txt`). Not set: the environment that `--fetch` makes, if it is there, else the "
        "server's own.",
    )
    engine_process: bool = setting(
        False,
        "KANI_ENGINE_PROCESS",
        about="Run each local engine, and the recogniser, in a process of its own, which is started again "
        "when it crashes ([scale.md](scale.md)).",
    )
    engine_address: WorkerAddresses = setting(
        (),
        "KANI_ENGINE_ADDRESS",
        needs=("KANI_ENGINE=remote",),
        about="Addresses of the workers that `remote` speaks by, separated by commas: `unix:/path` or "
        "`tcp://host:port`. Each segment goes to the least loaded one ([scale.md](scale.md)).",
    )
    engine_key: SecretStr | None = setting(
        None,
        "KANI_ENGINE_KEY",
        about="Key that a worker and its servers share, of 16 characters at least; required for `tcp://`. "
        "Never sent, printed or logged.",
    )
    fallback: Annotated[Literal["none", "kokoro", "espeak"], LOWER] = setting(
        "none",
        "KANI_FALLBACK",
        about="Engine of this machine for a segment that fails, before its first audio, at ElevenLabs "
        "(KANI_ENGINE=elevenlabs) or at another server (`openai`).",
    )
    voice: str | None = setting(
        None,
        "KANI_VOICE",
        min_length=1,
        about="Voice id that replaces the default voice of its own language. Not set: each engine's own "
        "defaults.",
    )
    language: Language | None = setting(
        None,
        "KANI_LANGUAGE",
        about="Language of a text where neither the request, nor the text, nor its voice, nor its client "
        "tells it ([languages.md](languages.md)), in every protocol. Not set: the protocol's own, which is "
        "Spanish for Kani's messages and English for all others. Also that of speech if "
        "the client names none, and the recogniser has several and detects none, as Canary.",
    )
    one_language: bool = setting(
        False,
        "KANI_ONE_LANGUAGE",
        about="Speak quotations and sentences in another language as the text around them, instead of in "
        "their own ([languages.md](languages.md#quotations-in-another-language)).",
    )
    unmarked: bool = setting(
        False,
        "KANI_UNMARKED",
        about="Leave out the mark in files, streams and headers that tells programs that speech is "
        "synthetic ([voices.md](voices.md#marked-as-synthetic)).",
    )
    melody: float = setting(
        1.0,
        "KANI_MELODY",
        ge=0,
        le=1,
        about="Share of the melody of questions, lists and exclamations that requests do not set (`melody`); "
        "0 leaves the voice's own ([kokoro.md](kokoro.md#melody)).",
    )
    threads: int | None = setting(
        None,
        "KANI_THREADS",
        ge=1,
        le=256,
        about="Threads that one segment is computed with. Not set: the engine's own measure (Kokoro: 2; "
        "Kani: one a core). Kokoro's decoder on LiteRT takes one in any case, and a second while it is idle.",
    )
    lexicon: Path | None = setting(
        None,
        "KANI_LEXICON",
        about="Lexicon of pronunciations (docs/lexicon.md): a file, or a folder of files; reloaded when it "
        "changes. Not set: none.",
    )
    recognizer: Recognizer = setting(
        config.DEFAULT_RECOGNIZER,
        "KANI_RECOGNIZER",
        about="Recogniser. `auto` takes the best one that this machine can run; `remote` is the one of the "
        "workers at KANI_RECOGNIZER_ADDRESS; `none` disables recognition.",
    )
    turn_model: Path | None = setting(
        None,
        "KANI_TURN_MODEL",
        about="Network that hears whether a speaker has said all: an ONNX file with the input and output of "
        "smart-turn v3. Not set: smart-turn v3.2.",
    )
    recognizer_address: WorkerAddresses = setting(
        (),
        "KANI_RECOGNIZER_ADDRESS",
        needs=("KANI_RECOGNIZER=remote",),
        about="Addresses of the workers that the recogniser `remote` is at, as those of KANI_ENGINE_ADDRESS, "
        "with the same KANI_ENGINE_KEY. Each stream goes to the worker that has the fewest of this server.",
    )
    recognizer_model: str | None = setting(
        None,
        "KANI_RECOGNIZER_MODEL",
        min_length=1,
        about="Model of the recogniser: a folder, or a name on a model hub, as for KANI_MODEL. `whisper`, "
        "also as that of `auto`: in CTranslate2's format, with model.bin, config.json, tokenizer.json and "
        "vocabulary.json or .txt, such as `Systran/faster-whisper-small` (not set: the embedded base). "
        "`transcribe`, which has no default: a GGUF file of transcribe.cpp, or a repository (its file in "
        "Q8_0 is taken). `kyutai`: config.json, the tokenizer and safetensors (`kyutai/stt-1b-en_fr`). "
        "`openai`: a name at KANI_UPSTREAM (the only one that it lists, or `whisper-1`).",
    )

    device: str = setting(
        config.DEFAULT_DEVICE,
        "KANI_DEVICE",
        "TTS_DEVICE",
        group=KANI,
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        accepts="auto, cpu, cuda, cuda:N or mps",
        about="`auto` is CUDA if there is a CUDA device. It applies to VoxCPM and Kyutai's models, too.",
    )
    precision: Precision = setting(
        config.DEFAULT_PRECISION,
        "KANI_PRECISION",
        about="Precision of its arithmetic. `auto` is bfloat16 on CUDA and int8 on a CPU that can; float32 "
        "is exact. Pocket TTS has float32, and int8 of its language model where torch can; Kyutai's models "
        "have float32 and bfloat16.",
    )
