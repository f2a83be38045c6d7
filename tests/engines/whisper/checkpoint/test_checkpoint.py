"""Checkpoints of every kind: found, fetched, refused, judged by CTranslate2 and faster-whisper, and timed."""

import asyncio
import json
import math
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import tokenizers
from faster_whisper.tokenizer import Tokenizer

from kani.core.errors import EngineUnavailable
from kani.core.recognizer import RecognizedWord, Step
from kani.core.transcriber import TranscriptionOptions
from kani.engines.whisper.checkpoint.contents import read_contents
from kani.engines.whisper.checkpoint.finding import BASE, find_checkpoint
from kani.engines.whisper.checkpoint.layout import Layout
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.likely_languages import LANGUAGES
from kani.engines.whisper.model import Whisper
from kani.runtime.errors import CheckpointError
from kani.runtime.recognition import live_delay
from kani.runtime.recognition.local_agreement import HypothesisWord
from tests.engines.packages import life
from tests.engines.whisper.checkpoint.random_checkpoint import (
    KINDS,
    MELS,
    Kind,
    base_as_folder,
    random_checkpoint,
    tokenizer_of,
)
from tests.engines.whisper.conftest import RATE, Said, silence
from tests.engines.whisper.test_recordings import pieces
from tests.judges.judge import words_of
from tests.runtime.test_hub import NO_HUB, Hub, use_hub
from tests.runtime.test_hub import hub as hub

Checkpoint = Callable[[Kind], Path]
Broken = bytes | str | Callable[[bytes], bytes] | None


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Return the folder of a checkpoint; no test may change it."""

    @cache
    def made(kind: Kind) -> Path:
        return random_checkpoint(tmp_path_factory.mktemp("whisper") / f"whisper-{kind}", kind)

    return made


def find(model: str, folder: Path, *, may_fetch: bool = False) -> Path:
    return find_checkpoint(
        model, models_dir=folder / "models", cache_dir=folder / "cache", may_fetch=may_fetch
    )


def test_folder_comes_first_then_the_models_folder(tmp_path: Path) -> None:
    own, kept = tmp_path / "own", tmp_path / "models" / "faster-whisper-small"
    own.mkdir()
    kept.mkdir(parents=True)
    assert find(str(own), tmp_path) == own
    for name in ("Systran/faster-whisper-small", "Systran/faster-whisper-small@v1", "faster-whisper-small"):
        assert find(name, tmp_path) == kept
    for name in ("/nowhere/whisper", "a/b/c"):
        with pytest.raises(CheckpointError, match=r"neither a local path nor .* on a hub \(OWNER/NAME\)"):
            find(name, tmp_path, may_fetch=True)
    # Before the start.
    with pytest.raises(EngineUnavailable, match=r"^KANI_RECOGNIZER_MODEL: 'large' is neither a folder nor"):
        WhisperRecognizer(models_dir=None, cache_dir=tmp_path, model="large")


def test_checkpoint_of_a_hub_is_fetched_once(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub.files = dict.fromkeys((MODEL, CONFIG, VOCABULARY, TOKENIZER, "README.md"), b"content")
    folder = find(hub.repository, tmp_path, may_fetch=True)
    assert {path.name for path in folder.iterdir()} == hub.files.keys() - {"README.md"}
    assert "licence: an-open-licence" in caplog.text
    use_hub(monkeypatch, NO_HUB)
    assert find(hub.repository, tmp_path) == folder


@pytest.fixture
def broken(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(checkpoint("multilingual"), tmp_path / "whisper-tiny"))


def as_json(edit: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps(edit(json.loads(content))).encode()


def other(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(old, new, 1)


MODEL, CONFIG, VOCABULARY, TOKENIZER = "model.bin", "config.json", "vocabulary.json", "tokenizer.json"
# A file's content, None where it is gone, what becomes of it, or another name for it.
BROKEN: list[tuple[str, Broken, str]] = [
    (MODEL, None, r"has no model\.bin: a checkpoint in CTranslate2's format has it"),
    (CONFIG, None, r"has no config\.json"),
    (TOKENIZER, None, r"has no tokenizer\.json: copy it from the model .*--copy_files tokenizer\.json"),
    (VOCABULARY, None, r"has no vocabulary\.json or vocabulary\.txt"),
    (MODEL, lambda content: content[:-500], r"model\.bin is cut off: fetch it again"),
    (MODEL, b"", r"model\.bin is cut off"),
    (MODEL, b"\x05" + b"\0" * 99, r"has the version 5 of CTranslate2's format, not 6: convert it"),
    (MODEL, other(b"WhisperSpec", b"WhisperSpoc"), "is a 'WhisperSpoc', not a W"),
    (MODEL, other(b"/conv1/w", b"/conv9/w"), "no encoder/conv1/weight with 3 dim"),
    (VOCABULARY, as_json(lambda tokens: tokens[:-1]), r"has 51864 tokens, model\.bin 51865"),
    (
        VOCABULARY,
        as_json(lambda tokens: [tokens[0], tokens[2], tokens[1], *tokens[3:]]),
        r"token 1 is .* in tokenizer\.json and .* in vocabulary\.json",
    ),
    (VOCABULARY, as_json(lambda tokens: {"tokens": tokens}), r"is not a list of tokens"),
    (VOCABULARY, b"[", r"vocabulary\.json cannot be read"),
    (TOKENIZER, b"{}", r"tokenizer\.json is not a tokenizer"),
    (CONFIG, b"[]", r"config\.json is not a JSON object"),
    (CONFIG, b'{"alignment_heads": [[7, 0]]}', r"alignment_heads has \[7, 0\]; .* 2 l"),
    (CONFIG, b'{"suppress_ids": [99999]}', r"suppress_ids has 99999, no token"),
    (CONFIG, b'{"lang_ids": 5}', r"lang_ids is not a list"),
    (
        TOKENIZER,
        lambda _: json.dumps(tokenizer_of("english")).encode(),
        r"the token <\|startoftranscript\|> is number 50257 .* and 50258",
    ),
    (MODEL, "model.safetensors", r"has no model\.bin: it holds a model of transformers.*ct2-transformers"),
]


@pytest.mark.heard
@pytest.mark.parametrize(("name", "content", "complaint"), BROKEN, ids=range(len(BROKEN)))
def test_broken_checkpoint_is_refused(broken: Path, name: str, content: Broken, complaint: str) -> None:
    file = broken / name
    if content is None:
        file.unlink()
    elif isinstance(content, str):
        file.rename(broken / content)
    else:
        file.write_bytes(content if isinstance(content, bytes) else content(file.read_bytes()))
    with pytest.raises(CheckpointError, match=complaint):
        read_contents(broken)


@pytest.mark.heard
async def test_vocabulary_may_be_a_text_and_files_of_the_cache_have_their_sha256(broken: Path) -> None:
    (broken / VOCABULARY).unlink()
    shutil.copyfile(BASE / "vocabulary.txt", broken / "vocabulary.txt")
    contents = read_contents(broken)
    assert contents.layout == Layout(tokens=51_865, mels=80, width=32, layers=2, heads=2)
    assert contents.files[MODEL] == broken / MODEL
    content = broken / ("0" * 64)
    (broken / MODEL).rename(content)
    (broken / MODEL).symlink_to(content)
    with pytest.raises(CheckpointError, match=r"model\.bin fails its SHA-256"):
        read_contents(broken)
    (broken / TOKENIZER).unlink()
    recognizer = WhisperRecognizer(models_dir=None, cache_dir=broken, model=str(broken))
    with pytest.raises(
        EngineUnavailable, match=r"^KANI_RECOGNIZER_MODEL: .*whisper-tiny has no tokenizer.json"
    ):
        await recognizer.start()


SECONDS = 3.0
LANGUAGES_OF: dict[Kind, set[str]] = {
    "multilingual": {*LANGUAGES},
    "large-v3": {*LANGUAGES, "yue"},
    "english": {"en"},
}


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture(scope="module")
def whisper(checkpoint: Checkpoint, kind: Kind) -> Whisper:
    return Whisper(read_contents(checkpoint(kind)).files, 1)


def started(folder: Path, cache: Path) -> AbstractAsyncContextManager[WhisperRecognizer]:
    made = WhisperRecognizer(models_dir=None, cache_dir=cache, model=str(folder))
    assert made.info.languages == frozenset()
    return life.started(made)


@pytest.mark.heard
def test_prompt_is_that_of_faster_whisper(checkpoint: Checkpoint, kind: Kind, whisper: Whisper) -> None:
    assert {*whisper.languages} == LANGUAGES_OF[kind]
    read = tokenizers.Tokenizer.from_file(str(checkpoint(kind) / TOKENIZER))
    for task in ("transcribe", "translate"):
        judge = Tokenizer(read, whisper.languages != ("en",), task=task, language="en")
        prompt = whisper.prompt("Zandrell, Tolliwen.", "en", translate=task == "translate")
        begin = prompt.index(judge.sot)
        assert prompt[begin:] == list(judge.sot_sequence)
        assert read.decode(prompt[2:begin]) == " Zandrell, Tolliwen." and prompt[0] == judge.sot_prev
    # Expected words stay within the model's context.
    many = ", ".join(f"Zandrell {number}" for number in range(2_000))
    before = whisper.tokens_before(many)
    assert len(before) == 220 and whisper.text_of(before).endswith("Zandrell 1999")
    assert len(whisper.prompt(many, "en", translate=False)) <= 448 - 224 + 2


@pytest.mark.heard
def test_answer_is_that_of_the_plain_model(checkpoint: Checkpoint, kind: Kind, whisper: Whisper) -> None:
    """The exchange of two tokens' names changes no answer, and no time, whatever precedes it."""
    plain = ctranslate2.models.Whisper(
        str(checkpoint(kind)), device="cpu", compute_type="int8", intra_threads=1
    )
    assert plain.n_mels == MELS[kind]
    noise = np.random.default_rng(3).normal(0.0, 0.1, round(SECONDS * RATE)).astype(np.float32)
    encoded, before = whisper.encode(noise), "Zandrell, Tolliwen."
    prompt = [*whisper.prompt(before, "en", translate=False), whisper._special.no_timestamps]
    found = whisper.generate(encoded, "en", (), 12, 1, whisper.tokens_before(before))
    never = whisper._never("en", latin=True)
    (answer,) = plain.generate(
        encoded, [prompt], beam_size=1, max_length=12 + len(prompt), suppress_tokens=never
    )
    end = 50_256 if kind == "english" else 50_257
    assert found and found == [token for token in answer.sequences_ids[0] if token < end]
    if kind == "english":
        words = [HypothesisWord("a", (11,)), HypothesisWord("b", (12, 13))]
        timed, probability = whisper.align(encoded, "en", (), words, SECONDS)
        assert [one.word for one in timed] == words and probability < 0
        assert 0 <= timed[0].start_s <= timed[0].end_s <= timed[1].end_s <= SECONDS


@pytest.fixture
def fast_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else the machine does, live speech is recognised."""
    monkeypatch.setattr(live_delay, "LONGEST_S", math.inf)


@pytest.mark.heard
@pytest.mark.usefixtures("fast_enough")
async def test_random_checkpoint_listens_and_transcribes(
    checkpoint: Checkpoint,
    kind: Kind,
    tmp_path: Path,
    said: dict[str, Said],
    caplog: pytest.LogCaptureFixture,
) -> None:
    speech = said["en"].samples
    async with started(checkpoint(kind), tmp_path) as made:
        assert made.info.languages == LANGUAGES_OF[kind] and made.info.version == f"whisper-{kind} int8"
        delay_s = made.info.live_delay_s
        assert delay_s is not None and delay_s > 0.2 and not made.info.recordings_only
        assert f"live words come about {delay_s:.1f} s after they are said" in caplog.text
        events = [event async for event in made.recognize(pieces(speech, silence(1)), None)]
        assert sum(isinstance(event, Step) for event in events) == (len(speech) + RATE) // 1280
        found = [one async for one in made.transcribe(pieces(speech), TranscriptionOptions())]
        assert all(one.language in LANGUAGES_OF[kind] for one in found)


@pytest.mark.heard
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.usefixtures("fast_enough")
async def test_base_from_a_folder_hears_the_same_words(
    recognizer: WhisperRecognizer, said: dict[str, Said], tmp_path: Path
) -> None:
    async with started(base_as_folder(tmp_path / "whisper-base"), tmp_path) as made:
        assert made.info.languages == recognizer.info.languages
        for language, one in said.items():
            audio, both = (silence(0.3), one.samples, silence(1)), (recognizer, made)
            heard = [[event async for event in each.recognize(pieces(*audio), language)] for each in both]
            assert heard[0] == heard[1]
            words = " ".join(event.text for event in heard[1] if isinstance(event, RecognizedWord))
            assert words_of(words, language) == words_of(one.text, language)


def test_delay_grows_with_the_time_of_a_pass_and_slow_cores_share_it() -> None:
    # The audio after a word, the rest of the pass before, and the pass; never more than 6.7 passes a second.
    assert live_delay.delay_s(0.2) == pytest.approx(0.2 + 0.1 + 0.2)
    assert live_delay.delay_s(0.01) == pytest.approx(0.2 + 0.075 + 0.01)
    assert live_delay.delay_s(1.2) == pytest.approx(live_delay.LONGEST_S)
    assert live_delay.cores_needed(0.2) == live_delay.cores_needed(1.19) == 1
    assert live_delay.cores_needed(1.3) == 3 and live_delay.cores_needed(4.8) == 8


@pytest.mark.heard
async def test_slow_machine_gives_a_pass_all_cores_or_serves_recordings_only(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    monkeypatch.setattr(live_delay, "cores_needed", lambda pass_s: 2)
    async with started(checkpoint("multilingual"), tmp_path) as made:
        assert made._whisper._model.num_workers == made._workers == made._scheduler._free == 2
        live = (made.recognize(pieces(silence(1)), "en") for _ in range(3))
        assert len(await asyncio.gather(*map(anext, live))) == 3
    # Half of what the audio after a word takes: every model is too slow.
    monkeypatch.setattr(live_delay, "LONGEST_S", 0.1)
    monkeypatch.setattr(live_delay, "cores_needed", lambda pass_s: 1)
    reason = (
        r"whisper-multilingual is too slow on this machine for live speech .* KANI_RECOGNIZER_MODEL to a sm"
    )
    async with started(checkpoint("multilingual"), tmp_path) as made:
        with pytest.raises(EngineUnavailable, match=reason):
            await anext(made.recognize(pieces(silence(1)), "en"))
        assert "too slow on this machine" in caplog.text
        recording = made.transcribe(pieces(silence(1)), TranscriptionOptions("en"))
        assert [one async for one in recording] == []
