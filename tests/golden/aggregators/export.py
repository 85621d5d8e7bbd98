"""Writes the reference values of the gradient aggregators' golden test.

    pip install numpy scipy torch "torchjd[full]"
    python tests/golden/aggregators/export.py

Made with python 3.11, numpy 2.4.6, scipy 1.17.1, torch 2.15.0, torchjd 0.18.0 (see "versions" in the file).

Everything is computed on the gradient vectors themselves (the rows of J), or solved exactly by listing the active
sets, in f64. Where torchjd has the method, the value is checked against it before it is written.

- pcgrad (Yu et al. 2020): merged = sum of the projected gradients, orders without the task itself.
- pcgrad-tseng: as WeiChengTseng/Pytorch-PCGrad, whose inner loop meets the task's own gradient too. The sum is stored;
  that repository averages it over the tasks (all parameters, or those that every task touches, by version).
- gradvac (Wang et al. 2021): three steps on the same J; targets start at 0 and are updated after each pair, with the
  cosine from before the turn. LibMTL and torchjd default to beta = 0.5; the paper's 0.01 is used here.
- mgda: the minimum-norm point of the convex hull; no normalisation of the gradients.
- cagrad: g0 + c |g0| / |g_w| g_w as in the paper and torchjd. The authors' code also divides by 1 + c^2 by default.
- imtl-g: weights sum to 1 and may be negative.
- nash-mtl: `weights` is a > 0 with (G / |G|_F) a = 1 / a; `weights_raw` solves G a = 1 / a (= a / sqrt(|G|_F)).
  The authors' code, and torchjd's NashMTL after it, aims at the *raw* one although it normalises G: its constraint is
  log(a |G|_F) + log(G a / |G|_F) >= 0. It is only an approximation: up to 20 convex-concave steps with ECOS from a = 1
  (or from the previous call's a: it is stateful), errors of the solver swallowed. `torchjd` holds what it returns from
  a fresh state without the clipping of the merged norm to max_norm = 1: for information, not a reference. Where it
  converges it equals weights_raw to about 1e-6; it does not in scaled-2, scaled-4 and conflicting-3 (where a stays 1).
- aligned-mtl: scale "min" (the paper), mean preference.
- upgrad: mean over tasks of the projections onto the dual cone of the rows (Quinton & Rey 2024).
"""

import itertools
import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls
from torchjd.aggregation import CAGrad, GradVac, IMTLG, MGDA, AlignedMTL, NashMTL, UPGrad
from torchjd.linalg import QuadprogProjector

HERE = Path(__file__).resolve().parent
N, C, BETA = 8, 0.5, 0.01
ALL = ["pcgrad", "pcgrad-tseng", "gradvac", "mgda", "cagrad", "imtl-g", "nash-mtl", "aligned-mtl", "upgrad"]


# --- cases -----------------------------------------------------------------------------------------------------------


def cases():
    for m in (2, 3, 4):
        rng = np.random.default_rng(100 + m)
        r = lambda *s: rng.standard_normal(s)
        yield f"random-{m}", r(m, N), ALL
        # Norms that differ by more than a decade.
        yield f"scaled-{m}", r(m, N) * np.geomspace(0.2, 6.0, m)[:, None], ALL
        # Every pair conflicts: a simplex with some noise.
        s = 2.0 * (np.eye(m, N) - np.eye(m, N).sum(0) / m) + 0.15 * r(m, N)
        yield f"conflicting-{m}", s, ALL
        yield f"all-positive-{m}", np.abs(r(m, N)) + 0.1, ALL
        z = s[rng.permutation(m)] + 0.1 * r(m, N)
        z[m - 1] = 0.0
        yield f"zero-row-{m}", z, ["pcgrad", "pcgrad-tseng"]
        o = r(m, N)
        o[1] = -o[0]
        yield f"opposed-{m}", o, ["pcgrad", "pcgrad-tseng"]
        e = r(m, N)
        e[1] = e[0]
        if m > 2:
            e[2] -= 0.6 * e[0]
        yield f"equal-rows-{m}", e, ["pcgrad", "pcgrad-tseng", "mgda"]
    # Task 0 is nearly opposed to both others: after both projections it points against itself, so that j = i counts.
    a = np.deg2rad([0.0, 170.0, 190.0])
    s = np.zeros((3, N))
    s[:, 0], s[:, 1] = np.cos(a), np.sin(a)
    yield "self-negative-3", s + 0.01 * np.random.default_rng(7).standard_normal((3, N)), ALL


def orders(m, rng, with_self):
    return [[int(j) for j in rng.permutation(m) if with_self or j != i] for i in range(m)]


# --- methods on the vectors ------------------------------------------------------------------------------------------


def pcgrad(J, order):
    """Returns the sum of projected gradients, and how often a task's own gradient was subtracted."""
    total, self_hits = np.zeros(N), 0
    for i, js in enumerate(order):
        g = J[i].copy()
        for j in js:
            d = g @ J[j]
            if d < 0:
                g -= d / (J[j] @ J[j]) * J[j]
                self_hits += i == j and d < -1e-9 * (J[i] @ J[i])  # not rounding
        total += g
    return total, self_hits


def gradvac(J, order, T):
    """One step; T (targets) is updated in place."""
    total = np.zeros(N)
    for i, js in enumerate(order):
        g = J[i].copy()
        for j in js:
            ng, nj, t = np.linalg.norm(g), np.linalg.norm(J[j]), T[i, j]
            c = g @ J[j] / (ng * nj)
            if c < t:
                g += ng * (t * np.sqrt(1 - c * c) - c * np.sqrt(1 - t * t)) / (nj * np.sqrt(1 - t * t)) * J[j]
                assert abs(g @ J[j] / (np.linalg.norm(g) * nj) - t) < 1e-12
            T[i, j] = (1 - BETA) * t + BETA * c
        total += g
    return total


def supports(m):
    return (list(s) for k in range(1, m + 1) for s in itertools.combinations(range(m), k))


def mgda(J):
    m = len(J)
    for S in supports(m):
        A = J[S]
        K = np.block([[A @ A.T, np.ones((len(S), 1))], [np.ones((1, len(S))), np.zeros((1, 1))]])
        if np.linalg.matrix_rank(K) <= len(S):
            continue
        w = np.linalg.solve(K, np.append(np.zeros(len(S)), 1.0))[:-1]
        full = np.zeros(m)
        full[S] = w
        g = full @ J
        if w.min() >= 0 and (J @ g).min() >= g @ g - 1e-12 * np.max(J @ J.T):
            return full
    raise ValueError("no minimum-norm point")


def cagrad(J):
    """Minimises w.G.1/m + c |g0| sqrt(w.G.w) over the simplex: Newton's method on each face."""
    G, m = J @ J.T, len(J)
    g0 = J.mean(0)
    b, phi = J @ g0, C * np.linalg.norm(g0)
    grad = lambda w: b + phi * G @ w / np.sqrt(w @ G @ w)
    cost = lambda w: b @ w + phi * np.sqrt(w @ G @ w)
    best = None
    for S in supports(m):
        Gs, k = G[np.ix_(S, S)], len(S)
        w = np.full(k, 1.0 / k)
        f = lambda w: b[S] @ w + phi * np.sqrt(w @ Gs @ w)
        for _ in range(100):
            q, u = np.sqrt(w @ Gs @ w), Gs @ w
            H = phi * (Gs / q - np.outer(u, u) / q**3)
            K = np.block([[H, np.ones((k, 1))], [np.ones((1, k)), np.zeros((1, 1))]])
            step = np.linalg.lstsq(K, np.append(-(b[S] + phi * u / q), 0.0), rcond=1e-14)[0][:-1]
            t = 1.0
            while t > 1e-10 and f(w + t * step) > f(w) + 1e-15 * abs(f(w)):
                t /= 2
            w = w + t * step
            if np.abs(step).max() < 1e-14:
                break
        full = np.zeros(m)
        full[S] = w
        d = grad(full)
        ok = w.min() >= 0 and np.ptp(d[S]) < 1e-11 * np.abs(G).max() and d.min() > d[S].min() - 1e-11 * np.abs(G).max()
        if ok and (best is None or cost(full) < cost(best)):
            best = full
    w = best
    return 1.0 / m + phi / np.linalg.norm(w @ J) * w, w


def imtlg(J):
    """The paper's closed form: alpha_2.. = g_1 U' (D U')^-1, alpha_1 = 1 - sum."""
    u = J / np.linalg.norm(J, axis=1, keepdims=True)
    U, D = u[0] - u[1:], J[0] - J[1:]
    a = np.linalg.solve((D @ U.T).T, U @ J[0])
    return np.append(1.0 - a.sum(), a)


def nash(G):
    """Newton's method with backtracking on the convex a.G.a/2 - sum log a, whose minimum has G a = 1/a."""
    f = lambda a: a @ G @ a / 2 - np.log(a).sum()
    a = np.full(len(G), 1.0)
    for _ in range(200):
        step = np.linalg.solve(G + np.diag(a**-2.0), 1 / a - G @ a)
        t = 1.0
        while (a + t * step).min() <= 0 or (t > 1e-12 and f(a + t * step) > f(a) + 1e-14 * abs(f(a))):
            t /= 2
        a = a + t * step
        if np.abs(step / a).max() < 1e-15:
            break
    assert np.abs(a * (G @ a) - 1).max() < 1e-12, a * (G @ a)
    return a


def aligned(J):
    U, s, Vt = np.linalg.svd(J, full_matrices=False)
    return (s.min() * U / s) @ U.T @ np.full(len(J), 1.0 / len(J))


def upgrad(J):
    """Moreau: the projection of g onto the dual cone is g + J'l with l = argmin |J'l + g|, l >= 0."""
    m = len(J)
    return np.mean([np.eye(m)[i] + nnls(J.T, -J[i])[0] for i in range(m)], axis=0)


# --- the file --------------------------------------------------------------------------------------------------------


def agree(name, method, ours, theirs, tol):
    err = np.abs(ours - theirs).max() / np.abs(ours).max()
    assert err < tol, (name, method, err, ours, theirs)
    return err


def torchjd_gradvac(J, steps):
    """The same orders in torchjd, by giving it the permutations that it would draw."""
    agg, real = GradVac(beta=BETA, eps=0.0), torch.randperm
    out = []
    try:
        for order in steps:
            queue = [[sorted(js).index(j) for j in js] for js in order]
            torch.randperm = lambda n: torch.tensor(queue.pop(0))
            out.append(agg(torch.from_numpy(J)).numpy())
    finally:
        torch.randperm = real
    return out


def main():
    out, worst, hits = [], {}, 0
    for index, (name, J, methods) in enumerate(cases()):
        J = np.round(J, 4)
        m, G, T = len(J), J @ J.T, torch.from_numpy(J)
        rng = np.random.default_rng(1000 + index)
        full_rank = np.linalg.matrix_rank(J) == m
        entry = {"name": name, "m": m, "J": J, "G": G, "methods": {}}

        def check(method, theirs, tol):
            ours = entry["methods"][method]["merged"]
            worst[method] = max(worst.get(method, 0.0), agree(name, method, ours, theirs.numpy(), tol))

        def store(method, w, **extra):
            entry["methods"][method] = {"weights": w, "weights_unique": bool(full_rank), "merged": w @ J, **extra}

        for method in methods:
            if method == "pcgrad":
                # The natural order and one in which some task's order differs.
                first = [[j for j in range(m) if j != i] for i in range(m)]
                second = [js[::-1] for js in first] if m < 4 else orders(m, rng, False)
                entry["methods"][method] = [{"orders": o, "merged": pcgrad(J, o)[0]} for o in (first, second)]
            elif method == "pcgrad-tseng":
                # The task itself last (where it can matter), and a random order.
                first = [[j for j in range(m) if j != i] + [i] for i in range(m)]
                rows = []
                for o in (first, orders(m, rng, True)):
                    merged, n = pcgrad(J, o)
                    hits += n
                    rows.append({"orders": o, "self_hits": int(n), "merged": merged})
                entry["methods"][method] = rows
            elif method == "gradvac":
                steps, targets = [orders(m, rng, False) for _ in range(3)], np.zeros((m, m))
                rows = []
                for o in steps:
                    merged = gradvac(J, o, targets)
                    rows.append({"orders": o, "merged": merged, "targets": targets.copy()})
                for row, theirs in zip(rows, torchjd_gradvac(J, steps), strict=True):
                    worst[method] = max(worst.get(method, 0.0), agree(name, method, row["merged"], theirs, 1e-10))
                entry["methods"][method] = rows
            elif method == "mgda":
                store(method, mgda(J))
                # Frank-Wolfe converges slowly: only a rough check.
                check(method, MGDA(epsilon=1e-15, max_iters=5000)(T), 2e-2)
            elif method == "cagrad":
                weights, w = cagrad(J)
                store(method, weights, simplex=w)
                check(method, CAGrad(c=C, norm_eps=1e-12)(T), 1e-3)
            elif method == "imtl-g":
                store(method, imtlg(J))
                check(method, IMTLG()(T), 1e-9)
            elif method == "nash-mtl":
                norm = np.linalg.norm(G)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    seen = []
                    agg = NashMTL(n_tasks=m, max_norm=0.0)
                    agg.weighting.register_forward_hook(lambda _m, _i, o: seen.append(o.numpy().copy()))
                    agg(T)
                store(method, nash(G / norm), weights_raw=nash(G), torchjd=seen[0])
            elif method == "aligned-mtl":
                store(method, aligned(J))
                check(method, AlignedMTL()(T), 1e-9)
            elif method == "upgrad":
                store(method, upgrad(J))
                check(method, UPGrad(projector=QuadprogProjector(norm_eps=1e-12, reg_eps=1e-13))(T), 1e-8)
        out.append(entry)
    assert hits > 0, "no case in which pcgrad-tseng subtracts a task's own gradient"

    def plain(x):
        if isinstance(x, np.ndarray):
            return [plain(v) for v in x.tolist()]
        if isinstance(x, dict):
            return {k: plain(v) for k, v in x.items()}
        if isinstance(x, list):
            return [plain(v) for v in x]
        return 0.0 if isinstance(x, float) and x == 0 else x

    doc = {
        "versions": {"python": platform.python_version()}
        | {p: version(p) for p in ("numpy", "scipy", "torch", "torchjd", "cvxpy", "ecos", "quadprog")},
        "params": {"n": N, "cagrad_c": C, "gradvac_beta": BETA},
    }
    lines = ",\n".join("  " + json.dumps(plain(e), separators=(",", ":")) for e in out)
    text = json.dumps(doc, indent=1)[:-2] + ',\n "cases": [\n' + lines + "\n ]\n}\n"
    assert json.loads(text)["cases"] and len(text) < 100 * 1024, len(text)
    (HERE / "aggregators.json").write_text(text)
    print(f"{len(out)} cases, {len(text)} bytes, {hits} self hits; largest difference from torchjd (relative):")
    for method, err in worst.items():
        print(f"  {method:12} {err:.1e}")


if __name__ == "__main__":
    main()
