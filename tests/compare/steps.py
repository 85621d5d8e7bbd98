"""The work that bertram is compared with: plain PyTorch, as one would write it today.

A step is a function that makes one update (or evaluates one batch) on random weights and tokens of the given shape.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel

SHAPES = {
    "minilm": {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536},
    "base": {},
}


class Multitask(nn.Module):
    """A BERT with heads as in `bertram-cli bench`: linear for sentiment, a cosine for each task of pairs."""

    def __init__(self, shape, pooling="cls"):
        super().__init__()
        self.pooling = pooling
        config = BertConfig(**SHAPES[shape])
        config._attn_implementation = "sdpa"
        self.bert = BertModel(config, add_pooling_layer=False)
        self.sentiment = nn.Linear(config.hidden_size, 5)
        self.scale = nn.Parameter(torch.ones(1))
        self.shift = nn.Parameter(torch.zeros(1))
        self.dropout = nn.Dropout(0.3)

    def embed(self, ids):
        return self.bert.embeddings(input_ids=ids)

    def encode(self, embedded, mask):
        bias = (1.0 - mask[:, None, None, :]) * torch.finfo(embedded.dtype).min
        hidden = embedded
        for layer in self.bert.encoder.layer:
            output = layer(hidden, bias)
            hidden = output[0] if isinstance(output, tuple) else output
        if self.pooling == "cls":
            return self.dropout(hidden[:, 0])
        tokens = mask.unsqueeze(-1)
        return self.dropout((hidden * tokens).sum(1) / tokens.sum(1))

    def logits(self, task, embedded, mask):
        pooled = self.encode(embedded, mask)
        if task == "sst":
            return self.sentiment(pooled)
        first, second = pooled.chunk(2)
        cosine = F.cosine_similarity(first, second)
        return cosine * self.scale + self.shift if task == "para" else cosine

    def loss(self, task, logits, labels):
        if task == "sst":
            return F.cross_entropy(logits, labels)
        if task == "para":
            return F.binary_cross_entropy_with_logits(logits, labels)
        return F.mse_loss(logits, labels)


def optimizer(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-5, eps=1e-6, weight_decay=0.0, fused=True)


def batch(model, task, examples, sequence):
    rows = examples if task == "sst" else 2 * examples
    ids = torch.randint(0, model.bert.config.vocab_size, (rows, sequence))
    labels = torch.ones(examples, dtype=torch.long if task == "sst" else torch.float32)
    return ids, torch.ones(rows, sequence), labels


def symmetric_kl(one, other):
    one, other = F.log_softmax(one, -1), F.log_softmax(other, -1)
    return ((one.exp() - other.exp()) * (one - other)).sum(-1)


def train_step(model, examples, sequence):
    model.train()
    adamw = optimizer(model)
    ids, mask, labels = batch(model, "sst", examples, sequence)

    def step():
        loss = model.loss("sst", model.logits("sst", model.embed(ids), mask), labels)
        adamw.zero_grad(set_to_none=True)
        loss.backward()
        adamw.step()

    return step, ids.numel()


def evaluate(model, examples, sequence):
    model.eval()
    ids, mask, _ = batch(model, "sst", examples, sequence)

    @torch.inference_mode()
    def step():
        model.logits("sst", model.embed(ids), mask)

    return step, ids.numel()


def smart(model, examples, sequence, epsilon=1e-5, sigma=1e-5, eta=1e-3):
    """SMART with one ascent step; the ascent's gradient is asked for the perturbation alone."""
    model.train()
    adamw = optimizer(model)
    ids, mask, labels = batch(model, "sst", examples, sequence)

    def step():
        embedded = model.embed(ids)
        clean = model.logits("sst", embedded, mask)
        delta = (torch.randn_like(embedded) * sigma).requires_grad_()
        noisy = model.logits("sst", embedded.detach() + delta, mask)
        (gradient,) = torch.autograd.grad(symmetric_kl(noisy, clean.detach()).sum(), delta)
        largest = gradient.abs().amax((1, 2), keepdim=True).clamp_min(1e-30)
        delta = (delta.detach() + eta * gradient / largest).clamp(-epsilon, epsilon)
        noisy = model.logits("sst", embedded + delta, mask)
        loss = model.loss("sst", clean, labels) + symmetric_kl(noisy, clean).mean()
        adamw.zero_grad(set_to_none=True)
        loss.backward()
        adamw.step()

    return step, ids.numel()


TASKS = ["sst", "para", "sts"]


def summed(model, examples, sequence):
    """Three tasks, their gradients summed: the pass of each follows that of the one before."""
    model.train()
    adamw = optimizer(model)
    batches = {task: batch(model, task, examples, sequence) for task in TASKS}

    def step():
        adamw.zero_grad(set_to_none=True)
        for task, (ids, mask, labels) in batches.items():
            model.loss(task, model.logits(task, model.embed(ids), mask), labels).backward()
        adamw.step()

    return step, sum(ids.numel() for ids, _, _ in batches.values())


def pcgrad(model, examples, sequence):
    """PCGrad over three tasks, on flattened gradients as its public implementations do it."""
    model.train()
    adamw = optimizer(model)
    batches = {task: batch(model, task, examples, sequence) for task in TASKS}
    parameters = list(model.parameters())

    def flat_gradient(task):
        ids, mask, labels = batches[task]
        adamw.zero_grad(set_to_none=True)
        model.loss(task, model.logits(task, model.embed(ids), mask), labels).backward()
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        return torch.cat([part.reshape(-1) for part in parts])

    def step():
        gradients = [flat_gradient(task) for task in TASKS]
        merged = torch.zeros_like(gradients[0])
        for index, gradient in enumerate(gradients):
            gradient = gradient.clone()
            for other in torch.randperm(len(TASKS)).tolist():
                if other != index:
                    inner = gradient @ gradients[other]
                    if inner < 0:
                        gradient -= inner / gradients[other].square().sum() * gradients[other]
            merged += gradient
        start = 0
        for parameter in parameters:
            end = start + parameter.numel()
            parameter.grad = merged[start:end].view_as(parameter)
            start = end
        adamw.step()

    return step, sum(ids.numel() for ids, _, _ in batches.values())


STEPS = {
    "train-step": train_step,
    "evaluate": evaluate,
    "smart": smart,
    "summed": summed,
    "pcgrad": pcgrad,
}
