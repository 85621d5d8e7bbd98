"""Runs: what an uninterrupted one leaves, and whether another is the same bit for bit."""

import hashlib
import json
import pathlib
import re
import shutil

HERE = pathlib.Path(__file__).parent
CONFIGS = ("gradvac", "everything", "smart", "epochs", "half")
# Of time and place, and of nothing that was learnt.
TIMES = ("seconds", "training_seconds", "tokens_per_second", "peak_memory_bytes", "wall_seconds", "phase_seconds", "first_update_seconds", "started", "command")


def config_file(name):
    return HERE / "configs" / f"{name}.toml"


def begin(config, run):
    return ["train", "--dashboard", "none", "--config", config_file(config), "--out", run]


def go_on(config, run):
    """What a person would type: on from the folder where there is something of a run, else the same command again."""
    if (run / "config.toml").is_file():
        return ["train", "--dashboard", "none", "--resume", run]
    return begin(config, run)


def is_finished(run):
    return (run / "summary.json").is_file()


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [without_times(inner) for inner in value]
    return value


def checkpoints(run):
    """(updates, version, folder) of the whole checkpoints, the oldest first."""
    found = []
    for folder in (run / "checkpoints").glob("update-*"):
        name = re.fullmatch(r"update-(\d+)(?:\.(\d+))?", folder.name)
        if name:
            found.append((int(name[1]), int(name[2] or 1), folder))
    return sorted(found)


def lines_of(run):
    """The lines of metrics.jsonl that are whole."""
    try:
        text = (run / "metrics.jsonl").read_text()
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            pass
    return lines


def content(run):
    """Everything that a run with the same settings must leave the same: name of a file to what it says."""
    files = {}

    def add(name, path):
        if path.suffix == ".json":
            files[name] = without_times(json.loads(path.read_text()))
        else:
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()

    for part in ("base", "model", "predictions"):
        for path in sorted((run / part).rglob("*")):
            if path.is_file():
                add(str(path.relative_to(run)), path)
    for name in ("config.toml", "run.json", "analysis.json", "summary.json"):
        add(name, run / name)
    # A kill behind the end can leave what a finished run would have removed.
    stays = not is_finished(run) or "keep-training-state = true" in (run / "config.toml").read_text()
    kept = checkpoints(run)[-1:] if stays else []
    for path in sorted(path for _, _, folder in kept for path in folder.iterdir()):
        # What it says follows from the others, of which one has times.
        if path.name != "SHA256SUMS":
            add(f"newest checkpoint/{path.name}", path)
    for number, line in enumerate(lines_of(run)):
        files[f"metrics.jsonl line {number + 1}"] = without_times(line)
    return files


def differences(expected, run):
    """Names of what is not the same; no name if all is."""
    try:
        found = content(run)
    except (OSError, ValueError, IndexError) as error:
        return [f"unreadable: {error}"]
    names = [f"{name}{place_of_difference(expected[name], found.get(name))}" for name in expected if expected[name] != found.get(name)]
    return names + [f"{name} (too many)" for name in found if name not in expected]


def place_of_difference(one, other):
    """Where two JSON values begin to differ, with both values: `: loss.sst 1.25, not 1.5`."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *other]:
            if one.get(key) != other.get(key):
                rest = place_of_difference(one.get(key), other.get(key))
                return f": {key}{rest}" if rest.startswith(" ") else f": {key}{rest.replace(': ', '.', 1)}"
    if isinstance(one, str) and len(one) == 64:
        return ""
    return f" {other!r:.60}, not {one!r:.60}"


def leftovers(run):
    """What a dead process left half written."""
    return [
        str(path.relative_to(run))
        for path in run.rglob("*")
        if path.name.startswith(".partial") or path.name.endswith((".partial", ".tmp"))
    ]


def kept_promise(config_every, run):
    """What is wrong with an interrupted run's newest checkpoint: it may lie behind by the updates between two at most."""
    updates = [line["update"] for line in lines_of(run) if line.get("kind") == "train"]
    if not updates:
        return None
    whole = checkpoints(run)
    if not whole:
        return f"update {max(updates)} is logged, and there is no checkpoint"
    if config_every and whole[-1][0] < max(updates) - config_every:
        return f"update {max(updates)} is logged, and the newest checkpoint is {whole[-1][2].name}"
    return None


class Reference:
    """What a config's uninterrupted run leaves, how long it takes, and which system calls it makes."""

    def __init__(self, program, config, folder):
        self.config = config
        self.every = int(re.search(r"checkpoint-every = (\d+)", config_file(config).read_text())[1])
        contents = []
        for number in (1, 2):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            # Every run of the campaign has this name: it is written into the summary and the model's card.
            self.run = folder / "run"
            ending = program.run(begin(config, self.run), limit=120)
            if ending.code != 0:
                raise SystemExit(f"{config}: the uninterrupted run failed:\n{ending.said}")
            self.seconds = ending.seconds
            contents.append(content(self.run) | {"run.json": None})
        if contents[0] != contents[1]:
            names = [name for name in contents[0] if contents[0][name] != contents[1].get(name)]
            raise SystemExit(f"{config}: two uninterrupted runs differ: {names}")
        self.content = content(self.run)
        self.bytes = sum(path.stat().st_blocks * 512 for path in self.run.rglob("*") if path.is_file())
        self.files = sum(1 for _ in self.run.rglob("*"))
