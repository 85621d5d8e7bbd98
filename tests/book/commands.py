#!/usr/bin/env python3
"""Runs the commands of README.md and of the book as they are printed, page by page, from top to bottom.

    python3 tests/book/commands.py --program target/debug/bertram-cli [PAGE...]

Every block that is marked `sh` is run, line by line, in a folder of its page. Names that pages use stand for something there:
data folders are a generated corpus, models a tiny BERT of random weights, RUN a run that was trained on both. Lines that need
a GPU's build, a network or a compiler are listed with the reason, and are to be run by hand. `cargo run ... -- ARGS` runs the
program that was given with ARGS, and what asks for a GPU runs on the CPU.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Lines that are not run, and why.
BY_HAND = [
    (r"^git clone ", "needs a network"),
    (r"^\.ci/run", "builds and tests everything"),
    (r"^cargo install ", "compiles everything"),
    (r"^cargo run .*--features (vulkan|cuda)", "needs a GPU"),
    (r"pip install torch|--features libtorch", "needs PyTorch: .ci/long has it"),
    (r"^cargo run -p bertram-examples", "compiles; .ci/run runs the examples"),
    (r"/shared/runs", "writes outside of its folder"),
]

# What names of data folders and models stand for.
DATA = ["path/to/data", "DATA", "cs224n"]
MODELS = [
    "bert-base-uncased",
    "google-bert/bert-base-uncased",
    "sentence-transformers/all-MiniLM-L6-v2",
    "all-MiniLM-L6-v2",
]

# The longest that a line may take, in seconds.
LIMIT = 1200


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=pathlib.Path, required=True, help="bertram-cli, built")
    parser.add_argument("pages", nargs="*", type=pathlib.Path, help="pages; all without them")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    pages = arguments.pages or [ROOT / "README.md", *sorted((ROOT / "docs/src").rglob("*.md"))]
    failed, ran, left = 0, 0, []
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        stage = Stage(program, work / "stage")
        for number, page in enumerate(pages):
            page = page.resolve()
            lines = commands(page.read_text())
            if not lines:
                continue
            shown = page.relative_to(ROOT)
            folder = stage.set(work / f"{number}")
            for at, line in lines:
                reason = next((why for pattern, why in BY_HAND if re.search(pattern, line)), None)
                if reason:
                    left.append(f"{shown}:{at}: {line}   ({reason})")
                    continue
                start = time.monotonic()
                code, output = run(program, line, folder)
                ran += 1
                seconds = time.monotonic() - start
                print(f"{'ok    ' if code == 0 else 'FAILED'} {seconds:6.1f} s  {shown}:{at}: {line}", flush=True)
                if code != 0:
                    failed += 1
                    print(f"       exit code {code}; the last of its output:\n{output[-2000:]}", flush=True)
    print(f"\n{ran} commands ran, {failed} failed. By hand:")
    print("\n".join(f"  {line}" for line in left))
    sys.exit(1 if failed else 0)


def commands(text):
    """Lines of blocks marked `sh`, with their numbers; a line that ends in a backslash goes on."""
    found, inside, begun = [], False, None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            inside = line[3:].strip() == "sh"
            continue
        if not inside or not line.strip():
            continue
        if begun:
            number, line = begun[0], f"{begun[1]} {line.strip()}"
        if line.endswith("\\"):
            begun = (number, line[:-1].strip())
            continue
        begun = None
        # Several commands in one line are run as one, but for what gets the checkout.
        found.append((number, re.split(r"\s+#\s", line)[0].strip()))
    return found


def run(program, line, folder):
    """Runs a line as a shell would that has the program in its path."""
    line = re.sub(r"^cargo run --release -- ", "bertram-cli ", line)
    line = re.sub(r" --backend (vulkan|cuda)\b", "", line)
    path = f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=folder,
            env={"PATH": path, "HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired as error:
        return f"none after {LIMIT} s", (error.output or b"").decode(errors="replace")
    return done.returncode, done.stdout.decode(errors="replace")


class Stage:
    """What the pages take for given."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        folder.mkdir(parents=True)
        self.call("data", "demo", "--out", "data", "--rows", "60", "--dev-rows", "24")
        self.call("data", "demo", "--own-tasks", "own", "--rows", "60", "--dev-rows", "24")
        sizes = ["model.random.layers=1", "model.random.hidden-size=32", "model.random.heads=2",
                 "model.random.intermediate-size=64", "model.random.max-positions=512", "train.epochs=1"]
        sets = [word for size in sizes for word in ("--set", size)]
        self.call("train", "--config", "quickstart", "--data", "data", "--out", "RUN", "--dashboard", "none", *sets)

    def call(self, *words):
        done = subprocess.run([self.program, *words], cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"bertram-cli {' '.join(words)}: {done.stderr}")

    def set(self, folder):
        """A folder in which a page's commands find what they name."""
        folder.mkdir()
        (folder / "bin").mkdir()
        (folder / "home").mkdir()
        (folder / "bin/bertram-cli").symlink_to(self.program)
        for name in DATA:
            shutil.copytree(self.folder / "data", folder / name)
        for name in MODELS:
            shutil.copytree(self.folder / "RUN/model", folder / name)
        shutil.copytree(self.folder / "RUN", folder / "RUN")
        for split in ("train", "dev"):
            shutil.copy(self.folder / f"own/nli/{split}.csv", folder / f"nli-{split}.csv")
        (folder / "reviews").mkdir()
        for split in ("train", "dev"):
            shutil.copy(self.folder / f"own/reviews/{split}.jsonl", folder / "reviews")
        shutil.copytree(ROOT / "examples/spaces", folder / "examples/spaces")
        (folder / "sentences.txt").write_text("a lovely film\nnot a good one\n")
        # A run that a page goes on with: one that was begun.
        begun = folder / "runs/2026-11-23-minilm-cpu"
        begun.mkdir(parents=True)
        shutil.copy(self.folder / "RUN/config.toml", begun)
        return folder


if __name__ == "__main__":
    main()
