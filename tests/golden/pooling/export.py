"""Writes the reference values of the poolings' golden test.

    pip install torch transformers sentence-transformers
    python tests/golden/pooling/export.py

Hidden states are those of `transformers.BertModel` with the weights of ../encoder/tiny, in float64. Of `cls`, `max`, `mean` and
their concatenations the reference is sentence-transformers' `Pooling`, which puts parts side by side in this order; parts in
another order are its single vectors in that order. The attention pooler and the mix of layers are a few lines of torch here.
`tests/tests/numerics/golden_pooling.rs` compares bertram with vectors and gradients.
"""

import json
from pathlib import Path

import torch
from sentence_transformers.models import Pooling
from transformers import BertModel

HERE = Path(__file__).resolve().parent
TINY = HERE.parent / "encoder" / "tiny"
THEIR_ORDER = ["cls", "max", "mean"]

ROWS = [[2, 17, 45, 8, 3, 99, 21, 3], [2, 3], [2, 60, 61, 62, 63, 3, 64, 65, 66, 67, 3]]
CASES = [
    # Pooling, and whether layers are mixed.
    ("cls", False),
    ("mean", False),
    ("max", False),
    ("pooler", False),
    ("attention", False),
    ("cls+mean", False),
    ("cls+max+mean", False),
    ("mean+max", False),
    ("attention+pooler", False),
    ("cls", True),
    ("mean", True),
    ("pooler", True),
    ("max+attention", True),
]


def rounded(tensor):
    return [float(f"{value:.9g}") for value in tensor.flatten().tolist()]


def theirs(parts, hidden, mask):
    flags = {"cls": "pooling_mode_cls_token", "max": "pooling_mode_max_tokens", "mean": "pooling_mode_mean_tokens"}
    module = Pooling(hidden.shape[-1], **{flag: part in parts for part, flag in flags.items()})
    # The module writes into what it gets.
    return module({"token_embeddings": hidden.clone(), "attention_mask": mask})["sentence_embedding"]


def attention(hidden, mask, query):
    vectors = []
    for states, length in zip(hidden, mask.sum(1).tolist()):
        weights = torch.softmax(states[:length] @ query, dim=0)
        vectors.append(weights @ states[:length])
    return torch.stack(vectors)


def main():
    width = max(map(len, ROWS))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in ROWS])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ROWS])
    generator = torch.Generator().manual_seed(20191024)
    numbers = lambda count: torch.randn(count, generator=generator, dtype=torch.float64)
    query, weights, scale = 0.5 * numbers(32), numbers(3), torch.tensor([0.8], dtype=torch.float64)
    cases = []
    for name, mixes in CASES:
        model = BertModel.from_pretrained(TINY, attn_implementation="eager", dtype=torch.float64).eval()
        learnt = {"query": query.clone(), "weights": weights.clone(), "scale": scale.clone()}
        for tensor in learnt.values():
            tensor.requires_grad_()
        out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        hidden = out.last_hidden_state
        if mixes:
            stacked = torch.stack(out.hidden_states)
            hidden = learnt["scale"] * torch.einsum("l,lbsh->bsh", learnt["weights"].softmax(0), stacked)
        parts = name.split("+")
        if parts == [part for part in THEIR_ORDER if part in parts]:
            vectors = theirs(parts, hidden, mask)
        else:
            one = {
                "pooler": lambda: model.pooler(hidden),
                "attention": lambda: attention(hidden, mask, learnt["query"]),
            }
            vectors = torch.cat([one[part]() if part in one else theirs([part], hidden, mask) for part in parts], dim=1)
        # A loss that no LayerNorm makes constant.
        ramp = torch.sin(torch.arange(vectors.numel(), dtype=torch.float64)).reshape(vectors.shape)
        loss = ((vectors * ramp) ** 2).sum()
        loss.backward()
        parameters = dict(model.named_parameters())
        gradients = {
            "embeddings.norm": parameters["embeddings.LayerNorm.weight"].grad,
            "layers.0.output": parameters["encoder.layer.0.output.dense.bias"].grad,
            "layers.1.output_norm": parameters["encoder.layer.1.output.LayerNorm.weight"].grad,
            **{key: tensor.grad for key, tensor in learnt.items()},
        }
        cases.append(
            {
                "pooling": name,
                "layer_mix": mixes,
                "vectors": rounded(vectors),
                "loss": float(loss.detach()),
                "gradients": {key: rounded(grad) for key, grad in gradients.items() if grad is not None},
            }
        )
    path = HERE / "pooling.json"
    path.write_text(
        json.dumps(
            {
                "rows": ROWS,
                "query": rounded(query),
                "weights": rounded(weights),
                "scale": rounded(scale),
                "cases": cases,
            },
            separators=(",", ":"),
        )
    )
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
