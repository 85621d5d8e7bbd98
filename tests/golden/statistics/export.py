"""Writes the reference values of the golden test of `bertram_report::statistics`.

    pip install numpy scipy scikit-learn
    python tests/golden/statistics/export.py

Made with python 3.11, numpy 2.4.6, scipy 1.17.1 (see "versions" in the file).

- McNemar: `scipy.stats.binomtest`.
- Holm: the closed test of Bonferroni tests, over all subsets of hypotheses. Holm's procedure is a short cut to it.
- t tests: `scipy.stats.ttest_rel`, and `ttest_ind` with unequal variances.
- Randomisation: `scipy.stats.permutation_test` over *all* exchanges of paired answers. Random draws come near.
- Bootstrap over rows: `scipy.stats.bootstrap`, paired, percentiles, with its own draws.
- Bootstrap over seeds and rows: drawn here with numpy, all seeds of a draw scored on the same rows.

Scores are those of scikit-learn and scipy. All data are random numbers.
"""

import itertools
import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

HERE = Path(__file__).resolve().parent
DRAWS = 20_000

SCORES = {
    "accuracy": accuracy_score,
    "macro_f1": lambda gold, said: f1_score(gold, said, average="macro", zero_division=0),
    "pearson": lambda gold, said: stats.pearsonr(gold, said).statistic,
    "spearman": lambda gold, said: stats.spearmanr(gold, said).statistic,
}


def fast(name):
    """The same score, fast enough for many draws."""
    if name == "accuracy":
        return lambda gold, said: float(np.mean(gold == said))
    if name == "pearson":
        return lambda gold, said: float(np.corrcoef(gold, said)[0, 1])
    if name == "spearman":
        return lambda gold, said: float(np.corrcoef(stats.rankdata(gold), stats.rankdata(said))[0, 1])

    def macro_f1(gold, said):
        both = np.array([np.sum((gold == c) & (said == c)) for c in range(5)])
        all_ = np.bincount(gold, minlength=5) + np.bincount(said, minlength=5)
        return float(np.mean(2 * both[all_ > 0] / all_[all_ > 0]))

    return macro_f1


def answers(rng, name, rows, systems):
    """Labels, and what systems of different skill say."""
    if name in ("accuracy", "macro_f1"):
        gold = rng.integers(0, 3, rows)
        said = []
        for skill in systems:
            right = rng.random(rows) < skill
            said.append(np.where(right, gold, rng.integers(0, 3, rows)))
        return gold, said
    gold = np.round(rng.uniform(0, 5, rows) * 5) / 5
    said = [np.round(np.clip(gold + rng.normal(0, 5 * (1 - skill), rows), 0, 5), 3) for skill in systems]
    return gold, said


def closed(p):
    """Of each p-value the largest Bonferroni p-value of a set of hypotheses that it is in."""
    places = range(len(p))
    sets = [s for n in range(1, len(p) + 1) for s in itertools.combinations(places, n)]
    bonferroni = lambda s: min(1.0, len(s) * min(p[i] for i in s))
    return [max(bonferroni(s) for s in sets if i in s) for i in places]


def mcnemar():
    pairs = [(0, 0), (0, 1), (3, 3), (1, 8), (25, 10), (0, 20), (147, 111), (812, 745), (2031, 1800)]
    for first, second in pairs:
        n = first + second
        yield {"first": first, "second": second, "p": float(stats.binomtest(first, n).pvalue) if n else 1.0}


def holm(rng):
    for n in (1, 2, 3, 6):
        p = [float(x) for x in rng.uniform(0, 0.4, n) ** 2]
        yield {"p": p, "corrected": closed(p)}
    yield {"p": [0.01, 0.01, 0.04], "corrected": closed([0.01, 0.01, 0.04])}


def t_tests(rng):
    for n, m in ((2, 2), (3, 3), (5, 3), (3, 8), (10, 10)):
        first, second = rng.normal(0.5, 0.01, n), rng.normal(0.51, 0.02, m)
        yield {
            "first": first.tolist(),
            "second": second.tolist(),
            "paired": float(stats.ttest_rel(second, first).pvalue) if n == m else None,
            "welch": float(stats.ttest_ind(second, first, equal_var=False).pvalue),
        }


def rounded(numbers):
    return np.asarray(numbers).tolist()


def randomisation(rng):
    for name in SCORES:
        gold, (first, second) = answers(rng, name, 11, (0.3, 0.8))
        score = fast(name)
        exact = stats.permutation_test(
            (first, second),
            lambda a, b: score(gold, b) - score(gold, a),
            permutation_type="samples",
            n_resamples=np.inf,
        )
        observed = SCORES[name](gold, second) - SCORES[name](gold, first)
        assert abs(observed - exact.statistic) < 1e-12
        yield {
            "score": name,
            "gold": rounded(gold),
            "first": rounded(first),
            "second": rounded(second),
            "difference": float(observed),
            "p": float(exact.pvalue),
        }


def rows_bootstrap(rng):
    for name in SCORES:
        gold, (first, second) = answers(rng, name, 120, (0.6, 0.7))
        score = fast(name)
        found = stats.bootstrap(
            (gold, first, second),
            lambda g, a, b: score(g, b) - score(g, a),
            paired=True,
            vectorized=False,
            method="percentile",
            n_resamples=DRAWS,
            rng=rng,
        ).confidence_interval
        yield {
            "score": name,
            "gold": rounded(gold),
            "first": [rounded(first)],
            "second": [rounded(second)],
            "paired": False,
            "low": float(found.low),
            "high": float(found.high),
        }


def crossed_bootstrap(rng):
    for name, paired in itertools.product(("accuracy", "pearson"), (True, False)):
        n, m = (5, 5) if paired else (4, 6)
        luck = rng.normal(0, 0.06, max(n, m))
        skills = [0.5 + luck[:n], 0.6 + luck[:m] + rng.normal(0, 0.02, m)]
        gold, said = answers(rng, name, 90, np.concatenate(skills))
        score = fast(name)
        drawn = []
        for _ in range(DRAWS):
            rows = rng.integers(0, 90, 90)
            a = rng.integers(0, n, n)
            b = a if paired else rng.integers(0, m, m)
            of = lambda run: score(gold[rows], said[run][rows])
            drawn.append(np.mean([of(n + run) for run in b]) - np.mean([of(run) for run in a]))
        low, high = np.percentile(drawn, [2.5, 97.5])
        yield {
            "score": name,
            "gold": rounded(gold),
            "first": [rounded(it) for it in said[:n]],
            "second": [rounded(it) for it in said[n:]],
            "paired": paired,
            "low": float(low),
            "high": float(high),
        }


def main():
    rng = np.random.default_rng(22)
    packages = ("numpy", "scipy", "scikit-learn")
    golden = {
        "versions": {"python": platform.python_version()} | {it: version(it) for it in packages},
        "mcnemar": list(mcnemar()),
        "holm": list(holm(rng)),
        "t_tests": list(t_tests(rng)),
        "randomisation": list(randomisation(rng)),
        "bootstrap": [*rows_bootstrap(rng), *crossed_bootstrap(rng)],
    }
    # One case a line.
    text = json.dumps(golden)
    for start in ('{"first": ', '{"p": ', '{"score": '):
        text = text.replace(start, "\n" + start).replace(", \n", ",\n")
    (HERE / "statistics.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
