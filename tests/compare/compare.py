"""Ours and PyTorch's in turn, a process each, medians over rounds and their ratio.

    pip install torch transformers
    cargo build --release
    python tests/compare/compare.py                      # train step and evaluation
    python tests/compare/compare.py --what smart,pcgrad  # methods
    python tests/compare/compare.py --shape base --sequences 32,128 --batches 8,32

A ratio above 1 says that bertram is faster. Not part of CI. `epoch.py` compares an epoch on real rows.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from environment import environment

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--what", default="train-step,evaluate", help="of train-step, evaluate, smart, summed, pcgrad")
parser.add_argument("--shape", default="minilm")
parser.add_argument("--batches", default="8")
parser.add_argument("--sequences", default="32,128")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--cli", default=str(ROOT / "target/release/bertram-cli"))
args = parser.parse_args()

def run(command):
    done = subprocess.run(command, env=environment(args.threads), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def sizes(batch, sequence):
    return ["--shape", args.shape, "--batch", str(batch), "--sequence", str(sequence), "--seconds", str(args.seconds)]


def ours(what, batch, sequence):
    if what in ("train-step", "evaluate"):
        return run([args.cli, "bench", what, "--json", "--threads", str(args.threads), *sizes(batch, sequence)])
    command = [args.cli, "bench", "methods", "--only", what, "--json", "--threads", str(args.threads)]
    return run([*command, *sizes(batch, sequence)])["methods"][0]


def theirs(what, batch, sequence):
    command = [sys.executable, HERE / "torch_bench.py", what, "--threads", str(args.threads)]
    return run([*command, *sizes(batch, sequence)])


def median(runs, key):
    return statistics.median(run[key] for run in runs)


print("| measurement | batch | sequence | bertram, tokens/s | PyTorch, tokens/s | ratio | memory, MiB | PyTorch |")
print("|---|---|---|---|---|---|---|---|")
for what in args.what.split(","):
    for batch in map(int, args.batches.split(",")):
        for sequence in map(int, args.sequences.split(",")):
            rounds = [(ours(what, batch, sequence), theirs(what, batch, sequence)) for _ in range(args.rounds)]
            own, other = zip(*rounds)
            speed = [median(runs, "tokens_per_second") for runs in (own, other)]
            memory = [median(runs, "peak_memory_bytes") / 2**20 for runs in (own, other)]
            print(
                f"| {what} | {batch} | {sequence} | {speed[0]:.0f} | {speed[1]:.0f} | {speed[0] / speed[1]:.2f} "
                f"| {memory[0]:.0f} | {memory[1]:.0f} |",
                flush=True,
            )
print(f"\n{args.shape}, {args.threads} threads, medians of {args.rounds} rounds in turn; PyTorch {other[0]['torch']}.")
