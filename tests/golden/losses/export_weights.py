"""Writes the reference values of losses whose examples have weights (`tasks.X.columns.weight`).

    pip install torch
    python tests/golden/losses/export_weights.py

Made with python 3.11, torch 2.9.1, in f64; gradients are autograd's. A weighted loss is `sum_i r_i w_i loss_i / sum_i r_i w_i`
with the examples' weights r and the weights w of their classes: what PyTorch's own functions give with `reduction="none"`,
or with their own `weight` of elements. CoSENT and AnglE have none there: they are a loop over pairs, each of which counts
r_i r_j times.
"""

import json
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)
CLASSES, EXAMPLES, WIDTH = 4, 7, 6


def cross_entropy(logits, targets, r, weights, smoothing):
    w = torch.tensor(weights or [1.0] * logits.shape[1])
    terms = F.cross_entropy(logits, targets, weight=w, label_smoothing=smoothing, reduction="none")
    return (r * terms).sum() / (r * w[targets]).sum()


def focal(logits, targets, r, weights):
    log_p = F.log_softmax(logits, 1).gather(1, targets[:, None])[:, 0]
    w = r * torch.tensor(weights)[targets]
    return (w * -((1 - log_p.exp()) ** 2) * log_p).sum() / w.sum()


def ordinal(logits, targets, r, weights):
    soft = F.softmax(-(torch.arange(logits.shape[1])[None] - targets[:, None]).abs().double(), 1)
    w = r * torch.tensor(weights)[targets]
    return (w * F.cross_entropy(logits, soft, reduction="none")).sum() / w.sum()


def two(logits):
    return torch.stack([torch.zeros_like(logits), logits], 1)


def ranked(similarities, labels, r, scale):
    total = torch.ones(())
    for i in range(len(labels)):
        for j in range(len(labels)):
            if labels[i] < labels[j]:
                total = total + r[i] * r[j] * torch.exp(scale * (similarities[i] - similarities[j]))
    return total.log()


def angles(u, v):
    half = u.shape[1] // 2
    quotient = torch.complex(u[:, :half], u[:, half:]) * torch.complex(v[:, :half], v[:, half:]).conj()
    z = quotient.sum(1) / (u.norm(dim=1) * v.norm(dim=1))
    return (z.real + z.imag).abs()


def cases():
    rng = torch.Generator().manual_seed(11)
    draw = lambda *shape: torch.randn(*shape, generator=rng)
    logits, targets = 2 * draw(EXAMPLES, CLASSES), torch.tensor([0, 3, 1, 1, 2, 0, 1])
    logit, yes = 2 * draw(EXAMPLES), torch.tensor([1, 0, 0, 1, 0, 0, 0])
    many = (torch.rand(EXAMPLES, CLASSES, generator=rng) < 0.4).double()
    u, v = draw(EXAMPLES, WIDTH), draw(EXAMPLES, WIDTH)
    graded = torch.tensor([0.0, 2.5, 5.0, 2.5, 1.2, 4.0, 0.0])
    four, both = [0.5, 2.0, 3.5, 1.0], [0.75, 3.0]
    r = torch.tensor([0.5, 2.0, 1.0, 3.25, 0.125, 1e-6, 40.0])

    def case(loss, label, value, inputs, labels, **options):
        return dict(loss=loss, label=label, value=value, inputs=inputs, labels=labels.double(), options=options, weights=r)

    for weights in (None, four):
        given = {} if weights is None else {"class-weights": weights}
        for e in (0.0, 0.2):
            value = lambda z, weights=weights, e=e: cross_entropy(z, targets, r, weights, e)
            yield case("cross-entropy", "classes", value, [logits], targets, **given, **{"label-smoothing": e})
    for weights in (None, both):
        given = {} if weights is None else {"class-weights": weights}
        for e in (0.0, 0.2):
            value = lambda z, weights=weights, e=e: cross_entropy(two(z), yes, r, weights, e)
            yield case("bce", "binary", value, [logit], yes, **given, **{"label-smoothing": e})
    yield case("focal", "classes", lambda z: focal(z, targets, r, four), [logits], targets, **{"class-weights": four})
    yield case("focal", "binary", lambda z: focal(two(z), yes, r, both), [logit], yes, **{"class-weights": both})
    yield case("ordinal", "classes", lambda z: ordinal(z, targets, r, four), [logits], targets, **{"class-weights": four})
    rows = r[:, None].expand(EXAMPLES, CLASSES)
    value = lambda z: F.binary_cross_entropy_with_logits(z, many, weight=rows, reduction="sum") / rows.sum()
    yield case("bce", "multi-label", value, [logits], many)
    value = lambda u, v: F.mse_loss(F.cosine_similarity(u, v), graded / 5, reduction="none") @ r / r.sum()
    yield case("mse", "score", value, [u, v], graded)
    sides = torch.where(graded >= 2.5, 1.0, -1.0)
    value = lambda u, v: F.cosine_embedding_loss(u, v, sides, reduction="none") @ r / r.sum()
    yield case("cosine-embedding", "score", value, [u, v], graded)
    yield case("cosent", "score", lambda u, v: ranked(F.cosine_similarity(u, v), graded, r, 20.0), [u, v], graded)
    yield case("angle", "score", lambda u, v: ranked(angles(u, v), graded, r, 5.0), [u, v], graded, scale=5.0)


def main():
    out = []
    for case in cases():
        inputs = [x.clone().requires_grad_() for x in case["inputs"]]
        loss = case["value"](*inputs)
        gradients = torch.autograd.grad(loss, inputs)
        out.append(
            {
                "loss": case["loss"],
                "label": case["label"],
                "options": case["options"],
                "shape": list(inputs[0].shape),
                "inputs": [x.detach().flatten().tolist() for x in inputs],
                "labels": case["labels"].flatten().tolist(),
                "weights": case["weights"].tolist(),
                "value": loss.item(),
                "gradients": [g.flatten().tolist() for g in gradients],
            }
        )
    path = HERE / "weights.json"
    lines = ",\n".join("  " + json.dumps(case) for case in out)
    versions = json.dumps({"torch": version("torch")})
    path.write_text(f'{{\n "versions": {versions},\n "cases": [\n{lines}\n ]\n}}\n')
    print(path, len(out), "cases")


if __name__ == "__main__":
    main()
