"""Writes the reference values of the encoder's golden test.

    pip install torch transformers safetensors numpy
    python tests/golden/encoder/export.py [FOLDER OF all-MiniLM-L6-v2]

Two references, both from `transformers.BertModel` in eval mode:

- tiny/: a random 2-layer BERT (weights and all), hidden states of a padded batch with segments, and gradients.
- minilm.json: sentence vectors of a real checkpoint (default ../shared/models/all-MiniLM-L6-v2), each text encoded
  alone. The checkpoint itself is not part of the repository. Skipped with a message if it is absent.

`tests/tests/numerics/golden_encoder` compares bertram with both.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoTokenizer, BertConfig, BertModel

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

LONG = " ".join(
    f"Day {day}: the ferry left at {6 + day % 5} o'clock, the wind came from the north-west, and nobody on deck spoke."
    for day in range(1, 41)
)

TEXTS = [
    ("short", "A quiet film that earns its ending."),
    ("question", "How do I keep bread fresh for longer than two days?"),
    ("paraphrase", "What keeps bread from going stale so quickly?"),
    ("one word", "no"),
    ("empty", ""),
    ("non-ascii", "Übermut, naïveté und größte Freude - 東京の夜 🙂 Ελλάδα"),
    ("medium", LONG[:700]),
    ("long", LONG),
]
# Longer than 128 tokens, within the model's 512 positions.
MAX_TOKENS = 256


def rounded(tensor, digits=7):
    return [float(f"{value:.{digits}g}") for value in tensor.flatten().tolist()]


def export_minilm(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    # Eager attention: the plain formula, in float32.
    model = BertModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    cases = []
    for name, text in TEXTS:
        ids = tokenizer(text, truncation=True, max_length=MAX_TOKENS, padding=False)["input_ids"]
        with torch.no_grad():
            out = model(input_ids=torch.tensor([ids]))
        hidden = out.last_hidden_state[0]
        cases.append(
            {
                "name": name,
                "text": text,
                "input_ids": ids,
                "cls": rounded(hidden[0]),
                "mean": rounded(hidden.mean(0)),
                "pooler": rounded(out.pooler_output[0]),
            }
        )
    path = HERE / "minilm.json"
    path.write_text(json.dumps({"max_tokens": MAX_TOKENS, "cases": cases}, ensure_ascii=False, separators=(",", ":")))
    print(path, path.stat().st_size, [len(case["input_ids"]) for case in cases])


def export_tiny():
    torch.manual_seed(20190524)
    config = BertConfig(
        vocab_size=120,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=24,
        # Larger than usual, so that every part of the formula weighs in.
        initializer_range=0.2,
    )
    model = BertModel(config, add_pooling_layer=True)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0.0, 0.1)
            elif "LayerNorm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.set_attn_implementation("eager")
    model = model.eval()
    model.save_pretrained(HERE / "tiny")

    # [CLS] a [SEP] b [SEP] with segments, a short row, and one that fills the batch; the padding id is 0.
    rows = [
        ([2, 17, 45, 8, 3, 99, 21, 3], [0, 0, 0, 0, 0, 1, 1, 1]),
        ([2, 3], [0, 0]),
        ([2, 60, 61, 62, 63, 3, 64, 65, 66, 67, 3], [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
    ]
    width = max(len(ids) for ids, _ in rows)
    pad = lambda row: row + [0] * (width - len(row))
    ids = torch.tensor([pad(ids) for ids, _ in rows])
    types = torch.tensor([pad(types) for _, types in rows])
    mask = torch.tensor([pad([1] * len(ids)) for ids, _ in rows])
    out = model(input_ids=ids, token_type_ids=types, attention_mask=mask)

    # A loss that no LayerNorm makes constant, over every position that is not padding and the pooler.
    shape = out.last_hidden_state.shape
    ramp = torch.arange(out.last_hidden_state.numel(), dtype=torch.float32).reshape(shape)
    weighted = out.last_hidden_state * torch.sin(ramp) * mask[..., None]
    loss = (weighted**2).sum() + (out.pooler_output**2).sum()
    loss.backward()
    wanted = [
        "embeddings.word_embeddings.weight",
        "embeddings.position_embeddings.weight",
        "embeddings.token_type_embeddings.weight",
        "embeddings.LayerNorm.weight",
        "encoder.layer.0.attention.self.query.weight",
        "encoder.layer.0.attention.self.query.bias",
        "encoder.layer.0.attention.self.value.weight",
        "encoder.layer.1.attention.self.key.weight",
        "encoder.layer.0.attention.output.LayerNorm.bias",
        "encoder.layer.0.intermediate.dense.weight",
        "encoder.layer.1.output.dense.weight",
        "encoder.layer.1.output.LayerNorm.weight",
        "pooler.dense.weight",
    ]
    parameters = dict(model.named_parameters())
    path = HERE / "tiny" / "expected.json"
    path.write_text(
        json.dumps(
            {
                "input_ids": ids.tolist(),
                "token_type_ids": types.tolist(),
                "attention_mask": mask.tolist(),
                "hidden": rounded(out.last_hidden_state),
                "pooler": rounded(out.pooler_output),
                "loss": float(loss.detach()),
                "gradients": {
                    name: {"shape": list(parameters[name].shape), "values": rounded(parameters[name].grad)}
                    for name in wanted
                },
            },
            separators=(",", ":"),
        )
    )
    for file in sorted((HERE / "tiny").iterdir()):
        print(file, file.stat().st_size)


if __name__ == "__main__":
    export_tiny()
    checkpoint = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "models" / "all-MiniLM-L6-v2"
    if checkpoint.is_dir():
        export_minilm(checkpoint)
    else:
        print(f"skipped minilm.json: no {checkpoint}")
