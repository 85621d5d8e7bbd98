"""Faults from outside the program: strace tampers with its system calls, and small file systems run full.

Nothing of this is in the binary. strace counts the calls of each thread by itself; a run makes all its calls on files from its
main thread, in the same order every time.
"""

import collections
import contextlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass

WRITING = ("write", "fsync", "rename", "renameat", "renameat2", "mkdir", "unlinkat", "unlink", "rmdir", "openat", "ftruncate", "fchmod")
ERRORS = {"EIO": "Input/output error", "ENOSPC": "No space left on device"}


def have_strace():
    return shutil.which("strace") is not None


def can_mount():
    return os.geteuid() == 0 and shutil.which("mount") is not None


@dataclass
class Site:
    """The Nth call of a kind, and what it was about when nothing failed."""

    call: str
    nth: int
    path: str  # below the run's folder; of a temporary file, the name it gets in the end
    label: str  # the same without numbers: what makes two sites alike


def record(calls, trace):
    """strace's arguments to note calls."""
    return ["strace", "-f", "--seccomp-bpf", "-y", "-s", "256", "-o", str(trace), "-e", "trace=" + ",".join(calls)]


def tamper(call, nth, what, ever_since=False):
    """strace's arguments to tamper with the Nth call of a kind: `error=EIO`, `signal=KILL`."""
    when = f"{nth}+" if ever_since else str(nth)
    # --seccomp-bpf stops at these calls alone, which is faster; but strace 6.1 delivers no signal then.
    quick = ["--seccomp-bpf"] if what.startswith("error") else []
    return ["strace", "-f", *quick, "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={when}"]


def sites(trace, run):
    """The calls of the main thread on what lies in `run`, from what strace noted."""
    main, counts, found, names = None, collections.Counter(), [], {}
    run = str(run)
    for line in open(trace, errors="replace"):
        match = re.match(r"(\d+) +(\w+)\((.*)", line)
        if not match:
            continue
        thread, call, rest = match.groups()
        main = main or thread
        if thread != main:
            continue
        counts[call] += 1
        if call == "openat" and not re.search(r"O_WRONLY|O_RDWR", rest):
            continue
        # Of a rename the last name is what it is about, of a write what the descriptor stands for.
        if call in ("write", "fsync", "ftruncate", "fchmod"):
            place = re.search(r"<(.*?)>", rest)
        else:
            place = (re.findall(r'"((?:[^"\\]|\\.)*)"', rest) or [None])[-1]
        place = place[1] if isinstance(place, re.Match) else place
        if not place or not place.startswith(run):
            continue
        if call.startswith("rename"):
            names[re.findall(r'"((?:[^"\\]|\\.)*)"', rest)[0]] = place
        found.append((call, counts[call], place))
    all_sites = []
    for call, nth, place in found:
        path = names.get(place, place)[len(run):].lstrip("/")
        all_sites.append(Site(call, nth, path, call + " " + re.sub(r"\d+", "N", path)))
    return all_sites


def pick(rng, choices):
    """A site at random: first the kind, then which of it, so that rare kinds come up as often as common ones."""
    kinds = sorted({site.label for site in choices})
    kind = rng.choice(kinds)
    return rng.choice([site for site in choices if site.label == kind])


@contextlib.contextmanager
def small_disk(folder, **options):
    """A file system in memory that has so much room; more is given by `grow`."""
    folder.mkdir(parents=True, exist_ok=True)
    said = ",".join(f"{key}={value}" for key, value in options.items())
    subprocess.run(["mount", "-t", "tmpfs", "-o", said, "campaign", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def grow(folder):
    subprocess.run(["mount", "-o", "remount,size=256m,nr_inodes=100000", folder], check=True)
