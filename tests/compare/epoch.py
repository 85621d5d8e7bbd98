"""One epoch on real rows: bertram beside the training loop that the course hands out, and beside one written well.

    python tests/compare/epoch.py --data ../shared/data/cs224n --model ../shared/models/all-MiniLM-L6-v2
    python tests/compare/epoch.py ... --other OLD          # another build of ours as well, in turn
    python tests/compare/epoch.py ... --set model.pooling=mean

The course's: task after task; each batch of 8 is tokenised when it is drawn, padded to its longest row, in random order
without buckets; the sentences of a pair go through the encoder one after the other.
Written well: rows are tokenised once, batches are of rows of about one length, and both sentences of a pair are one batch.
Timed: the loop alone, with its tokenising.
Ours: `bertram-cli train` with configs/experiments/base.toml on the same rows. Timed: the whole process, with reading,
evaluation of 50 rows a task and saving; and, from its phases, tokenising and training.
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
parser.add_argument("--other", help="another build of bertram-cli")
parser.add_argument("--set", action="append", default=[], help="of bertram's config")
parser.add_argument("--torch-loop", help=argparse.SUPPRESS)
parser.add_argument("--loop", choices=["course", "written well"], help=argparse.SUPPRESS)
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

    def pooled(encoded):
        nonlocal tokens
        tokens += int(encoded["attention_mask"].sum())
        return model.encode(model.embed(encoded["input_ids"]), encoded["attention_mask"].float())

    def update(task, pooled, labels):
        if task == "sst":
            loss = F.cross_entropy(model.sentiment(pooled[0]), labels.long())
        else:
            target = labels if task == "para" else labels / 5
            loss = F.binary_cross_entropy_with_logits(F.cosine_similarity(*pooled), target)
        adamw.zero_grad(set_to_none=True)
        loss.backward()
        adamw.step()

    def sides(task):
        return ["sentence"] if task == "sst" else ["sentence1", "sentence2"]

    def course():
        for task, (examples, label) in rows.items():
            random.shuffle(examples)
            for start in range(0, len(examples), 8):
                batch = examples[start : start + 8]
                labels = torch.tensor([float(row[label]) for row in batch])
                texts = ([row[side] for row in batch] for side in sides(task))
                options = {"padding": True, "truncation": True, "max_length": 512, "return_tensors": "pt"}
                update(task, [pooled(tokenizer(it, **options)) for it in texts], labels)

    def written_well():
        for task, (examples, label) in rows.items():
            texts = [[row[side] for row in examples] for side in sides(task)]
            ids = list(zip(*(tokenizer(it, truncation=True, max_length=512)["input_ids"] for it in texts)))
            labels = torch.tensor([float(row[label]) for row in examples])
            order = list(range(len(examples)))
            random.shuffle(order)
            batches = []
            # Buckets: batches of neighbours by length, of a hundred batches each.
            for start in range(0, len(order), 800):
                bucket = sorted(order[start : start + 800], key=lambda row: max(map(len, ids[row])))
                batches += [bucket[at : at + 8] for at in range(0, len(bucket), 8)]
            random.shuffle(batches)
            for batch in batches:
                # First sentences, then second ones.
                both = [row for side in zip(*(ids[row] for row in batch)) for row in side]
                width = max(map(len, both))
                encoded = {
                    "input_ids": torch.tensor([it + [0] * (width - len(it)) for it in both]),
                    "attention_mask": torch.tensor([[1] * len(it) + [0] * (width - len(it)) for it in both]),
                }
                update(task, pooled(encoded).chunk(len(texts)), labels[batch])

    begun = time.perf_counter()
    course() if args.loop == "course" else written_well()
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "tokens": tokens}))


def ours(cli, folder):
    with tempfile.TemporaryDirectory() as out:
        settings = ["train.epochs=1", "model.pooling=cls", *args.set]
        begun = time.perf_counter()
        done = subprocess.run(
            [cli, "train", "--config", ROOT / "configs/experiments/base.toml", "--data", folder]
            + ["--model", args.model, "--out", f"{out}/run", "--dashboard", "plain"]
            + [word for setting in settings for word in ("--set", setting)],
            env=environment(args.threads),
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - begun
        if done.returncode != 0:
            sys.exit(done.stderr)
        summary = json.loads(pathlib.Path(f"{out}/run/summary.json").read_text())
        phases = summary["phase_seconds"]
        peak = summary["peak_memory_bytes"] / 2**20
        return {"process": seconds, "epoch": phases["tokenizing"] + phases["training"], "memory": peak}


def theirs(loop, folder):
    command = [sys.executable, __file__, "--data", args.data, "--model", args.model, "--torch-loop", folder]
    done = subprocess.run(
        [*command, "--threads", str(args.threads), "--loop", loop],
        env=environment(args.threads),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        sys.exit(done.stderr)
    return {"epoch": json.loads(done.stdout.splitlines()[-1])["seconds"]}


def main():
    with tempfile.TemporaryDirectory() as folder:
        for task, name in FILES.items():
            for split, count in (("train", args.rows), ("dev", 50)):
                rows, _ = read(args.data, task, split)
                with open(pathlib.Path(folder) / name.format(split), "w", newline="") as file:
                    writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t")
                    writer.writeheader()
                    writer.writerows(rows[:count])
        measures = {"bertram": lambda: ours(args.cli, folder)}
        if args.other:
            measures["other build"] = lambda: ours(args.other, folder)
        for loop in ("course", "written well"):
            measures[loop] = lambda loop=loop: theirs(loop, folder)
        runs = {name: [] for name in measures}
        for _ in range(args.rounds):
            for name, measure in measures.items():
                runs[name].append(measure())
                found = ", ".join(f"{key} {value:.1f}" for key, value in runs[name][-1].items())
                print(f"{name}: {found}", file=sys.stderr, flush=True)
        median = {name: statistics.median(run["epoch"] for run in of) for name, of in runs.items()}
        print(f"{args.rows} rows a task, batch 8, {args.threads} threads, medians of {args.rounds} rounds in turn")
        for name in measures:
            ratio = median[name] / median["bertram"]
            print(f"{name}: {median[name]:.1f} s an epoch, bertram is {ratio:.2f} times as fast")


if args.torch_loop:
    torch_loop()
else:
    main()
