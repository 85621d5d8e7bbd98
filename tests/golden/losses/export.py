"""Writes the reference values of the losses' golden test.

    pip install torch sentence-transformers
    python tests/golden/losses/export.py

Made with python 3.11, torch 2.9.1, sentence-transformers 5.1.2, in f64; gradients are autograd's.

- Class weights and label smoothing are `torch.nn.CrossEntropyLoss(weight=, label_smoothing=)`; of yes-or-no labels the same
  on the two logits [0, z], which for a mean without weights is `BCEWithLogitsLoss` on the smoothed targets (checked).
  Of several labels at once it is `BCEWithLogitsLoss` on these.
- cosent and angle are sentence-transformers' `CoSENTLoss` and `AnglELoss` on given vectors.
- focal (Lin et al. 2017, equation 4) and ordinal (Diaz & Marathe 2019, equation 1, absolute difference) are written from
  the papers; class weights make their mean a weighted one. Gamma 0 is checked to be the cross-entropy.
"""

import json
from importlib.metadata import version
from pathlib import Path

import torch
import torch.nn.functional as F
from sentence_transformers.losses import AnglELoss, CoSENTLoss

HERE = Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)
CLASSES, EXAMPLES, WIDTH = 4, 7, 6


def mean(losses, targets, weights):
    """The mean; where there are weights, by those of the targets."""
    if weights is None:
        return losses.mean()
    w = torch.tensor(weights)[targets]
    return (losses * w).sum() / w.sum()


def cross_entropy(logits, targets, weights=None, smoothing=0.0):
    weight = None if weights is None else torch.tensor(weights)
    return torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)(logits, targets)


def focal(logits, targets, gamma, weights=None):
    log_p = F.log_softmax(logits, 1).gather(1, targets[:, None])[:, 0]
    return mean(-((1 - log_p.exp()) ** gamma) * log_p, targets, weights)


def ordinal(logits, targets, weights=None):
    distances = (torch.arange(logits.shape[1])[None] - targets[:, None]).abs()
    soft = F.softmax(-distances.double(), 1)
    losses = F.cross_entropy(logits, soft, reduction="none")
    return mean(losses, targets, weights)


def two(logits):
    """A yes-or-no logit as the logits of two classes."""
    return torch.stack([torch.zeros_like(logits), logits], 1)


def several(loss, logits, targets):
    """A yes-or-no loss over every label of every example."""
    return loss(two(logits.flatten()), targets.flatten().long())


def cases():
    rng = torch.Generator().manual_seed(7)
    draw = lambda *shape: torch.randn(*shape, generator=rng)
    logits, targets = 2 * draw(EXAMPLES, CLASSES), torch.tensor([0, 3, 1, 1, 2, 0, 1])
    logit, yes = 2 * draw(EXAMPLES), torch.tensor([1, 0, 0, 1, 0, 0, 0])
    many = (torch.rand(EXAMPLES, CLASSES, generator=rng) < 0.4).long()
    four, both = [0.5, 2.0, 3.5, 1.0], [0.75, 3.0]

    def case(loss, label, value, inputs, labels, **options):
        return dict(loss=loss, label=label, value=value, inputs=inputs, labels=labels.double(), options=options)

    for weights in (None, four):
        given = {} if weights is None else {"class-weights": weights}
        for e in (0.0, 0.1, 0.6):
            value = lambda z, weights=weights, e=e: cross_entropy(z, targets, weights, e)
            yield case("cross-entropy", "classes", value, [logits], targets, **given, **{"label-smoothing": e})
        for gamma in (0.0, 0.5, 2.0, 5.0):
            value = lambda z, weights=weights, gamma=gamma: focal(z, targets, gamma, weights)
            if gamma == 0.0:
                torch.testing.assert_close(value(logits), cross_entropy(logits, targets, weights))
            yield case("focal", "classes", value, [logits], targets, **given, **{"focal-gamma": gamma})
        value = lambda z, weights=weights: ordinal(z, targets, weights)
        yield case("ordinal", "classes", value, [logits], targets, **given)
    for weights in (None, both):
        given = {} if weights is None else {"class-weights": weights}
        for e in (0.0, 0.1, 0.6):
            value = lambda z, weights=weights, e=e: cross_entropy(two(z), yes, weights, e)
            if weights is None:
                smooth = yes * (1 - e) + e / 2
                torch.testing.assert_close(value(logit), F.binary_cross_entropy_with_logits(logit, smooth))
            yield case("bce", "binary", value, [logit], yes, **given, **{"label-smoothing": e})
        for gamma in (0.0, 0.5, 2.0):
            value = lambda z, weights=weights, gamma=gamma: focal(two(z), yes, gamma, weights)
            yield case("focal", "binary", value, [logit], yes, **given, **{"focal-gamma": gamma})
    value = lambda z: F.binary_cross_entropy_with_logits(z, many * 0.9 + 0.05)
    yield case("bce", "multi-label", value, [logits], many, **{"label-smoothing": 0.1})
    value = lambda z: several(lambda z, y: focal(z, y, 2.0), z, many)
    yield case("focal", "multi-label", value, [logits], many, **{"focal-gamma": 2.0})

    u, v = draw(EXAMPLES, WIDTH), draw(EXAMPLES, WIDTH)
    graded = torch.tensor([0.0, 2.5, 5.0, 2.5, 1.2, 4.0, 0.0])
    for name, kind in (("cosent", CoSENTLoss), ("angle", AnglELoss)):
        for scale in (20.0, 5.0):
            loss = kind(None, scale=scale)
            for labels in (graded, torch.full((EXAMPLES,), 3.0)):
                value = lambda u, v, loss=loss, labels=labels: loss.compute_loss_from_embeddings([u, v], labels)
                yield case(name, "score", value, [u, v], labels, scale=scale)


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
                "value": loss.item(),
                "gradients": [g.flatten().tolist() for g in gradients],
            }
        )
    versions = {name: version(name) for name in ("torch", "sentence-transformers")}
    path = HERE / "losses.json"
    lines = ",\n".join("  " + json.dumps(case) for case in out)
    path.write_text(f'{{\n "versions": {json.dumps(versions)},\n "cases": [\n{lines}\n ]\n}}\n')
    print(path, len(out), "cases")


if __name__ == "__main__":
    main()
