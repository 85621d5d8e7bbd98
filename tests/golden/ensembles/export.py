"""Writes the reference values of the golden tests of ensembles, soups, halves and temperatures.

    pip install numpy scipy scikit-learn torch
    python tests/golden/ensembles/export.py

- Halves: the rule of `bertram_core::data::halves` once more, on Python's integers.
- Ensembles: `scipy.special.softmax` and `expit`, the mean over runs, and scores of scikit-learn and scipy. Weights by forward
  selection with replacement (Caruana et al. 2004), written here anew.
- Soups: `torch.stack(...).mean(0)` of state dicts in float64, rounded to float32.
- Temperatures: `scipy.optimize.minimize_scalar` on the mean of `torch.nn.functional.cross_entropy` (or
  `binary_cross_entropy_with_logits`) of logits divided by T, in float64, and once more `torch.optim.LBFGS`.

All data are random numbers.
"""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from scipy import optimize, special, stats
from sklearn.metrics import accuracy_score, f1_score

HERE = Path(__file__).resolve().parent
MASK = (1 << 64) - 1
ROUNDS = 20


def mix(seed, stream):
    z = seed ^ ((stream + 1) * 0x9E3779B97F4A7C15 & MASK)
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def halves(rows, seed):
    order = sorted(range(rows), key=lambda row: mix(seed, row))
    middle = (rows + 1) // 2
    return sorted(order[:middle]), sorted(order[middle:])


def said(kind, numbers):
    if kind == "classes":
        return numbers.argmax(1)
    if kind == "binary":
        return (numbers[:, 1] >= 0.5).astype(int)
    if kind == "multi-label":
        return (numbers >= 0.5).astype(int)
    return numbers[:, 0]


def score(kind, gold, numbers):
    answers = said(kind, numbers)
    if kind in ("classes", "binary"):
        return accuracy_score(gold, answers)
    if kind == "multi-label":
        return f1_score(gold, answers, average="micro", zero_division=0)
    return stats.pearsonr(gold, answers).statistic


def mean(runs, weights):
    return np.tensordot(np.asarray(weights), runs, axes=1)


def greedy(runs, worth):
    counts = np.zeros(len(runs), dtype=int)
    chosen = np.full(len(runs), 1 / len(runs))
    best = worth(chosen)
    for _ in range(ROUNDS):
        scores = []
        for candidate in range(len(runs)):
            tried = counts.copy()
            tried[candidate] += 1
            scores.append(worth(tried / tried.sum()))
        counts[int(np.argmax(scores))] += 1
        if max(scores) > best:
            best, chosen = max(scores), counts / counts.sum()
    return chosen


def ensembles(random):
    cases = []
    for kind, width, rows, seed in [
        ("classes", 5, 61, 0),
        ("binary", 1, 80, 3),
        ("multi-label", 4, 50, 0),
        ("score", 1, 71, 11711),
    ]:
        signal = random.normal(size=(rows, width))
        quality = [0.4, 0.9, 0.7, 0.2]
        outputs = np.stack([share * signal + random.normal(size=(rows, width)) for share in quality])
        if kind == "classes":
            gold, runs = signal.argmax(1), special.softmax(outputs, axis=2)
        elif kind == "binary":
            gold, yes = (signal[:, 0] > 0).astype(int), special.expit(outputs)
            runs = np.concatenate([1 - yes, yes], axis=2)
        elif kind == "multi-label":
            gold, runs = (signal > 0.3).astype(int), special.expit(outputs)
        else:
            gold = np.clip(2.5 + 1.4 * signal[:, 0], 0, 5).astype(np.float32).astype(float)
            # Scores beyond the range, of which correlations are taken all the same.
            runs = 2.5 + 2 * outputs
        everything = np.arange(rows)

        def worth(here):
            return lambda weights: score(kind, gold[here], mean(runs[:, here], weights))

        uniform = [1 / len(runs)] * len(runs)
        ways = []
        first, second = (np.array(half) for half in halves(rows, seed))
        for chooses, scored in [(first, second), (second, first)]:
            weights = greedy(runs, worth(chooses))
            ways.append({"weights": weights.tolist(), "score": worth(scored)(weights)})
        weights = greedy(runs, worth(everything))
        cases.append(
            {
                "kind": kind,
                "seed": seed,
                "numbers": runs.tolist(),
                "gold": gold.tolist(),
                "mean": mean(runs, uniform).tolist(),
                "uniform": worth(everything)(uniform),
                "weights": weights.tolist(),
                "chosen": worth(everything)(weights),
                "halves": ways,
            }
        )
    return cases


def soups(random):
    def states(shapes, count):
        return [{name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(count)]

    cases = []
    for count in (2, 3, 5):
        models = states({"weight": (3, 4), "bias": (4,)}, count)
        mixed = {
            name: torch.stack([torch.from_numpy(model[name]).double() for model in models]).mean(0).float().tolist()
            for name in models[0]
        }
        cases.append({"models": [{name: model[name].tolist() for name in model} for model in models], "mean": mixed})
    return cases


def loss(kind, logits, gold, temperature):
    scaled = torch.from_numpy(logits) / temperature
    if kind == "classes":
        return torch.nn.functional.cross_entropy(scaled, torch.from_numpy(gold))
    return torch.nn.functional.binary_cross_entropy_with_logits(scaled[:, 0], torch.from_numpy(gold).double())


def expected_calibration_error(confidence, right, bins=10):
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for at in range(bins):
        here = place == at
        if here.any():
            total += here.sum() * abs(confidence[here].mean() - right[here].mean())
    return total / len(confidence)


def temperatures(random):
    cases = []
    for kind, width, rows, sharpness in [("classes", 5, 120, 3.0), ("classes", 3, 90, 0.4), ("binary", 1, 150, 4.0)]:
        signal = random.normal(size=(rows, width))
        # Logits that are too sure of themselves, or not sure enough.
        logits = (sharpness * (signal + 0.8 * random.normal(size=(rows, width)))).astype(np.float32).astype(np.float64)
        gold = signal.argmax(1) if kind == "classes" else (signal[:, 0] + 0.5 * random.normal(size=rows) > 0).astype(int)
        gold = gold.astype(np.int64)
        found = optimize.minimize_scalar(
            lambda log: float(loss(kind, logits, gold, np.exp(log))), bounds=(-4, 4), method="bounded", options={"xatol": 1e-12}
        )
        temperature = float(np.exp(found.x))
        log = torch.zeros((), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([log], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

        def closure():
            optimizer.zero_grad()
            value = loss(kind, logits, gold, log.exp())
            value.backward()
            return value

        optimizer.step(closure)
        lbfgs = float(log.detach().exp())
        assert abs(lbfgs - temperature) < 1e-5 * temperature, (lbfgs, temperature)

        def error(divisor):
            if kind == "classes":
                numbers = special.softmax(logits / divisor, axis=1)
                return expected_calibration_error(numbers.max(1), numbers.argmax(1) == gold)
            return expected_calibration_error(special.expit(logits[:, 0] / divisor), gold == 1)

        cases.append(
            {
                "kind": kind,
                "logits": logits.tolist(),
                "gold": gold.tolist(),
                "temperature": temperature,
                "nll": [float(loss(kind, logits, gold, 1.0)), float(loss(kind, logits, gold, temperature))],
                "ece": [error(1.0), error(temperature)],
            }
        )
    return cases


def main():
    random = np.random.default_rng(7)
    packages = ["numpy", "scipy", "scikit-learn", "torch"]
    golden = {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "halves": [
            {"rows": rows, "seed": seed, "halves": halves(rows, seed)}
            for rows, seed in [(0, 0), (1, 5), (11, 0), (40, 1), (101, 11711)]
        ],
        "ensembles": ensembles(random),
        "soups": soups(random),
        "temperatures": temperatures(random),
    }
    (HERE / "ensembles.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
