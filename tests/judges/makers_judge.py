"""Frames and embeddings of the makers' own code, PyPI kani-tts-2 0.0.5 on transformers 4.56.0."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import LogitsProcessorList

CODES = 4032


def makers(module: str) -> object:
    """Import a makers' module without their package's own imports, which need NeMo."""
    package = importlib.util.find_spec("kani_tts")
    path = Path(package.submodule_search_locations[0], f"{module}.py")
    spec = importlib.util.spec_from_file_location(module, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Legal:
    """Masks all tokens but the legal next ones: the two that begin the answer, then codes in turn."""

    def __init__(self, prompt: int, audio_start: int) -> None:
        self._prompt, self._start = prompt, audio_start

    def __call__(self, tokens: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """See transformers' LogitsProcessor."""
        place = tokens.shape[1] - self._prompt - 2
        left = torch.full_like(scores, -torch.inf)
        if place < 0:
            left[:, self._start - (5, 9)[place]] = 0.0
            return left
        start = self._start + CODES * (place % 4)
        left[:, start : start + CODES] = scores[:, start : start + CODES]
        if place % 4 == 0:
            left[:, self._start - 8] = scores[:, self._start - 8]
        return left


def say(folder: str, asked_file: str, said_file: str) -> None:
    audio_start = json.loads(Path(folder, "config.json").read_text("utf-8"))["audio_tokens_start"]
    model = makers("model").KaniTTS2ForCausalLM.from_pretrained(folder, torch_dtype=torch.float32).eval()
    # Where no frequencies were learnt, their loader leaves the speaker's projection as it was drawn.
    model.load_state_dict(load_file(Path(folder, "model.safetensors")), strict=False)
    said = []
    for asked in json.loads(Path(asked_file).read_text("utf-8")):
        prompt = torch.tensor([asked["prompt"]])
        speaker = {"speaker_emb": torch.tensor([asked["speaker"]])} if asked["speaker"] else {}
        with torch.no_grad():
            tokens = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=2 + 4 * asked["frames"],
                do_sample=False,
                repetition_penalty=asked["penalty"],
                eos_token_id=audio_start - 8,
                logits_processor=LogitsProcessorList([Legal(prompt.shape[1], audio_start)]),
                **speaker,
            )[0, prompt.shape[1] + 2 :]
        codes = [token - audio_start for token in tokens.tolist()]
        said.append([CODES if code < 0 else code % CODES for code in codes])
    Path(said_file).write_text(json.dumps(said), "utf-8")


def embed(folder: str, samples_file: str, embedding_file: str) -> None:
    embedder = makers("speaker_embedder").SpeakerEmbedder(folder, device="cpu")
    np.save(embedding_file, embedder.embed_audio(np.load(samples_file))[0].numpy())


if __name__ == "__main__":
    {"say": say, "embed": embed}[sys.argv[1]](*sys.argv[2:])
