"""Inputs that no mutation makes: very long, very many, and what is no file. Each is read once."""

import gzip
import os
import re
import shutil

import mutation
import runs

MEGABYTE = 1 << 20


class Made:
    """The inputs, by name; each gives the arguments of a command."""

    def __init__(self, bench):
        self.bench = bench
        self.cases = [getattr(self, name) for name in sorted(dir(self)) if name.startswith("case_")]

    def case(self, index, folder):
        make = self.cases[index]
        outcome = mutation.Outcome([make.__name__.removeprefix("case_").replace("_", " ")], hits=1)
        arguments, options = make(folder)
        self.bench.check(outcome, arguments, (0, 1, 2), **options)
        return outcome

    def encode(self, folder, data):
        (folder / "input").write_bytes(data)
        return ["encode", "--model", self.bench.run / "model", "--input", folder / "input", "--output", folder / "output"], {}

    def case_one_line_of_words(self, folder):
        return self.encode(folder, b"film " * (10 * MEGABYTE))

    def case_one_line_of_letters(self, folder):
        return self.encode(folder, b"a" * (50 * MEGABYTE))

    def case_one_line_of_accents(self, folder):
        return self.encode(folder, "e\u0301".encode() * (10 * MEGABYTE))

    def case_many_short_lines(self, folder):
        return self.encode(folder, b"a\n" * 20_000)

    def course(self, folder, change, *more):
        self.bench.make("data", "demo", "--out", folder / "data", "--rows", "20", "--dev-rows", "8")
        path = folder / "data" / "ids-sst-dev.csv"
        path.write_bytes(change(path.read_bytes()))
        return ["config", "validate", runs.config_file("shape"), "--data", folder / "data", *more], {}

    def case_a_row_of_fifty_megabytes(self, folder):
        return self.course(folder, lambda data: data + b"99\tx\t" + b"film " * (10 * MEGABYTE) + b"\t1\n")

    def case_a_quote_that_never_closes(self, folder):
        return self.course(folder, lambda data: data + b'99\tx\t"' + b"film\n" * (10 * MEGABYTE))

    def case_a_million_bad_rows(self, folder):
        return self.course(folder, lambda data: data + b"99\tx\ta film\t9\n" * 1_000_000)

    def case_a_million_bad_rows_skipped(self, folder):
        return self.course(folder, lambda data: data + b"99\tx\ta film\t9\n" * 1_000_000, "--set", "data.bad-rows=skip")

    def case_a_header_of_a_million_columns(self, folder):
        return self.course(folder, lambda data: data.replace(b"\t", b"\tx" * 1_000_000 + b"\t", 1))

    def case_a_packed_file_of_four_gigabytes(self, folder):
        shutil.copytree(self.bench.home / "packed", folder / "own")
        # gzip files may be joined, and are one file then.
        (folder / "own" / "nli" / "train.csv.gz").write_bytes(gzip.compress(b"a,b,c\n" * (16 * MEGABYTE // 6)) * 256)
        return ["config", "validate", folder / "own" / "own-tasks.toml", "--data", folder / "own"], {}

    def config(self, folder, text):
        (folder / "config.toml").write_text(text)
        return ["config", "validate", folder / "config.toml"], {}

    def case_unknown_keys(self, folder):
        return self.config(folder, "[tasks.sst]\n" + "".join(f"x{number} = 1\n" for number in range(200_000)))

    def case_unknown_sections(self, folder):
        return self.config(folder, "".join(f"[x{number}]\n" for number in range(100_000)))

    def case_tasks(self, folder):
        return self.config(folder, "".join(f'[tasks.x{number}]\ninputs = "single"\nlabels = ["a", "b"]\n' for number in range(5_000)))

    def case_labels(self, folder):
        names = ", ".join(f'"l{number}"' for number in range(200_000))
        return self.config(folder, f'[tasks.x]\ninputs = "single"\nlabels = [{names}]\n')

    def case_extends_a_pipe(self, folder):
        os.mkfifo(folder / "pipe")
        return self.config(folder, 'extends = "pipe"\n')

    def case_extends_what_never_ends(self, folder):
        return self.config(folder, 'extends = "/dev/zero"\n')

    def case_extends_itself(self, folder):
        return self.config(folder, 'extends = "config.toml"\n')

    def case_a_config_that_never_ends(self, folder):
        return ["config", "validate", "/dev/zero"], {}

    def case_a_model_of_mad_sizes(self, folder):
        return self.sizes(folder, layers=1_000_000)

    def case_a_model_that_is_too_wide(self, folder):
        return self.sizes(folder, **{"hidden-size": 1 << 20, "intermediate-size": 1 << 20})

    def sizes(self, folder, **sizes):
        sets = [f"--set=model.random.{key}={value}" for key, value in sizes.items()]
        return ["train", "--dashboard", "none", "--config", runs.config_file("smart"), "--out", folder / "run", *sets], {}

    def case_a_mad_corpus(self, folder):
        return ["train", "--dashboard", "none", "--config", runs.config_file("smart"), "--out", folder / "run", "--set=data.demo.sst=1000000000"], {}

    def model(self, folder, name, make):
        shutil.copytree(self.bench.run / "model", folder / "model")
        (folder / "model" / name).unlink()
        make(folder / "model" / name)
        (folder / "input").write_text("a film\n")
        return ["encode", "--model", folder / "model", "--input", folder / "input"], {}

    def case_a_tokenizer_that_is_a_pipe(self, folder):
        return self.model(folder, "tokenizer.json", os.mkfifo)

    def case_a_tokenizer_that_never_ends(self, folder):
        return self.model(folder, "tokenizer.json", lambda path: path.symlink_to("/dev/zero"))

    def case_a_model_config_that_is_a_pipe(self, folder):
        return self.model(folder, "config.json", os.mkfifo)

    def case_layers_by_the_billion(self, folder):
        text = (self.bench.run / "model" / "config.json").read_text()
        changed = re.sub(r'"num_hidden_layers": \d+', '"num_hidden_layers": 1000000000', text)
        return self.model(folder, "config.json", lambda path: path.write_text(changed))

    def case_an_analysis_that_is_a_pipe(self, folder):
        shutil.copytree(self.bench.run, folder / "run")
        (folder / "run" / "analysis.json").unlink()
        os.mkfifo(folder / "run" / "analysis.json")
        return ["report", folder / "run", "--out", folder / "report.html"], {}


COUNT = sum(name.startswith("case_") for name in dir(Made))
