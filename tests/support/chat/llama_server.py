"""llama.cpp's own server with a tiny model, as ``python -m tests.support.chat.llama_server FOLDER``.

It prints its address, and serves until its standard input ends.

The model knows for each token the next one, and no more: so it writes what a test expects, as fast as the
server can send it, while the wire, the chat template, the sampling and the errors are llama.cpp's.
"""

import sys
from itertools import pairwise
from pathlib import Path

import gguf
import numpy as np

ANSWER = ("Yes,", " I", " am", " here.")
"""Tokens of the answer to anything but ``COUNT``."""

COUNTED = (" one", " two", " three", " four.")
"""Tokens that are written again and again after ``COUNT``."""

COUNT = "Count without end."
MODEL = "tiny"
KEY = "tiny-key"
"""Required by the server."""

CONTEXT = 2**16
"""Tokens of a prompt and its answer; an answer without end ends there."""

SLOTS = 2
"""Answers that the server writes at once."""

SAY, REPEAT, END = "<|say|>", "<|repeat|>", "<|end|>"
TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"
    f"{{% if add_generation_prompt %}}{{% if messages[-1].content == '{COUNT}' %}}{REPEAT}{{% else %}}{SAY}"
    "{% endif %}{% endif %}"
)
SIZE = 32
"""Dimensions: one for each token that has a next one, the others unused."""


def _byte_tokens() -> list[str]:
    """Return GPT-2's characters for the 256 bytes, from which its vocabularies are built."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def write_model(path: Path) -> None:
    """Write the model as llama.cpp reads it."""
    letters = _byte_tokens()
    words = ["".join(letters[byte] for byte in word.encode()) for word in (*ANSWER, *COUNTED)]
    special = [SAY, REPEAT, END]
    tokens = [*letters, *words, *special]
    number = {token: at for at, token in enumerate(tokens)}
    answer, counted = words[: len(ANSWER)], words[len(ANSWER) :]
    chains = [SAY, *answer, END], [REPEAT, *counted, counted[0]]
    # A token's place in a dimension of its own, and in the output the next one's weight in that dimension.
    places = np.zeros((len(tokens), SIZE), np.float32)
    following = np.zeros((len(tokens), SIZE), np.float32)
    pairs = [pair for chain in chains for pair in pairwise(chain)]
    for dimension, (token, then) in enumerate(pairs):
        places[number[token], dimension] = 1
        following[number[then], dimension] = 100

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(SIZE)
    writer.add_block_count(1)
    writer.add_feed_forward_length(SIZE)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(SIZE)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - len(special))
    writer.add_token_types([*kinds, *[gguf.TokenType.CONTROL] * len(special)])
    writer.add_token_merges([f"{letters[ord('e')]} {letters[ord('r')]}"])  # it reads no file without one
    writer.add_eos_token_id(number[END])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    writer.add_tensor("token_embd.weight", places)
    writer.add_tensor("output.weight", following)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((SIZE, SIZE), np.float32))
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(SIZE, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    import xllamacpp

    path = Path(sys.argv[1]) / "tiny.gguf"
    write_model(path)
    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.model_alias = {MODEL}
    settings.hostnames, settings.port = ["127.0.0.1"], 0
    settings.api_keys = [KEY]
    settings.n_ctx, settings.n_parallel, settings.endpoint_slots = CONTEXT * SLOTS, SLOTS, True
    settings.verbosity = 1
    server = xllamacpp.Server(settings)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
