"""Compares two checkpoint folders in Hugging Face's `transformers`.

    pip install torch transformers safetensors
    python tests/roundtrip/check.py DIR_A DIR_B

Loads both with `BertModel.from_pretrained`, encodes the same sentences, prints the largest absolute difference of the
hidden states and pooler outputs, and exits with 1 if it exceeds 1e-5 or if keys are missing or unexpected. DIR_A is the
original, DIR_B what bertram wrote. A tokenizer, taken from DIR_A or DIR_B, is optional: without one fixed ids are used.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertModel

LIMIT = 1e-5
SENTENCES = [
    "The second act drags, but the last ten minutes are worth the ticket.",
    "Can I repot a fern in winter?",
    "A man is slicing a cucumber on a wooden board.",
    "Größe zählt nicht – 你好.",
    "",
]


def load(folder):
    model, info = BertModel.from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager", dtype=torch.float32
    )
    problems = {key: sorted(map(str, info.get(key) or [])) for key in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    for key, names in problems.items():
        if names:
            print(f"{folder}: {key}: {', '.join(names)}")
    return model.eval(), not any(problems.values())


def encode(folders, vocab_size):
    for folder in folders:
        if (Path(folder) / "tokenizer.json").is_file() or (Path(folder) / "vocab.txt").is_file():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            return dict(tokenizer(SENTENCES, padding=True, return_tensors="pt"))
    ids = torch.arange(48).reshape(4, 12) * 7 % vocab_size
    mask = (torch.arange(12)[None] < torch.tensor([[12], [9], [5], [2]])).long()
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folders = sys.argv[1:]
    (a, fine_a), (b, fine_b) = map(load, folders)
    batch = encode(folders, a.config.vocab_size)
    with torch.no_grad():
        out_a, out_b = a(**batch), b(**batch)
    mask = batch["attention_mask"][..., None]
    hidden = ((out_a.last_hidden_state - out_b.last_hidden_state) * mask).abs().max().item()
    pooler = (out_a.pooler_output - out_b.pooler_output).abs().max().item()
    print(f"max abs difference: hidden states {hidden:.3g}, pooler {pooler:.3g} (limit {LIMIT:g})")
    # Written so that NaN fails, too.
    within = max(hidden, pooler) <= LIMIT and hidden == hidden and pooler == pooler
    sys.exit(0 if within and fine_a and fine_b else 1)


if __name__ == "__main__":
    main()
