"""Writes the reference values of the golden test of the importance of searched keys.

    pip install numpy scipy
    python tests/golden/importance/export.py

- Eta squared follows from the F statistic of `scipy.stats.f_oneway`: F (k - 1) / (F (k - 1) + n - k).
- Spearman's rho is `scipy.stats.spearmanr`, with ties.

All data are random numbers.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy import stats

HERE = Path(__file__).resolve().parent


def main():
    draw = np.random.default_rng(5)
    groups, pairs = [], []
    for sizes in [(5, 5), (3, 8, 4), (2, 2, 2, 2), (12, 1), (20, 30, 25)]:
        effect = draw.normal(size=len(sizes))
        numbers = [(draw.normal(size=size) * 0.7 + at).tolist() for size, at in zip(sizes, effect)]
        f = stats.f_oneway(*numbers).statistic
        between, within = len(sizes) - 1, sum(sizes) - len(sizes)
        groups.append({"groups": numbers, "eta_squared": f * between / (f * between + within)})
    for rows, values in [(3, 9), (12, 4), (12, 1000), (40, 3), (60, 1000)]:
        x = draw.integers(0, values, size=rows).astype(float)
        y = np.round(0.02 * x + draw.normal(size=rows), 1)
        rho = stats.spearmanr(x, y).statistic
        pairs.append({"x": x.tolist(), "y": y.tolist(), "rho_squared": rho**2})
    golden = {"versions": {name: version(name) for name in ("numpy", "scipy")}, "groups": groups, "pairs": pairs}
    (HERE / "importance.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
