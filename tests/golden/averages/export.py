"""Writes the reference values of the averages' golden test.

    pip install torch
    python tests/golden/averages/export.py

Made with python 3.11, torch 2.9.1, in f64: `torch.optim.swa_utils.AveragedModel` over the weights of an SGD run. Its plain mean
is its default; its exponential average is given the decay min(d, (1 + n) / (10 + n)) of n averaged models, which is checked to
be `get_ema_multi_avg_fn(d)` where d is the smaller. `start` is the first update that is averaged, counted from 1.
"""

import json
from pathlib import Path

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

HERE = Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)
UPDATES, WIDTH = 40, 3


def run(start, **how):
    torch.manual_seed(1)
    model = torch.nn.Linear(WIDTH, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    average = AveragedModel(model, **how)
    weights, averages = [], []
    for update in range(1, UPDATES + 1):
        loss = (model(torch.randn(5, WIDTH)) - torch.randn(5, 1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if update >= start:
            average.update_parameters(model)
        weights.append(model.weight.detach().flatten().tolist())
        averages.append(average.module.weight.detach().flatten().tolist() if update >= start else None)
    return {"start": start, "weights": weights, "averages": averages}


def ema(decay):
    def follow(average, weight, averaged):
        d = min(decay, (1 + averaged) / (10 + averaged))
        return d * average + (1 - d) * weight

    return follow


cases = {
    "ema": {"decay": 0.9, **run(1, avg_fn=ema(0.9))},
    # From 26 averaged models on the decay is .75.
    "ema-late": {"decay": 0.75, **run(6, avg_fn=ema(0.75))},
    "swa": run(30),
}
# (1 + n) / (10 + n) is above .1 from the first on.
plain, ours = run(1, multi_avg_fn=get_ema_multi_avg_fn(0.1)), run(1, avg_fn=ema(0.1))
for one, other in zip(plain["averages"], ours["averages"]):
    assert all(abs(a - b) < 1e-12 for a, b in zip(one, other))
(HERE / "averages.json").write_text(json.dumps(cases) + "\n")
