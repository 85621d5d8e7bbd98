"""Runs that are killed, starved and interrupted, and what must hold afterwards: the run goes on, and ends as if nothing had been.

A case takes the laboratory, its own random numbers and an empty folder, and gives what happened.
"""

import shutil
import signal
from dataclasses import dataclass, field

import faults
import runs
from program import bad_ending

# Seconds a signal may take: issue 18 grants two, a machine that does other work besides a little more.
PATIENCE = 3.0
# A start that takes seconds before its first update: reading, tokenising, building.
SLOW_START = [f"--set=data.demo.{task}=10000" for task in ("sst", "para", "sts")] + ["--set=data.limit=16"]


@dataclass
class Outcome:
    """What a case came to."""

    faults: list = field(default_factory=list)  # (kind, what shows it)
    hits: int = 0  # kills, errors or signals that met a living process
    story: list = field(default_factory=list)  # what was done, for whoever repeats it
    tolerated: int = 0  # errors after which the run went on, and ended right

    def fault(self, kind, detail):
        self.faults.append((kind, detail))


class Laboratory:
    """The binary, the uninterrupted runs, and where system calls can be tampered with."""

    def __init__(self, program, scratch):
        self.program, self.scratch = program, scratch
        self.references, self.sites, self.interrupted = {}, {}, {}

    def prepare(self):
        for config in runs.CONFIGS:
            self.references[config] = runs.Reference(self.program, config, self.scratch / "reference" / config)
            if not faults.have_strace():
                continue
            trace = self.scratch / "trace"
            run = self.empty(self.scratch / "recorded") / "run"
            self.program.run(runs.begin(config, run), before=faults.record(faults.WRITING, trace), limit=120)
            self.sites[config, False] = faults.sites(trace, run)
            # A run in the middle of its way, to be gone on with: killed while a checkpoint got its name.
            renames = [site for site in self.sites[config, False] if site.call == "rename" and "/update-" in site.path]
            middle = renames[len(renames) // 2]
            half = self.empty(self.scratch / "interrupted" / config) / "run"
            self.program.run(runs.begin(config, half), before=faults.tamper(middle.call, middle.nth, "signal=KILL"))
            self.interrupted[config] = half
            shutil.rmtree(run)
            shutil.copytree(half, run)
            self.program.run(runs.go_on(config, run), before=faults.record(faults.WRITING, trace), limit=120)
            self.sites[config, True] = faults.sites(trace, run)

    @staticmethod
    def empty(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def finish(self, config, run, outcome):
        """Goes on with the run, and holds what it leaves against the uninterrupted one."""
        if not runs.is_finished(run):
            wrong = runs.kept_promise(self.references[config].every, run)
            if wrong:
                outcome.fault("lost", wrong)
            ending = self.program.run(runs.go_on(config, run), limit=60)
            bad = bad_ending(ending)
            if bad:
                outcome.fault(*bad)
            if ending.code != 0:
                outcome.fault("lost", f"{' '.join(ending.command[1:])}: exit code {ending.code}: {ending.said.strip()}")
                return
        names = runs.differences(self.references[config].content, run)
        if names:
            # What was logged of a run, and not what it is: counted by itself.
            kind = "log" if all(name.startswith("metrics.jsonl") for name in names) else "differing"
            outcome.fault(kind, ", ".join(names[:8]))
        rest = runs.leftovers(run)
        if rest:
            outcome.fault("leftover", ", ".join(rest))


def kills(laboratory, rng, folder, timed):
    """Killed once or more, at a system call or at any moment; then to the end."""
    outcome = Outcome()
    config, run = rng.choice(runs.CONFIGS), folder / "run"
    reference = laboratory.references[config]
    for _ in range(rng.choice((1, 1, 2, 3))):
        if runs.is_finished(run):
            break
        arguments = runs.go_on(config, run)
        choices = laboratory.sites.get((config, "--resume" in arguments))
        if choices and not (timed and rng.random() < 0.5):
            site = faults.pick(rng, choices)
            outcome.story.append(f"{config}: KILL at {site.call} {site.nth} ({site.path})")
            ending = laboratory.program.run(arguments, before=faults.tamper(site.call, site.nth, "signal=KILL"))
        else:
            moment = rng.uniform(0, reference.seconds)
            outcome.story.append(f"{config}: KILL after {moment:.4f} s")
            ending = laboratory.program.run(arguments, signals=[(moment, signal.SIGKILL)])
        if ending.killed_by() == signal.SIGKILL and not ending.hung:
            outcome.hits += 1
        elif bad_ending(ending):
            outcome.fault(*bad_ending(ending))
        elif ending.code != 0:
            outcome.fault("lost", f"{' '.join(ending.command)}: exit code {ending.code}: {ending.said.strip()}")
    laboratory.finish(config, run, outcome)
    return outcome


def writes(laboratory, rng, folder, timed):
    """A call that writes fails, in a new run or in one that goes on; then to the end."""
    outcome = Outcome()
    config, run = rng.choice(runs.CONFIGS), folder / "run"
    resumed = rng.random() < 0.4
    if resumed:
        shutil.copytree(laboratory.interrupted[config], run)
    choices = laboratory.sites[config, resumed]
    site = faults.pick(rng, choices)
    error = rng.choice(sorted(faults.ERRORS))
    # A disk that fails once, or from now on. (Not for `write`: then the message could not be written, either.)
    ever_since = site.call != "write" and rng.random() < 0.5
    outcome.story.append(
        f"{config}, {'resumed' if resumed else 'new'}: {error} at {site.call} {site.nth}{'+' if ever_since else ''} ({site.path})"
    )
    before = faults.tamper(site.call, site.nth, f"error={error}", ever_since)
    ending = laboratory.program.run(runs.go_on(config, run), before=before)
    outcome.hits += 1
    check_message(ending, site.path, run, faults.ERRORS[error], outcome)
    laboratory.finish(config, run, outcome)
    return outcome


def check_message(ending, path, run, reason, outcome):
    """One message that names the file, exit code 1; or a run that could do without and ends well."""
    bad = bad_ending(ending, allowed=(0, 1))
    if bad:
        outcome.fault(*bad)
        return
    # The file; or its folder, where a temporary file was being made in it. The run itself is in every message.
    names = {path.rsplit("/", 1)[-1] or run.name, str((run / path).parent)} - {str(run)}
    if ending.code == 0:
        outcome.tolerated += 1
        if path.rsplit("/", 1)[-1] not in ending.said and reason not in ending.said:
            outcome.fault("unsaid", f"{path or 'the folder'}: exit code 0 and no word")
        return
    complaint = ending.said[max(0, ending.said.find("error:")) :]
    named = any(name in complaint for name in names)
    complaints = [line for line in ending.said.splitlines() if line.startswith("error:")]
    if len(complaints) != 1:
        outcome.fault("message", f"{len(complaints)} messages: {ending.said.strip()}")
    elif reason not in complaint:
        outcome.fault("message", f"does not say {reason!r}: {ending.said.strip()}")
    elif not named:
        outcome.fault("message", f"does not name {path}: {ending.said.strip()}")


def disks(laboratory, rng, folder, timed):
    """A disk that is full at some size, or out of inodes; tried again while it is full at times; then with room."""
    outcome = Outcome()
    config = rng.choice(runs.CONFIGS)
    reference = laboratory.references[config]
    if rng.random() < 0.75:
        pages = rng.randint(1, int(reference.bytes * 1.1) // 4096 + 8)
        room = {"size": pages * 4096}
    else:
        room = {"size": "64m", "nr_inodes": rng.randint(2, reference.files + 8)}
    disk = folder / "disk"
    with faults.small_disk(disk, **room):
        run = disk / "run"
        for attempt in range(rng.choice((1, 2))):
            if runs.is_finished(run):
                break
            outcome.story.append(f"{config}: a disk of {room}, attempt {attempt + 1}")
            ending = laboratory.program.run(runs.go_on(config, run))
            bad = bad_ending(ending, allowed=(0, 1))
            if bad:
                outcome.fault(*bad)
            elif ending.code == 1:
                outcome.hits += 1
                if "No space left on device" not in ending.said or str(disk) not in ending.said:
                    outcome.fault("message", ending.said.strip())
        faults.grow(disk)
        laboratory.finish(config, run, outcome)
    return outcome


def signals(laboratory, rng, folder, timed):
    """Ctrl-C or SIGTERM at a random moment, a second one at times; the process ends soon, and the run goes on."""
    outcome = Outcome()
    config, run = rng.choice(runs.CONFIGS), folder / "run"
    reference = laboratory.references[config]
    number = rng.choice((signal.SIGINT, signal.SIGTERM))
    slow = timed and rng.random() < 0.15
    if slow:
        moment = rng.uniform(0.05, 2.0)
    else:
        moment = rng.uniform(0, reference.seconds * 1.1)
    times = [(moment, number)]
    if rng.random() < 0.5:
        times.append((moment + rng.choice((0.0, rng.uniform(0, 0.05), rng.uniform(0, 0.5))), number))
    arguments = runs.begin(config, run) + (SLOW_START if slow else [])
    choices = laboratory.sites.get((config, False))
    if not slow and choices and not (timed and rng.random() < 0.7):
        site = faults.pick(rng, choices)
        outcome.story.append(f"{config}: {number.name} at {site.call} {site.nth} ({site.path})")
        before = faults.tamper(site.call, site.nth, f"signal={number.name}")
        ending = laboratory.program.run(arguments, before=before)
    else:
        at = " and ".join(f"{after:.4f} s" for after, _ in times)
        outcome.story.append(f"{config}{' with a slow start' if slow else ''}: {number.name} after {at}")
        ending = laboratory.program.run(arguments, signals=times, limit=60)
        took = ending.seconds - ending.starved - moment
        if took > PATIENCE and ending.code != 0:
            outcome.fault("slow", f"ended {took:.1f} s after the signal")
    has_config = (run / "config.toml").is_file()
    # Before it listens, the system ends it; then there is nothing of a run yet.
    allowed = (0, 130) if has_config else (0, 130, -number)
    bad = bad_ending(ending, allowed)
    if bad:
        outcome.fault(*bad)
    outcome.hits += ending.code != 0
    if ending.code == 130 and has_config and "--resume" not in ending.said:
        outcome.fault("message", f"does not say how to go on: {ending.said.strip()!r}")
    if slow:
        if not has_config:
            laboratory.finish(config, run, outcome)
        return outcome
    laboratory.finish(config, run, outcome)
    return outcome


CASES = {"kills": kills, "writes": writes, "disks": disks, "signals": signals}
