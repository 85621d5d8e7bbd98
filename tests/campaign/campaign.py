"""Crashes, full disks, signals and hostile files against a built bertram-cli. See README.md beside this file.

    python tests/campaign/campaign.py short --program target/debug/bertram-cli
    python tests/campaign/campaign.py long --program target/release/bertram-cli --jobs 2 --progress campaign.jsonl
    python tests/campaign/campaign.py kills --seed 1 --only 37 --program target/release/bertram-cli
"""

import argparse
import concurrent.futures
import itertools
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

import crashes
import faults
import made
import mutation
from progress import KINDS, Progress
from program import Program, bound_this_process

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Cases, but for `long`: hits, so that a kill that came after the end of its process does not count.
SHORT = {"kills": 20, "writes": 16, "disks": 6, "signals": 8, "mutate": 500}
LONG = {"kills": 1000, "writes": 500, "disks": 100, "signals": 200, "made": made.COUNT, "mutate": 100_000}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*KINDS, "short", "long", "table"], help="one kind of case, or all of them; table: counts so far")
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "target/release/bertram-cli")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="cases of one kind; without it, as many as in `short`")
    parser.add_argument("--only", type=int, action="append", help="this case alone, as a failure's line says; can be given more than once")
    parser.add_argument("--target", help="mutate: only files whose target has this in its name")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--nice", type=int, default=19, help="priority of its processes; at 19 a busy machine leaves them next to nothing")
    parser.add_argument("--minutes", type=float, help="stop after so many; go on with the same --progress")
    parser.add_argument("--progress", type=pathlib.Path, help="file of what was done, a JSON line a case; goes on from it")
    parser.add_argument("--scratch", type=pathlib.Path, help="folder for runs; without it, a new one in memory (/dev/shm) that is removed")
    parser.add_argument("--failures", type=pathlib.Path, help="folder that keeps the files of failed cases")
    return parser.parse_args()


class Campaign:
    """Cases, one after the other or a few at a time."""

    def __init__(self, options, scratch):
        self.options, self.scratch = options, scratch
        self.progress = Progress(options.progress)
        self.program = Program(options.program, scratch)
        self.laboratory = crashes.Laboratory(self.program, scratch)
        self.bench = mutation.Bench(self.program, scratch, options.target)
        self.deadline = time.monotonic() + options.minutes * 60 if options.minutes else None
        self.timed = options.what != "short"

    def prepare(self, kinds):
        if set(kinds) & set(crashes.CASES):
            self.laboratory.prepare()
        if {"mutate", "made"} & set(kinds):
            self.bench.prepare()

    def case(self, kind, index):
        """Makes one case, from its kind, seed and number alone."""
        rng = random.Random(f"{self.options.seed} {kind} {index}")
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{kind}-{index}-", dir=self.scratch))
        try:
            if kind == "mutate":
                outcome = self.bench.case(rng, folder)
            elif kind == "made":
                outcome = made.Made(self.bench).case(index, folder)
            else:
                outcome = crashes.CASES[kind](self.laboratory, rng, folder, self.timed)
            if self.program.stopped:
                return
            record = {"kind": kind, "seed": self.options.seed, "index": index, "hits": int(outcome.hits)}
            if outcome.tolerated:
                record["tolerated"] = outcome.tolerated
            if kind in ("mutate", "made"):
                record |= {"target": outcome.story[0], "codes": outcome.codes}
            if outcome.faults or self.options.only:
                record |= {"story": outcome.story, "faults": outcome.faults}
            self.progress.add(record)
            if outcome.faults:
                self.tell(record, folder)
            elif self.options.only:
                print(*outcome.story, "as it should be", sep="\n", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def tell(self, record, folder):
        kind, index = record["kind"], record["index"]
        lines = [f"FAILED {kind} --seed {record['seed']} --only {index}", *(f"  {line}" for line in record["story"])]
        lines += [f"  {fault}: {detail}" for fault, detail in record["faults"]]
        print("\n".join(line[:2000] for line in lines), flush=True)
        if self.options.failures:
            kept = self.options.failures / f"{kind}-{record['seed']}-{index}"
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(folder, kept, symlinks=True)
            (kept / "story.txt").write_text("\n".join(lines) + "\n")

    def run(self, kind, wanted, by_hits):
        """So many cases of a kind, or as many as it takes to so many hits; those done before are not done again."""
        if kind in ("writes",) and not faults.have_strace():
            print(f"{kind}: skipped, there is no strace")
            return
        if kind == "disks" and not faults.can_mount():
            print(f"{kind}: skipped, mounting needs root (unshare -rm makes one)")
            return
        indices = itertools.count() if by_hits else iter(range(wanted))
        if self.options.only:
            indices = iter(self.options.only)
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            waiting, over = set(), False
            while not over or waiting:
                while not over and len(waiting) < self.options.jobs:
                    late = self.deadline is not None and time.monotonic() > self.deadline
                    enough = by_hits and not self.options.only and self.progress.hits(kind) >= wanted
                    index = None if late or enough else next(indices, None)
                    if index is None:
                        over = True
                    elif self.options.only or not self.progress.has(kind, self.options.seed, index):
                        waiting.add(pool.submit(self.case, kind, index))
                try:
                    done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                except KeyboardInterrupt:
                    self.program.stop()
                    raise
                for future in done:
                    future.result()


def main():
    options = arguments()
    if options.what == "table":
        report(Progress(options.progress))
        return 0
    bound_this_process(options.nice)
    # Small disks are unmounted and folders removed on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    base = options.scratch or pathlib.Path(tempfile.mkdtemp(prefix="campaign-", dir="/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None))
    base.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    try:
        campaign = Campaign(options, base.resolve())
        plan = {"short": SHORT, "long": LONG}.get(options.what) or {options.what: options.count or SHORT.get(options.what, made.COUNT)}
        campaign.prepare(plan)
        print(f"prepared in {time.monotonic() - begun:.0f} s", flush=True)
        for kind, wanted in plan.items():
            campaign.run(kind, wanted, by_hits=options.what == "long" and kind not in ("made", "mutate"))
            print(f"{kind}: {time.monotonic() - begun:.0f} s", flush=True)
        report(campaign.progress)
        return 1 if campaign.progress.failed() else 0
    except KeyboardInterrupt:
        print("stopped; the same command goes on, with --progress")
        return 130
    finally:
        if options.scratch is None:
            shutil.rmtree(base, ignore_errors=True)


def report(progress):
    print()
    print(progress.table())
    groups = progress.alike()
    if groups:
        print("\nfailures that look alike, each with the first of its kind:")
    for (kind, fault, _), cases in groups:
        record, detail = cases[0]
        first = detail.splitlines()[0][:300] if detail else ""
        print(f"{len(cases):6}  {kind} --seed {record['seed']} --only {record['index']}: {fault}: {first}")


if __name__ == "__main__":
    sys.exit(main())
