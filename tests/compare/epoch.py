"""One epoch on real rows: bertram beside the training loop that the course hands out.

    python tests/compare/epoch.py --data ../shared/data/cs224n --model ../shared/models/all-MiniLM-L6-v2

Theirs: task after task; each batch of 8 is tokenised when it is drawn, padded to its longest row, in random order without
buckets; the sentences of a pair go through the encoder one after the other. Timed: the loop alone.
Ours: `bertram-cli train` with configs/experiments/base.toml on the same rows. Timed: the whole process, with reading,
tokenising, evaluation of 50 rows a task and saving; and, from its log, the epoch alone.
"""

import argparse
import csv
import json
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

from environment import environment

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
FILES = {"sst": "ids-sst-{}.csv", "para": "quora-{}.csv", "sts": "sts-{}.csv"}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--rows", type=int, default=2000)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--cli", default=str(ROOT / "target/release/bertram-cli"))
parser.add_argument("--torch-loop", help=argparse.SUPPRESS)
args = parser.parse_args()


def read(folder, task, split):
    with open(pathlib.Path(folder) / FILES[task].format(split), newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    label = {"sst": "sentiment", "para": "is_duplicate", "sts": "similarity"}[task]
    return [row for row in rows if row.get(label)], label


def torch_loop():
    import torch
    from transformers import AutoTokenizer, BertModel
    from torch.nn import functional as F
    from steps import Multitask, optimizer

    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    model = Multitask("minilm")
    model.bert = BertModel.from_pretrained(args.model, add_pooling_layer=False, attn_implementation="sdpa")
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    adamw = optimizer(model)
    rows = {task: read(args.torch_loop, task, "train") for task in FILES}
    model.train()
    tokens = 0

    def pooled(sentences):
        nonlocal tokens
        batch = tokenizer(sentences, padding=True, truncation=True, max_length=512, return_tensors="pt")
        tokens += int(batch["attention_mask"].sum())
        return model.encode(model.embed(batch["input_ids"]), batch["attention_mask"].float())

    begun = time.perf_counter()
    for task, (examples, label) in rows.items():
        random.shuffle(examples)
        for start in range(0, len(examples), 8):
            batch = examples[start : start + 8]
            labels = torch.tensor([float(row[label]) for row in batch])
            if task == "sst":
                logits = model.sentiment(pooled([row["sentence"] for row in batch]))
                loss = F.cross_entropy(logits, labels.long())
            else:
                first, second = (pooled([row[f"sentence{side}"] for row in batch]) for side in (1, 2))
                target = labels if task == "para" else labels / 5
                loss = F.binary_cross_entropy_with_logits(F.cosine_similarity(first, second), target)
            adamw.zero_grad(set_to_none=True)
            loss.backward()
            adamw.step()
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "tokens": tokens}))


def ours(folder):
    with tempfile.TemporaryDirectory() as out:
        begun = time.perf_counter()
        done = subprocess.run(
            [args.cli, "train", "--config", ROOT / "configs/experiments/base.toml", "--data", folder]
            + ["--model", args.model, "--out", f"{out}/run", "--dashboard", "plain"]
            + ["--set", "train.epochs=1", "--set", "model.pooling=cls"],
            env=environment(args.threads),
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - begun
        if done.returncode != 0:
            sys.exit(done.stderr)
        summary = json.loads(pathlib.Path(f"{out}/run/summary.json").read_text())
        return seconds, summary


def theirs(folder):
    command = [sys.executable, __file__, "--data", args.data, "--model", args.model, "--torch-loop", folder]
    done = subprocess.run(
        [*command, "--threads", str(args.threads)],
        env=environment(args.threads),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main():
    with tempfile.TemporaryDirectory() as folder:
        for task, name in FILES.items():
            for split, count in (("train", args.rows), ("dev", 50)):
                rows, _ = read(args.data, task, split)
                with open(pathlib.Path(folder) / name.format(split), "w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t")
                    writer.writeheader()
                    writer.writerows(rows[:count])
        own, other = [], []
        for _ in range(args.rounds):
            own.append(ours(folder))
            other.append(theirs(folder))
            print(f"ours {own[-1][0]:.1f} s (whole process), PyTorch {other[-1]['seconds']:.1f} s (its loop)", flush=True)
        ratio = statistics.median(run["seconds"] for run in other) / statistics.median(run[0] for run in own)
        print(f"{args.rows} rows a task, batch 8, {args.threads} threads: bertram is {ratio:.2f} times as fast")


if args.torch_loop:
    torch_loop()
else:
    main()
