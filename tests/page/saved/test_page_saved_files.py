"""Files that the page writes, run by Node: WAV, subtitles and word times in its languages, and MP4."""

import base64
import io
import itertools
import json
import re
import unicodedata
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from kani.core.audio.pcm import wav
from tests.page.node import run


def test_saved_wav_file_is_as_the_servers() -> None:
    body = "const file = m.wavFile(a[0].map((piece) => Int16Array.from(piece)), 24000);"
    file = bytes(
        run("wav.js", f"{body} return [...new Uint8Array(await file.arrayBuffer())];", [[1, -2], [300]])
    )
    assert file == wav(np.array([1, -2, 300], "<i2").tobytes(), 24_000)


TEXT = 'One <b>, "two" & 3. Four 🎉 five'
SPANS = [
    [0, 3, 0.1, 0.4],
    [9, 14, 0.5, 0.9],
    [15, 16, 0.9, 1.0],
    [17, 19, 1.0, 1.4],
    [20, 24, 2, 2.5],
    [27, 31, 3661, 3661.2],
]
"""Spans of a text with a tag that is not said."""


def test_times_of_words_become_subtitles() -> None:
    srt, vtt, written = run(
        "subtitles.js",
        "const words = m.timedWords(a[0], a[1]); return [m.srt(words), m.vtt(words), m.json(words)];",
        TEXT,
        SPANS,
    )
    assert srt.split("\n\n")[0] == '1\n00:00:00,100 --> 00:00:02,500\nOne, "two" & 3. Four 🎉'
    assert srt.split("\n\n")[1] == "2\n01:01:01,000 --> 01:01:02,000\nfive"
    assert vtt.startswith("WEBVTT\n\n00:00:00.100 --> 00:00:02.500\n") and "&amp; 3" in vtt
    assert json.loads(written)["words"][0] == {"word": "One", "start": 0.1, "end": 0.4}
    assert len(json.loads(written)["words"]) == 5


def test_subtitles_begin_a_turn_with_its_speaker() -> None:
    sentences = [
        {"text": "Ready? I am.", "start": 0, "end": 1.5, "speaker": "A"},
        {"text": "Yes.", "start": 1.6, "end": 2, "speaker": "Ana"},
        {"text": "Go!", "start": 2.1, "end": 2.5, "speaker": "A"},
    ]
    words = [
        [
            *({"word": "Ready", "start": 0, "end": 0.5}, {"word": "I", "start": 1, "end": 1.2}),
            {"word": "am", "start": 1.2, "end": 1.5},
        ],
        [{"word": "Yes", "start": 1.6, "end": 2}],
        [{"word": "Go", "start": 2.1, "end": 2.5}],
    ]
    srt, written = run(
        "subtitles.js",
        "const words = a[0].flatMap((one, n) => m.sentenceWords(one, a[1][n]));"
        "return [m.srt(words), m.json(words)];",
        sentences,
        words,
    )
    assert [cue.split("\n", 2)[2] for cue in srt.strip().split("\n\n")] == [
        *("A: Ready? I am.", "Ana: Yes.", "A: Go!")
    ]
    assert [word["speaker"] for word in json.loads(written)["words"]] == [*"AAA", "Ana", "A"]


SUBTITLED = {
    "ar": (
        "مرحبا بكم جميعا في مدينتنا القديمة، حيث تلتقي الجبال بالبحر.| هل تريدون أن تزوروا السوق، أم"
        " المتحف الكبير؟",
        "وصل د. سامي متأخرا؛ قال: «القطار تأخر ٤٥ دقيقة!»| ثم جلس، وشرب الشاي…| كم الساعة الآن؟",
    ),
    "en": (
        "Hello there, this is a file that somebody wants to keep for ever and ever.| It cost $25.50 "
        'in 2024!| Was it "worth it" (or not)?| Yes.| Mr. Smith, who lives near the harbour in an old '
        "house with a green door, thinks so; his daughter, however, does not agree with him at all.",
        "Pi is about 3.14159, e.g. at school; see www.example.org/pi for more digits.| Dr. J. R. Jones of "
        'the U.S. Navy said: "It is 22/7!"| Nobody laughed…| Why not?!',
        "First line without an end\n\n- one, two\n- three & four (bold).| *Done*, at 9:30 a.m. on "
        "Monday – or so they say.| \"Really?\"| 'Really.'",
        "Thank you all for coming tonight to this small hall in the middle of the winter to hear about "
        "something that none of us had expected to see again in our lives and that changes everything",
    ),
    "es": (
        "¿Qué tal, «Ana»?| ¡Hoy hace un día estupendo!| Esta tarde, si no llueve, iremos con los "
        "niños al parque que está detrás de la estación; después cenaremos en casa.",
        "La Sra. Gómez pagó 1.250,50 € el 3/4/2024.| —¿Cuánto? —preguntó él—.| ¡¡Una barbaridad!!| Sí.",
        "El vuelo sale a las 7:05 p. m. desde la puerta B12 (terminal 4).| «No lleguen tarde», dijo el "
        "capitán.| Nadie respondió; llovía, hacía frío, y aún faltaban tres horas de viaje.",
    ),
    "fr": (
        "Bonjour à tous !| Est-ce que vous avez bien dormi ?| Le train de 7 h 30, qui vient de Lyon, "
        "n'arrivera pas avant midi : il y a des travaux « importants » sur la ligne, paraît-il…",
        "M. Dupont et Mme Martin l'ont dit : « C'est fini ! »| Jusqu'à aujourd'hui, on payait 12,50 € ; "
        "désormais, ce sera 15 €.| Qu'en pensez-vous ?",
    ),
    "hi": (
        "नमस्ते दोस्तों, आज मौसम बहुत अच्छा है।| क्या आप हमारे साथ नदी के किनारे वाले पुराने मंदिर "
        "तक चलेंगे, या घर पर ही रहेंगे?| जल्दी बताइए!",
        'डॉ. शर्मा ने कहा: "आपको आराम की ज़रूरत है।"| दवा की कीमत ₹250.50 है, और दिन में 2 बार लेनी है!| ठीक है?',
    ),
    "ja": (
        "おはようございます。|今日は天気がとても良いので、駅の近くの大きな公園まで一緒に歩きませんか"
        "？|「はい」と言ってください！",
        "彼は「もう帰ろう。」と言った。|本当に？|2024年4月3日の午後7時5分に、東京駅の前で、三人の友達"
        "と待ち合わせをしました。",
    ),
    "pt": (
        "Olá, bom dia!| O comboio das 9h15, que vem do Porto, chega hoje com quarenta minutos de "
        "atraso; quem quiser pode esperar no café (é muito bom) ao lado da estação.",
        "O Sr. Silva disse: “Custa R$ 1.250,50!”| A Dra. Ana não acreditou…| Será verdade?| Não.",
    ),
    "zh": (
        "你好，世界。|今天天气很好，我们一起去公园散步吧！|这句话很长很长，因为我们想知道字幕在没有空"
        "格的文字里会在哪里换行，以及它是否会在逗号之后结束。",
        "他说：“我不去。”|为什么？|因为票价是25.5元，太贵了！",
        "会议在2024年3月4日上午9:30开始；请带上电脑、护照和《用户手册》。|谢谢大家……|再见！",
    ),
}
"""Twenty texts by language; a bar marks where a sentence ends before another one."""

UNSPACED = ("ja", "zh")
WIDEST, LONGEST_S = 42, 7


def spans_of(text: str, language: str) -> list[tuple[int, int, float, float]]:
    """Spans of the words without the marks beside them, as the server sends them; 12 characters a second."""
    spans = []
    begin = 0
    for at in range(len(text) + 1):
        if at < len(text) and not text[at].isspace() and language not in UNSPACED:
            continue
        marked = text[begin:at] if language not in UNSPACED else text[at : at + 1]
        begin = begin if language not in UNSPACED else at
        letters = [n for n, char in enumerate(marked) if unicodedata.category(char)[0] in "LNSM"]
        if letters:
            start, end = begin + letters[0], begin + letters[-1] + 1
            spans.append((start, end, round(start / 12, 3), round(end / 12, 3)))
        begin = at + 1
    return spans


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


@pytest.mark.parametrize("language", SUBTITLED)
def test_subtitles_keep_the_marks_and_end_with_sentences(language: str) -> None:
    texts = [marked.replace("|", "") for marked in SUBTITLED[language]]
    spans = [spans_of(text, language) for text in texts]
    files = run("subtitles.js", "return a[0].map((t, n) => m.srt(m.timedWords(t, a[1][n])));", texts, spans)
    for marked, srt in zip(SUBTITLED[language], files, strict=True):
        cues = [block.split("\n")[1:] for block in srt.removesuffix("\n\n").split("\n\n")]
        for times, *lines in cues:
            begin, end = map(seconds, times.split(" --> "))
            assert 0 < end - begin <= LONGEST_S
            assert len(lines) <= 2 and max(map(columns, lines)) <= WIDEST
            assert language in UNSPACED or len(" ".join(lines).split()) > 1, lines
        shown = ["".join(lines) for _, *lines in cues]
        assert "".join("".join(shown).split()) == "".join(marked.replace("|", "").split())
        # A sentence of one word is no cue by itself.
        assert sentence_ends(marked, language) <= cue_ends(shown)
        assert not [cue for cue in shown if re.search(TITLES, cue)]


TITLES = r"\b(?:Mr|Dr|[JR]|U\.S|Sra?|Dra|M|Mme|डॉ|د)\.$"
"""The end of a cue within a sentence, behind what is written with a full stop."""


def sentence_ends(marked: str, language: str) -> set[int]:
    """Places, without white space, of the ends of sentences that have to end a cue."""
    parts = marked.split("|")
    places = itertools.accumulate(len("".join(part.split())) for part in parts)
    single = [language not in UNSPACED and len(part.split()) == 1 for part in parts]
    return {at for at, one, next_one in zip(places, single, single[1:], strict=False) if not one | next_one}


def cue_ends(shown: list[str]) -> set[int]:
    """Places, without white space, where a cue ends."""
    return {*itertools.accumulate(len("".join(cue.split())) for cue in shown)}


def test_cues_are_divided_behind_a_clause_near_their_middle() -> None:
    text = SUBTITLED["en"][0].replace("|", "")
    body = "return m.srt(m.timedWords(a[0], a[1]));"
    srt = run("subtitles.js", body, text, spans_of(text, "en"))
    assert [" / ".join(block.split("\n")[2:]) for block in srt.split("\n\n")[:-1]] == [
        "Hello there, this is a file that / somebody wants to keep for ever and ever.",
        "It cost $25.50 in 2024!",
        'Was it "worth it" (or not)?',
        "Yes. Mr. Smith, who lives near the / harbour in an old house with a green door,",
        "thinks so; his daughter, however, / does not agree with him at all.",
    ]


def test_a_sentence_begins_where_none_goes_on() -> None:
    sentences = [
        "One\n",
        "\n",
        "Mr. Smith met J. R. Brown. ",
        "“Stop!” he said. ",
        "It cost approx. ten. ",
        "「はい。」と言う。",
        "你好。",
        "Yes.",
    ]
    text = "".join(sentences)
    found = run("sentences.js", "return [...a[0]].map((_, at) => m.sentenceAt(a[0], at));", text)
    starts = [0, *itertools.accumulate(len(sentence) for sentence in sentences)]
    assert sorted(set(found)) == starts[:-1]
    assert found[text.index("Brown")] == text.index("Mr.")


def test_words_of_a_recognised_sentence_get_their_marks_back() -> None:
    sentence = {"text": "Hello, world: it's 5%, isn't it?", "start": 1, "end": 3, "glued": True}
    heard = [
        (" Hello", 1, 1.4),
        ("world", 1.4, 2),
        ("it's", 2, 2.2),
        ("5", 2.2, 2.4),
        ("isn't", 2.4, 2.7),
        ("it", 2.7, 3),
    ]
    words = [{"word": word, "start": start, "end": end} for word, start, end in heard]
    found = run("subtitles.js", "return m.sentenceWords(a[0], a[1]);", sentence, words)
    assert [word["text"] for word in found] == ["Hello,", "world:", "it's", "5%,", "isn't", "it?"]
    assert [word["word"] for word in found] == ["Hello", "world", "it's", "5", "isn't", "it"]
    assert found[0]["glued"] and found[-1]["end"] == 3
    assert run("subtitles.js", "return m.sentenceWords(a[0]);", sentence) == [sentence]


@pytest.mark.parametrize(
    ("text", "spans", "shown"),
    [
        pytest.param("你好世界", [[0, 2, 0, 0.5], [2, 4, 0.5, 1]], "你好世界", id="no spaces"),
        pytest.param(
            "[voice:af_heart] Hello [pause:0.5s] Ana.",
            [[17, 22, 0, 0.5], [36, 39, 1, 1.5]],
            "Hello Ana.",
            id="marks of the page",
        ),
        pytest.param("approx. ten", [[0, 6, 0, 0.5], [8, 11, 0.5, 1]], "approx. ten", id="no end"),
        pytest.param("… !", [], "", id="nothing said"),
    ],
)
def test_text_of_a_cue(text: str, spans: list[list[float]], shown: str) -> None:
    srt = run("subtitles.js", "return m.srt(m.timedWords(a[0], a[1]));", text, spans)
    assert "\n".join(srt.split("\n")[2:]).strip() == shown


WIDTH, HEIGHT, RATE = 320, 180, 48_000
SHOWN_AT = (0, 3, 4, 30)
"""Frames of a thirtieth of a second: the picture stands still between them."""
SECONDS = 1.5
BT709 = 1

BODY = """
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
for (const track of [a[0].pictures, a[0].sound]) {
  track.config.description &&= bytes(track.config.description);
  for (const sample of track.samples) sample.data = bytes(sample.data);
}
return Buffer.from(await m.mp4(a[0]).arrayBuffer()).toString("base64");
"""


def packed(data: bytes) -> str:
    return base64.b64encode(data).decode()


def track(frames: list[Any], name: str, encoder: dict[str, Any], container: str) -> dict[str, Any]:
    """Encode frames; what WebCodecs would give to the page: the samples and the description."""
    file = io.BytesIO()
    with av.open(file, "w", container) as made:
        stream = made.add_stream(name, **encoder)
        for frame in [*frames, None]:
            made.mux(stream.encode(frame))
    file.seek(0)
    with av.open(file) as made:
        stream = made.streams[0]
        samples = [
            {
                "at": round(1e6 * packet.pts * packet.time_base),
                "key": packet.is_keyframe,
                "data": packed(bytes(packet)),
            }
            for packet in made.demux(stream)
            if packet.size
        ]
        first = samples[0]["at"]
        samples = [{**sample, "at": sample["at"] - first} for sample in samples]
        return {"samples": samples, "config": {"description": packed(stream.codec_context.extradata or b"")}}


def pictures(codec: str) -> dict[str, Any]:
    """A square that stands elsewhere in each picture."""
    frames = []
    for n, at in enumerate(SHOWN_AT):
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[40:100, 20 + 70 * n : 80 + 70 * n] = 255
        frames.append(av.VideoFrame.from_ndarray(pixels, "rgb24"))
        frames[-1].pts, frames[-1].time_base = at, Fraction(1, 30)
    options = {"bf": "0"} if codec == "libx264" else {"lag-in-frames": "0", "auto-alt-ref": "0"}
    shape = {"width": WIDTH, "height": HEIGHT, "pix_fmt": "yuv420p", "rate": 30, "options": options}
    made = track(frames, codec, shape, "mp4")
    made["config"]["codec"] = "avc1.42E028" if codec == "libx264" else "vp09.00.40.08"
    made["config"]["colorSpace"] = {"primaries": "bt709", "transfer": "bt709", "matrix": "bt709"}
    return made


def sound(codec: str) -> dict[str, Any]:
    """A tone that begins after half a second."""
    at = np.arange(round(SECONDS * RATE)) / RATE
    frame = av.AudioFrame.from_ndarray(
        (np.sin(2 * np.pi * 440 * at) * (at > 0.5) * 0.5).astype("f4")[None], "fltp", "mono"
    )
    frame.sample_rate = RATE
    made = track([frame], codec, {"rate": RATE, "layout": "mono"}, "ogg" if codec == "libopus" else "mp4")
    name = "opus" if codec == "libopus" else "mp4a.40.2"
    made["config"] |= {"codec": name, "sampleRate": RATE, "numberOfChannels": 1}
    return made


@pytest.mark.parametrize(("seen", "heard"), [("libx264", "aac"), ("libvpx-vp9", "libopus")])
def test_file_has_all_pictures_and_the_sound(seen: str, heard: str) -> None:
    video = {"width": WIDTH, "height": HEIGHT, "seconds": SECONDS}
    file = base64.b64decode(run("mp4.js", BODY, {**video, "pictures": pictures(seen), "sound": sound(heard)}))
    with av.open(io.BytesIO(file)) as made:
        assert made.duration == pytest.approx(1e6 * SECONDS, abs=1e4)
        stream = made.streams.video[0]
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)
        assert stream.codec_context.colorspace == BT709
        frames = list(made.decode(stream))
        assert [round(30 * frame.time) for frame in frames] == [*SHOWN_AT]
        for n, frame in enumerate(frames):
            lit = np.nonzero(frame.to_ndarray(format="gray")[70] > 128)[0]
            assert lit.mean() == pytest.approx(50 + 70 * n, abs=2)
    with av.open(io.BytesIO(file)) as made:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in made.decode(audio=0)])
    # AAC says nowhere how many samples come before its sound.
    late = 0.05 if heard == "aac" else 0.001
    begins = np.nonzero(np.abs(samples) > 0.1)[0][0] / RATE
    assert 0.5 <= begins + 0.001 <= 0.501 + late
