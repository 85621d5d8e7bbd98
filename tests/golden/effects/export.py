"""Writes the reference values of the ablation effects' golden test.

    pip install numpy scipy
    python tests/golden/effects/export.py

Made with python 3.11, numpy 2.4.6, scipy 1.17.1 (see "versions" in the file).

The scores are random numbers. Effects come from one least squares problem on the runs themselves: effects coding of the
factors (the baseline is -1 in every column) with all interactions, and effects coding of the seeds as blocks. The Rust
code knows no design matrix: it takes contrasts of cell means. A half fraction, whose interactions are not all estimable,
is fitted with one column of each pair of aliases.

- Intervals of complete data: scipy.stats.ttest_1samp on the effects fitted to each seed alone.
- Intervals of data with runs missing: the fit without each seed in turn, t with n - 1 degrees of freedom.
- Bootstrap: all n^n ordered draws instead of random ones, a seed that is drawn twice repeated in the rows. At three
  seeds the 2.5 % tail lies well inside one draw's share, so that random draws find the same limits.
"""

import itertools
import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats

HERE = Path(__file__).resolve().parent


# --- cases -----------------------------------------------------------------------------------------------------------


def switches(names):
    return [{"name": name, "levels": ["off", "on"]} for name in names]


ORDER = {"name": "order", "levels": ["fixed", "random", "curriculum"]}
LOSS = {"name": "loss", "levels": ["bce", "mse", "cosine", "margin"]}


def cases():
    """Name, design, factors, number of seeds, (cell, seed) to leave out, confidence."""
    yield "two-by-two", "full", switches(["smart", "pcgrad"]), 3, [], 0.95
    yield "cube", "full", switches(["smart", "pcgrad", "pooling"]), 4, [], 0.9
    yield "many-levels", "full", [ORDER, *switches(["smart"]), LOSS], 3, [], 0.95
    yield "one-run-missing", "full", switches(["smart", "pcgrad"]), 3, [(1, 2)], 0.95
    yield "five-runs-missing", "full", [*switches(["smart"]), ORDER], 5, [(0, 0), (0, 3), (2, 4), (3, 1), (5, 0)], 0.99
    yield "half-3", "half", switches("abc"), 3, [], 0.95
    yield "half-4", "half", switches("abcd"), 3, [], 0.95
    yield "half-4-missing", "half", switches("abcd"), 4, [(0, 1), (6, 2)], 0.95
    yield "half-5", "half", switches("abcde"), 2, [], 0.95


# --- the linear model --------------------------------------------------------------------------------------------------


def coding(levels, level):
    """Effects coding: one column a non-baseline level, -1 throughout at the baseline."""
    i = levels.index(level)
    return -np.ones(len(levels) - 1) if i == 0 else np.eye(len(levels) - 1)[i - 1]


def terms(design, factors):
    """The sets of factors that have columns, by index."""
    k = len(factors)
    every = [s for n in range(1, k + 1) for s in itertools.combinations(range(k), n)]
    if design == "full":
        return every
    kept = []
    for s in every:  # short ones first
        rest = tuple(i for i in range(k) if i not in s)
        if len(s) < k and rest not in kept:
            kept.append(s)
    return kept


def columns(factors, term, cell):
    out = np.ones(1)
    for i in term:
        out = np.kron(out, coding(factors[i]["levels"], cell[factors[i]["name"]]))
    return out


def fit(design, factors, rows, response):
    """Least squares; returns the effects, or None when they are not estimable."""
    kept = terms(design, factors)
    seeds = sorted({row["seed"] for row in rows})
    X, y = [], []
    for row in rows:
        parts = [np.ones(1)] + [columns(factors, term, row["levels"]) for term in kept]
        X.append(np.concatenate([*parts, coding(seeds, row["seed"])]))
        y.append(row["values"][response])
    X = np.array(X)
    if np.linalg.matrix_rank(X) < X.shape[1]:
        return None
    beta = np.linalg.lstsq(X, np.array(y), rcond=None)[0]
    start, where = 1, {}
    for term in kept:
        size = int(np.prod([len(factors[i]["levels"]) - 1 for i in term]))
        where[term] = beta[start : start + size]
        start += size

    def at(term, levels):
        """What the model says of a term at some levels: an aliased term is its alias, up to the sign of the relation."""
        cell = {factors[i]["name"]: level for i, level in zip(term, levels)}
        if term in where:
            return columns(factors, term, cell) @ where[term]
        other = tuple(i for i in range(len(factors)) if i not in term)
        sign = np.prod([coding(factors[i]["levels"], level)[0] for i, level in zip(term, levels)])
        return (-1) ** len(factors) * sign * where[other][0]

    effects = []
    for i, factor in enumerate(factors):
        base, *levels = factor["levels"]
        effects += [at((i,), (level,)) - at((i,), (base,)) for level in levels]
    # In the order of the first factor's level, then of the second factor and its level.
    for i, level in ((i, level) for i, factor in enumerate(factors) for level in factor["levels"][1:]):
        for j in range(i + 1, len(factors)):
            for other in factors[j]["levels"][1:]:
                a, b = factors[i]["levels"][0], factors[j]["levels"][0]
                f = lambda *levels: at((i, j), levels)
                effects.append((f(level, other) - f(level, b) - f(a, other) + f(a, b)) / 2)
    return np.array(effects)


def names(factors):
    main = [(f"{l} vs {f['levels'][0]}", i) for i, f in enumerate(factors) for l in f["levels"][1:]]
    out = [([factors[i]["name"]], label) for label, i in main]
    return out + [
        ([factors[i]["name"], factors[j]["name"]], f"{a} × {b}")
        for (a, i), (b, j) in itertools.combinations(main, 2)
        if i != j
    ]


# --- intervals ---------------------------------------------------------------------------------------------------------


def quantiles(values, tail):
    """The smallest and the largest value with at least the share `tail` of all draws on its side."""
    values, need = np.sort(values), int(np.ceil(tail * len(values)))
    assert 0.3 < tail * len(values) - (need - 1) < 0.7, "random draws might find a neighbour"
    return values[need - 1], values[-need]


def analyse(design, factors, rows, response, complete, confidence):
    seeds = sorted({row["seed"] for row in rows})
    of = lambda s: [row for row in rows if row["seed"] == s]
    n = len(seeds)
    estimate = fit(design, factors, rows, response)
    if complete:
        within = np.array([fit(design, factors, of(s), response) for s in seeds])
        test = stats.ttest_1samp(within, 0.0)
        interval = test.confidence_interval(confidence)
        low, high, p = interval.low, interval.high, test.pvalue
    else:
        without = np.array([fit(design, factors, [r for r in rows if r["seed"] != s], response) for s in seeds])
        error = np.sqrt((n - 1) / n * ((without - estimate) ** 2).sum(0))
        margin = error * stats.t.ppf(0.5 + confidence / 2, n - 1)
        low, high, p = estimate - margin, estimate + margin, 2 * stats.t.sf(np.abs(estimate) / error, n - 1)
    bootstrap = [None] * len(estimate)
    if n == 3:
        draws = []
        for draw in itertools.product(seeds, repeat=n):
            drawn = fit(design, factors, [row for s in draw for row in of(s)], response)
            draws += [] if drawn is None else [drawn]
        bootstrap = [quantiles(column, (1 - confidence) / 2) for column in np.array(draws).T]
    effects = []
    for i, (factor_names, contrast) in enumerate(names(factors)):
        others = [f["name"] for f in factors if f["name"] not in factor_names]
        effects.append(
            {
                "factors": factor_names,
                "response": response,
                "contrast": contrast,
                "estimate": float(estimate[i]),
                "low": float(low[i]),
                "high": float(high[i]),
                "method": "paired-t" if complete else "jackknife-t",
                "bootstrap": bootstrap[i] and dict(zip(("low", "high"), map(float, bootstrap[i]))),
                "p_value": float(p[i]),
                "seeds": n,
                "aliased_with": [others] if design == "half" else [],
            }
        )
    return effects


def main():
    out = []
    for number, (name, design, factors, n, missing, confidence) in enumerate(cases()):
        rng = np.random.default_rng(40 + number)
        cells = list(itertools.product(*[f["levels"] for f in factors]))
        if design == "half":
            cells = [cell for cell in cells if cell.count("on") % 2 == 0]
        luck = rng.normal(0, 0.05, (n, 2))
        rows = []
        for (c, cell), s in itertools.product(enumerate(cells), range(n)):
            values = rng.normal([0.5, 0.8], 0.02) + luck[s] + 0.03 * (c % 3)
            if (c, s) not in missing:
                levels = dict(zip([f["name"] for f in factors], cell))
                rows.append(
                    {"levels": levels, "seed": 100 + 7 * s, "values": {k: round(float(v), 6) for k, v in zip(("overall", "sst"), values)}}
                )
        by_response = [analyse(design, factors, rows, r, not missing, confidence) for r in ("overall", "sst")]
        out.append(
            {
                "name": name,
                "design": design,
                "confidence": confidence,
                "factors": factors,
                "observations": rows,
                "effects": [effect for pair in zip(*by_response) for effect in pair],
            }
        )
    versions = {"python": platform.python_version()} | {p: version(p) for p in ("numpy", "scipy")}
    # One run or effect a line.
    text = json.dumps({"versions": versions, "cases": out}, ensure_ascii=False)
    for start in ('{"levels": {', '{"factors": [', '{"name": "'):
        text = text.replace(start, "\n" + start).replace(", \n", ",\n")
    (HERE / "effects.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
