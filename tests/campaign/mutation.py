"""Mutated files, each read by the cheapest command that reads it: none may make it panic, hang, or take the machine's memory."""

import gzip
import json
import pathlib
import re
import shutil
import signal
import tomllib
from dataclasses import dataclass, field

import mutators
import runs
from program import bad_ending

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Seconds of training that a mutated config gets before Ctrl-C; then it must end as any run does.
TRAINING = 1.5


@dataclass
class Outcome:
    """What a case came to."""

    story: list
    faults: list = field(default_factory=list)
    hits: int = 0
    tolerated: int = 0
    codes: list = field(default_factory=list)


@dataclass
class Target:
    """A file in a folder of others that go with it, and who reads it."""

    name: str
    folder: pathlib.Path
    file: str
    mutators: tuple
    commands: list  # functions of the folder to arguments; one is taken at random
    train: bool = False  # a config that is trained with, too, where it is valid
    packed: bool = False  # changed before it is packed, at times
    codes: tuple = (0, 1, 2)  # how its readers may end


class Bench:
    """The files, and the commands."""

    def __init__(self, program, scratch, only=None):
        self.program, self.only = program, only
        self.home = scratch / "files"
        self.targets, self.keys = [], []

    def make(self, *arguments, **options):
        ending = self.program.run(arguments, limit=120, **options)
        if ending.code != 0:
            raise SystemExit(f"{' '.join(ending.command)} failed:\n{ending.said}")

    def prepare(self):
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.runs()
        self.configs()
        self.data()
        self.models()
        if self.only:
            self.targets = [target for target in self.targets if self.only in target.name]
        self.names = sorted({target.name for target in self.targets})

    def add(self, name, folder, file, kind, *commands, **options):
        self.targets.append(Target(name, folder, file, kind, list(commands), **options))

    def runs(self):
        """A finished run and an interrupted one."""
        self.run = self.home / "finished" / "run"
        self.make(*runs.begin("everything", self.run))
        run = self.run.parent
        report = [lambda home, kind=kind: ["report", home / "run", "--out", home / f"report.{kind}"] for kind in ("html", "md", "csv")]
        predict = lambda home: ["predict", "--run", home / "run", "--task", "sst", "--input", home / "input.txt"]
        evaluate = lambda home: ["evaluate", "--run", home / "run"]
        export = lambda home: ["export", "--run", home / "run", "--to", home / "exported"]
        (run / "input.txt").write_text("a good film\nthe wine was bad .\n")
        (run / "pairs.jsonl").write_text('{"sentence1": "a b", "sentence2": "c d"}\n{"sentence1": "a singer", "sentence2": "the film"}\n')
        several = self.home / "several"
        for name in ("run", "good"):
            shutil.copytree(self.run, several / name)
        for name in ("summary.json", "analysis.json", "run.json", "metrics.jsonl", "config.toml"):
            kind = {".json": mutators.JSON, ".jsonl": mutators.JSON_LINES, ".toml": mutators.TOML}[pathlib.Path(name).suffix]
            among = lambda home: ["report", home, "--out", home / "report.html"]
            # A bad run is left out of a report, and spoils none.
            self.add(f"among others/{name}", several, f"run/{name}", kind, among, codes=(0,))
        for name in ("summary.json", "analysis.json", "run.json"):
            self.add(f"run/{name}", run, f"run/{name}", mutators.JSON, *report)
        self.add("run/run.json", run, "run/run.json", mutators.JSON, export, evaluate)
        self.add("run/metrics.jsonl", run, "run/metrics.jsonl", mutators.JSON_LINES, *report)
        self.add("run/config.toml", run, "run/config.toml", mutators.TOML, *report, evaluate, export, predict)
        for name in ("heads.json", "config.json", "tokenizer.json", "tokenizer_config.json"):
            self.add(f"run/model/{name}", run, f"run/model/{name}", mutators.JSON, predict)
        self.add("run/model/heads.json", run, "run/model/heads.json", mutators.JSON, predict, evaluate, export)
        for name in ("heads.safetensors", "model.safetensors"):
            self.add(f"run/model/{name}", run, f"run/model/{name}", mutators.SAFETENSORS, predict)
        self.add("predict/lines", run, "input.txt", mutators.LINES, predict)
        pairs = lambda home: ["predict", "--run", home / "run", "--task", "para", "--format", "json-lines", "--input", home / "pairs.jsonl"]
        self.add("predict/json-lines", run, "pairs.jsonl", mutators.JSON_LINES, pairs)

        half = self.home / "interrupted"
        trained = half / "run"
        self.make(*runs.begin("everything", trained))
        # As a kill before the end leaves it.
        (trained / "summary.json").unlink()
        newest = runs.checkpoints(trained)[-2][2].name
        for _, _, folder in runs.checkpoints(trained):
            if folder.name > newest:
                shutil.rmtree(folder)
        resume = lambda home: ["train", "--dashboard", "none", "--resume", home / "run"]
        for path in sorted((trained / "checkpoints" / newest).iterdir()):
            kind = {".json": mutators.JSON, ".toml": mutators.TOML}.get(path.suffix, mutators.SAFETENSORS)
            self.add(f"checkpoint/{path.name}", half, str(path.relative_to(half)), kind, resume)
        self.add("checkpoint/state.json", half, f"run/checkpoints/{newest}/state.json", mutators.JSON, resume)
        # Its first epoch is its best, so the best model is read again.
        ended = self.home / "ended"
        self.make(*runs.begin("smart", ended / "run"))
        (ended / "run" / "summary.json").unlink()
        newest = runs.checkpoints(ended / "run")[-1][2].name
        self.add("checkpoint/best.safetensors", ended, f"run/checkpoints/{newest}/best.safetensors", mutators.SAFETENSORS, resume)
        for name in ("config.toml", "run.json", "metrics.jsonl", "base/config.json", "base/tokenizer.json", "base/tokenizer_config.json"):
            kind = {"toml": mutators.TOML, "json": mutators.JSON, "jsonl": mutators.JSON_LINES}[name.rsplit(".", 1)[-1]]
            self.add(f"resumed/{name}", half, f"run/{name}", kind, resume)

    def configs(self):
        folder = self.home / "configs"
        shutil.copytree(ROOT / "configs", folder / "given")
        shutil.copytree(runs.HERE / "configs", folder / "tiny")
        shutil.copy(self.run / "config.toml", folder / "tiny" / "resolved.toml")
        keys = set()
        for path in sorted(folder.rglob("*.toml")):
            keys |= set(re.findall(r"^([a-z-]+) *=", path.read_text(), re.M))
            file = str(path.relative_to(folder))
            check = lambda home, file=file: ["config", "validate", home / file]
            self.add("config/" + file.split("/")[0], folder, file, mutators.TOML, check, train=file.startswith("tiny/"))
        self.keys = sorted(keys)

    def data(self):
        """Data files of every format, and a config that reads them."""
        course = self.home / "course"
        self.make("data", "demo", "--out", course / "data", "--rows", "20", "--dev-rows", "8")
        shutil.copy(runs.config_file("shape"), course / "config.toml")
        tables = {path.name: path.read_text().splitlines() for path in (course / "data").iterdir()}
        check = lambda home: ["config", "validate", home / "config.toml", "--data", home / "data"]
        skip = lambda home: [*check(home), "--set", "data.bad-rows=skip"]
        for name in sorted(tables):
            self.add("data/course", course, f"data/{name}", mutators.TABLE, check, skip)

        glue, lines = self.home / "glue", self.home / "lines"
        parts = {"ids-sst": ("SST-5", "sst"), "quora": ("QQP", "para"), "sts": ("STS-B", "sts")}
        columns = {"sentiment": "label", "similarity": "score"}
        for folder, shape in ((glue, "glue"), (lines, "json-lines")):
            (folder / "data").mkdir(parents=True)
            text = runs.config_file("shape").read_text().replace("[data]", f'[data]\nformat = "{shape}"', 1)
            (folder / "config.toml").write_text(text)
        for name, rows in tables.items():
            stem, split = re.match(r"(ids-sst|quora|sts)-(train|dev|test)", name).groups()
            cells = [row.split("\t")[1:] for row in rows]
            header = cells[0]
            place = glue / "data" / parts[stem][0]
            place.mkdir(exist_ok=True)
            renamed = [columns.get(column, column) for column in header]
            if stem == "quora":
                renamed = [{"sentence1": "question1", "sentence2": "question2"}.get(column, column) for column in renamed]
            (place / f"{split}.tsv").write_text("\n".join("\t".join(row) for row in [renamed, *cells[1:]]) + "\n")
            self.add("data/glue", glue, f"data/{parts[stem][0]}/{split}.tsv", mutators.TABLE, check, skip)
            objects = []
            for row in cells[1:]:
                found = dict(zip(header, row))
                for label in ("sentiment", "is_duplicate", "similarity"):
                    if label in found:
                        found["label"] = float(found.pop(label))
                objects.append(json.dumps(found))
            (lines / "data" / f"{parts[stem][1]}-{split}.jsonl").write_text("\n".join(objects) + "\n")
            self.add("data/json-lines", lines, f"data/{parts[stem][1]}-{split}.jsonl", mutators.JSON_LINES, check, skip)
        for folder in (course, glue, lines):
            self.make(*check(folder))

        own = self.home / "own"
        self.make("data", "demo", "--own-tasks", own, "--rows", "24", "--dev-rows", "8")
        check_own = lambda home: ["config", "validate", home / "own-tasks.toml", "--data", home]
        kinds = {".csv": mutators.TABLE, ".tsv": mutators.TABLE, ".jsonl": mutators.JSON_LINES, ".parquet": mutators.ANY}
        for path in sorted(own.rglob("*.*")):
            if path.suffix in kinds:
                self.add(f"data/own{path.suffix}", own, str(path.relative_to(own)), kinds[path.suffix], check_own)
        self.add("config/own", own, "own-tasks.toml", mutators.TOML, check_own)
        packed = self.home / "packed"
        shutil.copytree(own, packed)
        text = (packed / "own-tasks.toml").read_text()
        for path in sorted(packed.rglob("train.*")):
            # A Parquet file packs its columns itself.
            if path.suffix == ".parquet":
                continue
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()
            text = text.replace(f'"{path.relative_to(packed)}"', f'"{path.relative_to(packed)}.gz"')
        (packed / "own-tasks.toml").write_text(text)
        self.make(*check_own(packed))
        for path in sorted(packed.rglob("*.gz")):
            kind = kinds[path.suffixes[0]]
            self.add("data/gz", packed, str(path.relative_to(packed)), kind, check_own, packed=True)

    def models(self):
        """A model's folder: as a run exports it, as sentence-transformers knows it, and with a vocabulary alone."""
        encode = lambda home: ["encode", "--model", home / "model", "--input", home / "input.txt"]
        fit = lambda home: ["config", "validate", home / "config.toml", "--model", home / "model"]
        text = runs.config_file("shape").read_text()
        text = text[: text.index("[model.random]")] + text[text.index("[data]") :]
        # What a folder lacks makes other files of it count.
        kinds = {
            "model": (
                (),
                ("config.json", "heads.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "model.safetensors"),
            ),
            "sentences": (
                ("heads.json", "heads.safetensors"),
                ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json", "config_sentence_transformers.json", "config.json"),
            ),
            "vocabulary": (
                ("tokenizer.json", "heads.json", "heads.safetensors"),
                ("vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
            ),
        }
        for kind, (lacking, hostile) in kinds.items():
            folder = self.home / kind
            shutil.copytree(self.run / "model", folder / "model")
            (folder / "input.txt").write_text("a good film\n\nthe wine was bad . [MASK]\nw\u00f6rter 日本\n")
            (folder / "config.toml").write_text(text)
            for name in lacking:
                (folder / "model" / name).unlink()
            if "added_tokens.json" in hostile:
                vocabulary = (folder / "model" / "vocab.txt").read_text().split("\n")
                (folder / "model" / "added_tokens.json").write_text(json.dumps({"[PAD]": 0, "[MASK]": vocabulary.index("[MASK]")}))
            self.make(*encode(folder))
            self.make(*fit(folder))
            for name in hostile:
                changes = {".json": mutators.JSON, ".txt": mutators.LINES}.get(pathlib.Path(name).suffix, mutators.SAFETENSORS)
                self.add(f"{kind}/{name}", folder, f"model/{name}", changes, encode, fit)
        self.add("encode/lines", self.home / "model", "input.txt", mutators.LINES, encode)

    def case(self, rng, folder):
        """Mutates one file, and reads it."""
        name = rng.choice(self.names)
        target = rng.choice([target for target in self.targets if target.name == name])
        home = folder / "files"
        shutil.copytree(target.folder, home)
        path = home / target.file
        data = path.read_bytes()
        # gzip notices most changes by its checksum: half of the time what is packed is changed.
        inside = target.packed and rng.random() < 0.5
        if inside:
            data = gzip.decompress(data)
        changed, done = mutators.mutated(rng, target.mutators, data, self.keys)
        path.write_bytes(gzip.compress(changed, mtime=0) if inside else changed)
        command = rng.choice(target.commands)(home)
        outcome = Outcome([target.name, f"{target.file}: {', '.join(done)}"], hits=changed != data)
        self.check(outcome, command, allowed=target.codes)
        if target.train and outcome.codes == [0] and rng.random() < 0.25 and is_small(home, path):
            arguments = ["train", "--dashboard", "none", "--config", path, "--out", home / "run", "--set", "train.epochs=1"]
            self.check(outcome, arguments, signals=[(TRAINING, signal.SIGINT)], allowed=(0, 1, 2, 130))
        return outcome

    def check(self, outcome, arguments, allowed, **options):
        ending = self.program.run(arguments, **options)
        outcome.story.append(" ".join(map(str, ending.command)))
        outcome.codes.append(ending.code)
        bad = bad_ending(ending, allowed)
        if bad:
            outcome.faults.append(bad)
        elif ending.code not in (0, 130) and not ending.error():
            outcome.faults.append(("message", f"exit code {ending.code} and no message: {ending.said.strip()[:200]}"))


def is_small(home, path):
    """Whether a config asks for no more than seconds and a little memory: what is large by right is no fault."""
    try:
        config = tomllib.loads(path.read_text())
        base = path.parent / config.get("extends", "shape.toml")
        shape = tomllib.loads(base.read_text()) if "extends" in config else {}
        merged = {}
        for table in (shape.get("model", {}).get("random", {}), config.get("model", {}).get("random", {})):
            merged |= table
        data = config.get("data", {}).get("demo", {})
        small = all(isinstance(value, float) or value <= 4000 for value in merged.values())
        return small and "path" not in config.get("model", {}) and all(value <= 100_000 for value in data.values())
    except (ValueError, OSError, TypeError, AttributeError):
        return False
