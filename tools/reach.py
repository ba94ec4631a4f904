"""Which tests reach a line: reach.Map. Asked of gcov, once a test, of a copy of the tree that is built for coverage.

The tests are those of meson whose program is built in tests/. A test is asked again when its own sources changed; when a file
of the product did, which of its lines are reached is not known, only that the file is. Harnesses that work in children which they
kill tell gcov nothing: they count as reaching all of persist (BLIND).
"""
import hashlib
import json
import re
import shlex
import subprocess
import time
from pathlib import Path

from planting import OPTIONS, PLUGINS, SOURCE, Bed

BLIND = ("crash", "powerloss", "faults", "bitflip", "model", "neighbours", "persist sqlite_crash")
# They mount file systems, which a spoilt one would leave behind; or are of no layer of the product.
LEFT_OUT = ("full disk", "persist broken_device", "calls", "disk", "memory_files", "listing", "starve")
FAILED = re.compile(r"^not ok (?!.*# (TODO|SKIP))", re.MULTILINE)


def sha(*pieces):
    return hashlib.sha256(b"\0".join(pieces)).hexdigest()[:16]


def fails(code, said):
    return code != 0 or bool(FAILED.search(said))


class Test:
    def __init__(self, bed, told, targets):
        self.name = told["name"]
        self.program = str(Path(told["cmd"][0]).relative_to(bed.build))
        values = {"MF_ROUNDS": "2", "MF_COUNT": "300", **told["env"], "TMPDIR": "$SCRATCH"}
        words = [shlex.quote(word) if i else f"./{self.program}" for i, word in enumerate(told["cmd"])]
        words = [word.replace(str(bed.build), ".").replace(str(bed.tree), "$SRC") for word in words]
        quoted = [f'{name}="{value.replace(str(bed.build), "$PWD")}"' for name, value in values.items()]
        self.command = " ".join(quoted + words)
        own = [target for target in targets.values() if told["cmd"][0] in target["filename"]]
        self.sources = sorted({source for target in own for part in target["target_sources"] for source in part["sources"]})
        needed = [Path(name) for target in told["depends"] for name in targets[target]["filename"]]
        self.targets = [self.program, *(str(path.relative_to(bed.build)) for path in needed if path != bed.build / self.program)]
        if self.program.startswith("tests/host/"):
            self.targets += PLUGINS
        told_so = " ".join(word for word in quoted + words if not word.startswith("LD_LIBRARY_PATH"))  # its order is another each time
        self.version = sha(told_so.encode(), *(Path(source).read_bytes() for source in self.sources))


def tests_of(bed):
    """{name: Test}; the bed is configured."""
    told = bed.build / "meson-info"
    targets = {target["id"]: target for target in json.loads((told / "intro-targets.json").read_text())}
    found = {}
    for test in json.loads((told / "intro-tests.json").read_text()):
        if test["cmd"][0].startswith(str(bed.build / "tests")) and test["name"] not in LEFT_OUT and not test["name"].startswith("fault "):
            found[test["name"]] = Test(bed, test, targets)
    return found


class Map:
    """What is known, kept in FOLDER/reach.json."""

    def __init__(self, folder):
        self.kept = folder / "reach.json"
        self.bed = Bed(folder / "reach", options=[*OPTIONS, "-Doptimization=0", "-Db_coverage=true"])
        self.known = json.loads(self.kept.read_text()) if self.kept.is_file() else {}

    def learn(self, jobs, say):
        """Empty, or what went wrong."""
        why = self.bed.sync() or self.bed.configure()
        if why:
            return why
        for name, test in tests_of(self.bed).items():
            known = self.known.get(name)
            if known and known["version"] == test.version and known["passes"]:
                continue
            why = self.bed.make(test.targets, jobs)
            if why:
                return f"{name} does not build:\n{why}"
            self.ask(name, test)
            say(f"{name}: {self.known[name]['seconds']:.1f} s, reaches {sum(map(len, self.known[name]['lines'].values()))} lines" + ("" if self.known[name]["passes"] else ", FAILS"))
            self.kept.write_text(json.dumps(self.known))
        return ""

    def ask(self, name, test):
        for old in self.bed.build.rglob("*.gcda"):
            old.unlink()
        began = time.monotonic()
        with self.bed.scratch():
            code, said = self.bed.run(test.command, 600)
        self.known[name] = {"version": test.version, "seconds": time.monotonic() - began, "passes": not fails(code, said), "lines": self.lines(), "files": {}}
        self.known[name]["files"] = {file: sha((self.bed.tree / file).read_bytes()) for file in self.known[name]["lines"]}

    def lines(self):
        told = [str(path) for layer in ("model", "bus", "persist") for path in (self.bed.build / layer).rglob("*.gcda")]
        reached = {}
        said = subprocess.run(["gcov", "--json-format", "--stdout", *told], cwd=self.bed.build, capture_output=True, text=True, check=False).stdout if told else ""
        for document in said.splitlines():
            for file in json.loads(document)["files"]:
                path = (self.bed.build / file["file"]).resolve()
                if path.suffix == ".c" and path.is_relative_to(self.bed.tree):
                    # A line counts with those after it that have no code of their own: the rest of its statement.
                    numbers = {line["line_number"]: line["count"] > 0 for line in file["lines"]}
                    hit, last = [], False
                    for number in range(min(numbers, default=1), max(numbers, default=0) + 1):
                        last = numbers.get(number, last)
                        if last:
                            hit.append(number)
                    reached.setdefault(str(path.relative_to(self.bed.tree)), []).extend(hit)
        return reached

    def reaches(self, name, file, number):
        entry = self.known.get(name)
        if not entry or not entry["passes"]:
            return False
        if name in BLIND:
            return file.startswith("persist/")
        if entry["files"].get(file) not in (None, sha((SOURCE / file).read_bytes())):
            return True
        return number in entry["lines"].get(file, ())
