"""One process of bertram-cli: started, watched, and its ending described."""

import os
import pathlib
import resource
import select
import signal
import subprocess
import time
from dataclasses import dataclass

GIB = 1 << 30
# Seconds after which a process counts as hanging, and memory beyond which it counts as greedy: issue 18's numbers.
HANG = 20.0
MEMORY = 2 * GIB


@dataclass
class Ending:
    """How a process ended."""

    command: list
    code: int  # exit code; the negative of a signal that ended it
    out: str
    said: str  # standard error
    seconds: float
    peak: int  # bytes resident
    hung: bool
    starved: float = 0.0  # of these seconds, those in which other processes had its processor

    def killed_by(self):
        return -self.code if self.code < 0 else 0

    def error(self):
        """What it complained of, in one line; empty if it did not."""
        lines = [line for line in self.said.splitlines() if line.startswith("error:")]
        return lines[0] if lines else ""


class Program:
    """The binary under test, and what all its processes share."""

    def __init__(self, path, scratch):
        self.path = str(pathlib.Path(path).resolve())
        self.running, self.stopped = set(), False
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(scratch),
            "BERTRAM_CACHE": str(scratch / "cache"),
            # One thread a process: many small processes run side by side, and counting system calls needs one order.
            "RAYON_NUM_THREADS": "1",
            # A config that a mutation points at the hub must not reach it.
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(scratch / "hub"),
            "LANG": "C.UTF-8",
        }

    def run(self, arguments, before=(), limit=HANG, signals=(), stdin=None, folder=None):
        """Runs to the end. `before` goes in front of the command (strace); `signals` are (seconds, signal), from the start."""
        command = [*before, self.path, *map(str, arguments)]
        out, said = os.memfd_create("out"), os.memfd_create("said")
        given = open(stdin, "rb") if stdin else subprocess.DEVNULL
        begun = time.monotonic()
        process = subprocess.Popen(
            command, stdin=given, stdout=out, stderr=said, cwd=folder, env=self.environment, start_new_session=True
        )
        self.running.add(process.pid)
        hung = False
        watch = os.pidfd_open(process.pid)
        try:
            for after, number in sorted(signals):
                if ended(watch, begun + after - time.monotonic()):
                    break
                signal.pidfd_send_signal(watch, number)
            # On a busy machine a process of the lowest priority waits for its turn: that is no hanging.
            while not ended(watch, begun + limit + starved(process.pid) - time.monotonic()):
                if time.monotonic() - begun > limit + starved(process.pid):
                    hung = True
                    os.killpg(process.pid, signal.SIGKILL)
                    break
            waited = starved(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            self.running.discard(process.pid)
            os.close(watch)
            if stdin:
                given.close()
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.monotonic() - begun
        return Ending(
            command, process.returncode, text_of(out), text_of(said), seconds, usage.ru_maxrss * 1024, hung, waited
        )

    def stop(self):
        """Ends what is running: what it would have come to is not known."""
        self.stopped = True
        for process in list(self.running):
            os.killpg(process, signal.SIGKILL)


def ended(watch, seconds):
    """Whether the process ends within so many seconds."""
    return bool(select.select([watch], [], [], max(0.0, seconds))[0])


def starved(process):
    """Seconds for which a process could have gone on, and others had the processor."""
    try:
        with open(f"/proc/{process}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0.0


def text_of(file, most=1 << 20):
    """The beginning of what was written into a file in memory."""
    try:
        return os.pread(file, most, 0).decode("utf-8", "replace")
    finally:
        os.close(file)


def bad_ending(ending, allowed=(0, 1, 2)):
    """The kind of fault that no process may end with, and what shows it; `None` if there is none."""
    if ending.hung:
        return "hang", f"still there after {ending.seconds - ending.starved:.0f} s"
    for sign in ("internal error", "panicked at", "stack overflow"):
        for line in ending.said.splitlines():
            if sign in line:
                return "panic", line
    if "memory allocation of" in ending.said:
        return "memory", "could not allocate"
    if ending.peak > MEMORY:
        return "memory", f"{ending.peak / GIB:.1f} GiB resident"
    if ending.code < 0 and ending.code not in allowed:
        return "panic", f"ended by {signal.Signals(-ending.code).name}"
    if ending.code not in allowed:
        return "exit code", f"exit code {ending.code}: {ending.error()}"
    return None


def bound_this_process(priority):
    """Limits that all children inherit: no core files, and an end to what would take the machine down."""
    os.nice(max(0, priority - os.nice(0)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (3 * GIB, 3 * GIB))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * GIB, 4 * GIB))
