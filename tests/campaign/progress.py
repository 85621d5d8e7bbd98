"""What was done so far: a JSON line a case, so that a campaign can be stopped and gone on with; and the table of counts."""

import collections
import json
import re
import threading

KINDS = ("kills", "writes", "disks", "signals", "made", "mutate")
FAULTS = ("lost", "differing", "log", "panic", "hang", "memory", "exit code", "message", "unsaid", "slow", "leftover")


class Progress:
    """The cases of a campaign with their outcomes, kept in a file if there is one."""

    def __init__(self, path=None):
        self.records, self.lock, self.file = {}, threading.Lock(), None
        if path is None:
            return
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    self._take(json.loads(line))
                except ValueError:
                    pass  # the line that was being written when the campaign was stopped
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "a")
        self.file.write("\n")

    def _take(self, record):
        self.records[record["kind"], record["seed"], record["index"]] = record

    def has(self, kind, seed, index):
        return (kind, seed, index) in self.records

    def add(self, record):
        with self.lock:
            self._take(record)
            if self.file:
                self.file.write(json.dumps(record) + "\n")
                self.file.flush()

    def hits(self, kind):
        with self.lock:
            return sum(record["hits"] for record in self.records.values() if record["kind"] == kind)

    def failed(self):
        return [record for record in self.records.values() if record.get("faults")]

    def table(self):
        """Counts, a line a kind of case."""
        heads = ["", "cases", "hits", *FAULTS]
        rows = [heads]
        for kind in KINDS:
            records = [record for record in self.records.values() if record["kind"] == kind]
            if not records:
                continue
            counts = collections.Counter(fault for record in records for fault in {name for name, _ in record.get("faults", ())})
            rows.append([kind, len(records), sum(record["hits"] for record in records), *(counts[name] for name in FAULTS)])
        widths = [max(len(str(row[column])) for row in rows) for column in range(len(heads))]
        return "\n".join(
            "  ".join(str(cell).rjust(width) if column else str(cell).ljust(width) for column, (cell, width) in enumerate(zip(row, widths)))
            for row in rows
        )

    def alike(self):
        """Failures that look alike, with the first of each: what to mend is a line here."""
        groups = collections.defaultdict(list)
        for record in self.failed():
            for fault, detail in record["faults"]:
                groups[record["kind"], fault, signature(detail.split(", metrics")[0])].append((record, detail))
        return sorted(groups.items(), key=lambda group: (group[0][0], group[0][1], -len(group[1])))


def signature(detail):
    """What is the same in failures of one cause: the message without numbers, paths and quoted values."""
    text = re.sub(r"(/[\w.+-]+)+", "PATH", detail.replace("\n", " "))
    text = re.sub(r"`[^`]*`|\"[^\"]*\"|'[^']*'", "…", text)
    return re.sub(r"-?\d[\d.e+-]*", "N", text)[:160]
