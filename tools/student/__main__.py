"""Train a student of one of Kokoro's voices.

    python -m tools.student --voice ef_dora --language es \\
        --texts /usr/share/games/fortunes/es --work FOLDER

The teacher speaks sentences of the texts (FOLDER/shards), and plans more of them, without their sound
(FOLDER/planned). The student begins with the weights of the
English one and learns the teacher's durations, pitch, energy and sound; the result is FOLDER/student. Stop it
at any time (Ctrl+C): the same command continues. It runs at the lowest priority, on a GPU if there is one.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch

from kani.engines.kokoro.student.files import DECODER, ENGLISH, PROSODY
from kani.engines.kokoro.voices import Voices
from kani_text.languages import primary
from tools.student import corpus, targets
from tools.student.export import Origin, as_long_as_taught, save_student
from tools.student.graph_weights import read_weights, write_weights
from tools.student.training import CPU_BATCH, GPU_BATCH, Interrupted, Training, TrainingPlan

VOICE_FILE = "voice.txt"
"""Voice and language of a work folder."""

HELD_OUT_FOLDER, TEXTS_FILE = "held-out", "texts.txt"
"""Folder of the held-out sentences' shards, and the file in it with their texts, a line each."""

KEPT_FOLDER = "students"
"""Folder of the students as they were on the way, each in a folder named by its step."""

_HELD_OUT = 50
"""Held-out sentences that the curve is made of: one shard."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.student",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    voices = [voice.id for voice in Voices().all]
    parser.add_argument(
        "--voice", required=True, choices=voices, metavar="VOICE", help="one of Kokoro's voices"
    )
    parser.add_argument("--language", required=True, help="BCP 47, the voice's")
    parser.add_argument("--texts", required=True, nargs="+", type=Path, help="text files, or folders of them")
    parser.add_argument("--start", type=Path, default=ENGLISH, help="folder of the student to start from")
    parser.add_argument("--work", required=True, type=Path, help="where shards and checkpoints are kept")
    parser.add_argument("--sentences", type=int, default=12_000, help="at most so many")
    parser.add_argument(
        "--planned",
        type=int,
        default=20_000,
        help="at most so many more, for durations and melody",
    )
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument(
        "--batch",
        type=int,
        default=GPU_BATCH if torch.cuda.is_available() else CPU_BATCH,
        help="utterances of a step",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _files(paths: Sequence[Path]) -> list[Path]:
    found = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    return [file for file in found if file.is_file() and file.suffix not in (".dat", ".png", ".css", ".pdf")]


def _check_voice(voice: str, language: str) -> None:
    """SystemExit for a language that is not the voice's: its student would not be loaded."""
    (own,) = {primary(each.language) for each in Voices().all if each.id == voice}
    if primary(language) != own:
        raise SystemExit(f"--language {language}: {voice} speaks {own}")


def _check_work(work: Path, voice: str, language: str) -> None:
    """Note the voice in a new work folder. SystemExit for one of another voice: all in it is that voice's."""
    of = f"{voice} {primary(language)}"
    work.mkdir(parents=True, exist_ok=True)
    note = work / VOICE_FILE
    if note.is_file() and (found := note.read_text(encoding="utf-8").strip()) != of:
        raise SystemExit(f"--work {work} is of {found}: name another folder for {of}")
    note.write_text(f"{of}\n", encoding="utf-8")


def _check_enough(learned: Sequence[str], held_out: Sequence[str]) -> None:
    if not learned or not held_out:
        raise SystemExit(
            f"the texts have {len(learned)} usable sentences of 3 to 25 words to learn, and {len(held_out)} "
            "to hold out: name more texts"
        )


def main() -> None:
    """Run the command line."""
    given = _arguments()
    if hasattr(os, "nice"):
        os.nice(19)
    torch.set_num_threads(given.threads)
    _check_voice(given.voice, given.language)
    _check_work(given.work, given.voice, given.language)

    texts = corpus.sentences(_files(given.texts), given.language)
    others = [text for text in texts if not corpus.held_out(text)]
    spoken = others[: given.sentences]
    planned = others[given.sentences :][: given.planned]
    held_out = [text for text in texts if corpus.held_out(text)][:_HELD_OUT]
    _check_enough(spoken, held_out)

    try:
        teacher = targets.Teacher(given.voice, given.language, given.work / "model", given.threads)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    learned = [symbols for text in spoken if (symbols := teacher.symbols(text))]
    only_planned = [symbols for text in planned if (symbols := teacher.symbols(text))]
    judged_texts = {text: symbols for text in held_out if (symbols := teacher.symbols(text))}
    judging = list(judged_texts.values())
    _check_enough(learned, judging)
    print(
        f"{len(learned)} sentences to learn, {len(only_planned)} to plan, {len(judging)} held out", flush=True
    )
    if missing := corpus.missing_pairs(learned, judging):
        print(f"pairs of symbols that only held-out sentences have: {missing.most_common(10)}", flush=True)
    judged = targets.make_shards(teacher.speak, judging, given.work / HELD_OUT_FOLDER)
    plans = targets.make_shards(teacher.plan, only_planned, given.work / "planned")
    shards = targets.make_shards(teacher.speak, learned, given.work / "shards")
    (given.work / HELD_OUT_FOLDER / TEXTS_FILE).write_text(
        "".join(f"{text}\n" for text in judged_texts), encoding="utf-8"
    )

    start = {name: onnx.load(given.start / name) for name in (PROSODY, DECODER)}
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    training = Training(
        read_weights(*start.values()), TrainingPlan(given.steps, given.batch), given.work, device
    )

    def save(folder: Path) -> None:
        state = training.student.state_dict()
        models = {name: write_weights(model, state) for name, model in start.items()}
        spoken = [target for shard in judged for target in targets.read_shard(shard)]
        models[PROSODY] = as_long_as_taught(models[PROSODY], spoken)
        parts = {name: model.SerializeToString() for name, model in models.items()}
        save_student(
            folder, parts, Origin(given.start, given.voice, given.language, f"{training.step} steps"), spoken
        )

    try:
        training.run(
            shards,
            judged,
            lambda: save(given.work / KEPT_FOLDER / f"{training.step:06}"),
            [*plans, *shards] if plans else (),
        )
    except Interrupted:
        print(f"stopped after step {training.step}: the same command goes on from there", flush=True)
    out = given.work / "student"
    save(out)
    print(f"{out}: after {training.step} steps", flush=True)


if __name__ == "__main__":
    main()
