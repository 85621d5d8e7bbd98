"""Writes the reference values of the regularisers' golden test.

    pip install numpy torch safetensors smart-pytorch
    python tests/golden/regularisers/export.py [FOLDER OF namisan/mt-dnn]

Made with python 3.11, torch 2.15.0, safetensors 0.8.0, smart-pytorch 0.0.4, mt-dnn at commit 3228e7c.

A toy model (embedding table, tanh layer, masked mean, linear layer; a pair's output is a scaled cosine) in f64, whose
gradients are autograd's. Written from the formulas of Jiang et al. 2020: start from a given perturbation, `steps` times
go up the divergence from the clean (detached) logits, summed over the batch; the penalty is the mean divergence of the
perturbed from the clean logits, neither detached, the perturbation a constant. R-Drop: half the mean divergence between
two passes whose embeddings differ by a given offset.

The divergence KL(P||Q) + KL(Q||P) is computed as sum (p - q)(log p - log q): the same number (checked against the two
terms as they are written, to 2e-16 in f64 at large sizes and to 2e-11 in long double at all), of which f64 keeps eleven
digits where the perturbation is 1e-5.

The public implementations, started from the same perturbation, against the reference (inf-norm, their only one that
runs; relative to the largest value; one and two steps; "real": sigma 1e-5, eta 1e-3; "large": .4 and .5):

- mt-dnn, classification. Its ascent follows `stable_kl`, one direction of KL whose log ratio is detached: perturbation
  differs by 1.7e-3 and 2.3e-3 (real), .28 and .79 (large); the penalty at it by 4.6e-3 and 8.4e-3, .12 and .44. With
  the divergence of the paper put in the place of `stable_kl` the perturbation is the same to 2e-16, and the penalty to
  2e-7 (it is computed in f32).
  Its penalty (SymKlCriterion) detaches the target in each of the two KL terms: the same value, but the gradient of the
  weights differs by .37 and .43 (real), .68 and .75 (large). With a penalty that detaches nothing: 2e-16.
- mt-dnn, regression. Same perturbation (2e-16). MseCriterion squeezes one of two [n, 1] outputs, so that all n^2 pairs
  are compared: penalty 1.1 to 5.9 times its size off, the gradient 1.4 to 5.9. With equal shapes: 0 and 2e-16.
- mt-dnn with norm_p = "l2" raises UnboundLocalError (`eff_direction`), and sentence_level raises TypeError.
- mt-dnn perturbs padding, too; outputs do not depend on it, and it is left out of the comparison.
- smart-pytorch, with the divergence of the paper given to it: all the same to 2e-16. With its own `sym_kl_loss`, which
  detaches the target in each term (its ascent therefore follows one KL alone): perturbation 2.7e-3 and 4.7e-3 (real),
  .31 and .41 (large), penalty 7.8e-3 and 1.4e-2, .08 and .24, gradient .37 and .43, .80 and .79.
"""

import sys
import types
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)

VOCAB, HIDDEN, INNER, LENGTH = 12, 6, 7, 5
KINDS = {"categorical": 5, "real": 1, "bernoulli-pair": 4, "real-pair": 4}
# sigma, epsilon, eta: what people use, and sizes at which f32 has digits to compare.
SIZES = {"real-size": (1e-5, 1e-5, 1e-3), "large": (0.4, 0.5, 0.5)}
SCALE = 4.0
WEIGHTS = ("table", "w1", "b1", "w2", "b2")


class Toy:
    """Embeddings from a table; tanh layer; mean over tokens; linear layer; a pair's output is a scaled cosine."""

    def __init__(self, kind, index):
        rng = torch.Generator().manual_seed(10 + index)
        draw = lambda *shape: torch.randn(*shape, generator=rng)
        # Weights and noise are numbers of f32, so that both widths start from the same ones.
        keep = lambda t: t.float().double()
        self.kind, self.pair = kind, kind.endswith("pair")
        outputs = KINDS[kind]
        self.examples = 3 if self.pair else 4
        sequences = 2 * self.examples if self.pair else self.examples
        self.ids = torch.randint(1, VOCAB, (sequences, LENGTH), generator=rng)
        self.mask = torch.ones(sequences, LENGTH)
        for row, length in enumerate((LENGTH, 3, 4, 1, 5, 2)[:sequences]):
            self.mask[row, length:] = 0
            self.ids[row, length:] = 0
        self.table, self.w1 = keep(draw(VOCAB, HIDDEN)), keep(draw(HIDDEN, INNER) * 0.6)
        self.b1, self.w2 = keep(draw(INNER) * 0.3), keep(draw(INNER, outputs))
        self.b2 = keep(draw(outputs) * 0.3)
        self.noise = draw(sequences, LENGTH, HIDDEN)
        self.offset = keep(draw(sequences, LENGTH, HIDDEN) * 0.2)
        for name in WEIGHTS:
            getattr(self, name).requires_grad_()

    def weights(self):
        return [getattr(self, name) for name in WEIGHTS]

    def embed(self):
        return self.table[self.ids]

    def classify(self, e):
        h = torch.tanh(e @ self.w1 + self.b1)
        pooled = (h * self.mask[..., None]).sum(1) / self.mask.sum(1, keepdim=True)
        out = pooled @ self.w2 + self.b2
        if not self.pair:
            return out
        u, v = out[: self.examples], out[self.examples :]
        return (SCALE if self.kind.startswith("bern") else 1.0) * F.cosine_similarity(u, v, dim=1)[:, None]

    def distributions(self, logits):
        """Log probabilities; a probability p is the distribution (p, 1 - p)."""
        if self.kind == "categorical":
            return F.log_softmax(logits, 1)
        return torch.cat([F.logsigmoid(logits), F.logsigmoid(-logits)], 1)

    def naive(self, logits, other):
        """Each example's KL(P||Q) + KL(Q||P), as it is written."""
        p, q = self.distributions(logits), self.distributions(other)
        return (p.exp() * (p - q)).sum(1) + (q.exp() * (q - p)).sum(1)

    def distance(self, logits, other):
        """Each example's l_s. The two KL terms in one sum: the same number with 11 digits more at real sizes."""
        if self.kind.startswith("real"):
            return ((logits - other) ** 2).sum(1)
        p, q = self.distributions(logits), self.distributions(other)
        return ((p.exp() - q.exp()) * (p - q)).sum(1)


# --- SMART -----------------------------------------------------------------------------------------------------------


def per_example(toy, x, norm):
    """An example's norm, over both of its sentences, for each sequence."""
    flat = x.reshape(-1, toy.examples, LENGTH * HIDDEN)
    size = flat.abs().amax((0, 2)) if norm == "linf" else (flat**2).sum((0, 2)).sqrt()
    return size.repeat(flat.shape[0])[:, None, None]


def perturbation(toy, start, variant, norm, steps, epsilon, eta):
    embedded = toy.embed().detach()
    target = toy.classify(embedded).detach()
    keep = toy.mask[..., None]
    d = start * keep
    for _ in range(steps):
        d = d.detach().requires_grad_()
        total = toy.distance(toy.classify(embedded + d), target).sum()
        (g,) = torch.autograd.grad(total, d)
        g = g * keep
        if variant == "paper":
            d = d + eta * g / per_example(toy, g, norm)
            if norm == "linf":
                d = d.clamp(-epsilon, epsilon)
            else:
                size = per_example(toy, d, norm)
                d = torch.where(size > epsilon, d * (epsilon / size), d)
        else:
            d = d + eta * g
            size = d.abs().amax(-1, keepdim=True) if norm == "linf" else (d**2).sum(-1, keepdim=True).sqrt()
            d = d / (size + 1e-6)
    return d.detach()


def penalty(toy, d):
    e = toy.embed()
    r = toy.distance(toy.classify(e + d), toy.classify(e)).mean()
    return r, torch.autograd.grad(r, toy.weights())


def longdouble_check(toy, d, r):
    """The naive divergence of the given logits in 64-bit mantissas."""
    pair = toy.classify(toy.embed() + d), toy.classify(toy.embed())
    logits = [t.detach().numpy().astype(np.longdouble) for t in pair]
    if toy.kind != "categorical":
        logits = [np.concatenate([z, np.zeros_like(z)], 1) for z in logits]
    p, q = (z - np.log(np.exp(z).sum(1, keepdims=True)) for z in logits)
    value = ((np.exp(p) * (p - q)).sum(1) + (np.exp(q) * (q - p)).sum(1)).mean()
    return float(abs(value - r) / abs(r))


# --- the public implementations --------------------------------------------------------------------------------------


def relative(a, b):
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / b.abs().max())


def load_mt_dnn(folder):
    """Its perturbation module without its packages' other imports."""
    for name in ("mt_dnn", "data_utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(folder) / name)]
        sys.modules[name] = package
    import mt_dnn.loss
    import mt_dnn.perturbation

    return mt_dnn.perturbation, mt_dnn.loss


def run_mt_dnn(modules, toy, start, steps, eta, ascent=None, last=None):
    """Perturbation, penalty and its gradients as mt-dnn computes them from the same start."""
    module, loss = modules
    classification = toy.kind == "categorical"
    seen = []

    def model(_ids, _types, _mask, _premise, _hypothesis, _task, phase, embed=None):
        if phase == 1:
            seen.append(toy.embed())
            return seen[0]
        seen.append(embed)
        return toy.classify(embed)

    original = module.stable_kl
    module.generate_noise = lambda *_, **__: start.clone().requires_grad_()
    if ascent:
        module.stable_kl = ascent
    try:
        smart = module.SmartPerturbation(
            epsilon=1e-6,
            step_size=eta,
            k=steps,
            loss_map=[last or (loss.SymKlCriterion() if classification else loss.MseCriterion())],
        )
        kind = module.TaskType.Classification if classification else module.TaskType.Regression
        r, *_ = smart.forward(model, toy.classify(toy.embed()), None, None, toy.mask, task_type=kind)
    finally:
        module.stable_kl = original
    d = (seen[-1] - seen[0]).detach() * toy.mask[..., None]
    return d, r.detach().double(), torch.autograd.grad(r, toy.weights())


def run_smart_pytorch(toy, start, steps, eta, ascent, last):
    from smart_pytorch import SMARTLoss

    seen = []

    def classify(e):
        seen.append(e)
        return toy.classify(e)

    real, torch.randn_like = torch.randn_like, lambda *_, **__: start.clone().requires_grad_()
    try:
        smart = SMARTLoss(classify, ascent, last, num_steps=steps, step_size=eta, noise_var=1.0)
        e = toy.embed()
        r = smart(e, toy.classify(e))
    finally:
        torch.randn_like = real
    d = (seen[-1] - e).detach() * toy.mask[..., None]
    return d, r.detach(), torch.autograd.grad(r, toy.weights())


def compare(mt_dnn, toy, start, steps, eta, ours, where):
    """Prints how far the public implementations are from ours: perturbation, penalty, largest weight gradient."""
    d, r, grads = ours
    total = lambda z, t: toy.distance(z, t).sum()
    runs = {}
    if mt_dnn:
        runs["mt-dnn"] = run_mt_dnn(mt_dnn, toy, start, steps, eta)
        last = lambda z, t, ignore_index: toy.distance(z, t).mean()
        if toy.kind == "categorical":
            ascent = lambda z, t, reduce: total(z, t)
            runs["mt-dnn, ascending l_s"] = run_mt_dnn(mt_dnn, toy, start, steps, eta, ascent)
            runs["mt-dnn, ascending l_s; R not detached"] = run_mt_dnn(mt_dnn, toy, start, steps, eta, ascent, last)
        else:
            runs["mt-dnn, squared error of equal shapes"] = run_mt_dnn(mt_dnn, toy, start, steps, eta, last=last)
    try:
        from smart_pytorch import sym_kl_loss
    except ImportError:
        print("skipped smart-pytorch: not installed")
    else:
        mean = lambda z, t: toy.distance(z, t).mean()
        if toy.kind == "categorical":
            batch = lambda z, t: sym_kl_loss(z, t, reduction="batchmean")
            runs["smart-pytorch, sym_kl_loss"] = run_smart_pytorch(toy, start, steps, eta, sym_kl_loss, batch)
        runs["smart-pytorch, ascending l_s"] = run_smart_pytorch(toy, start, steps, eta, total, mean)
    for name, (theirs, value, gradients) in runs.items():
        flat = lambda parts: torch.cat([part.flatten() for part in parts])
        difference = relative(flat(gradients), flat(grads))
        print(
            f"  {where:31} {name:37} perturbation {relative(theirs, d):.1e}  penalty {relative(value, r):.1e}"
            f"  gradient {difference:.1e}"
        )


# --- the file --------------------------------------------------------------------------------------------------------


def main():
    mt_dnn = load_mt_dnn(sys.argv[1]) if len(sys.argv) > 1 else None
    if mt_dnn is None:
        print("skipped mt-dnn: no folder given")
    out = {f"{size}/settings": torch.tensor(values) for size, values in SIZES.items()}
    worst_naive = worst_long = 0.0
    for index, kind in enumerate(KINDS):
        toy = Toy(kind, index)
        for name in WEIGHTS + ("ids", "mask", "offset"):
            out[f"{kind}/{name}"] = getattr(toy, name).detach()
        out[f"{kind}/logits"] = toy.classify(toy.embed()).detach()

        r = 0.5 * toy.distance(toy.classify(toy.embed() + toy.offset), toy.classify(toy.embed())).mean()
        gradients = torch.autograd.grad(r, toy.weights())
        out[f"{kind}/r-drop/penalty"] = r.detach()[None]
        for name, g in zip(WEIGHTS, gradients, strict=True):
            out[f"{kind}/r-drop/{name}"] = g

        for size, (sigma, epsilon, eta) in SIZES.items():
            start = (toy.noise * sigma).float().double()
            out[f"{kind}/{size}/start"] = start
            found = []
            for variant in ("paper", "mt-dnn"):
                for norm in ("linf", "l2"):
                    for steps in (1, 2):
                        d = perturbation(toy, start, variant, norm, steps, epsilon, eta)
                        assert (d * (1 - toy.mask)[..., None] == 0).all()
                        r, gradients = penalty(toy, d)
                        where = f"{kind}/{size}/{variant}/{norm}/{steps}"
                        out[f"{where}/perturbation"], out[f"{where}/penalty"] = d, r.detach()[None]
                        for name, g in zip(WEIGHTS, gradients, strict=True):
                            out[f"{where}/{name}"] = g
                        found.append(d)
                        if not kind.startswith("real"):
                            naive = toy.naive(toy.classify(toy.embed() + d), toy.classify(toy.embed())).mean()
                            worst_long = max(worst_long, longdouble_check(toy, d, r.detach().numpy()))
                            if size == "large":
                                worst_naive = max(worst_naive, relative(naive, r))
                        if (variant, norm) == ("mt-dnn", "linf") and kind in ("categorical", "real"):
                            compare(mt_dnn, toy, start, steps, eta, (d, r, gradients), where)
            # No setting is another one in disguise.
            for i, one in enumerate(found):
                for other in found[:i]:
                    assert relative(one, other) > 1e-6, (kind, size)
    print(f"one sum against two KL terms: {worst_naive:.1e} (f64, large sizes), {worst_long:.1e} (long double, all)")
    path = HERE / "regularisers.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in out.items()}, path)
    print(path, path.stat().st_size)


if __name__ == "__main__":
    main()
