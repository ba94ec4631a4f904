"""Small changes to C, made by rule: mutation.sample. What each can do to a line is in SWAPS, `call-left-out` and `condition-turned`.

A mutant is known by what it does and where: file, function, line's text, name of the change, not by the line's number, so that
what is known of it stays true while other parts of the file change (Mutant.key). The order of the sample is by a hash of the
seed and that key, spread over the files: the first N are N spread over all files by their size, for every N.
"""
import hashlib
import re

from planting import SOURCE, tracked

LAYERS = ("model/", "bus/", "persist/")
SWAPS = [  # (name, pattern, replacement)
    ("less", r"(?<=[\w)\]]) < (?=[\w(*&!-])", " <= "), ("less-or-equal", r" <= ", " < "), ("greater", r"(?<=[\w)\]]) > (?=[\w(*&!-])", " >= "), ("greater-or-equal", r" >= ", " > "),
    ("equal", r" == ", " != "), ("not-equal", r" != ", " == "), ("and", r" && ", " || "), ("or", r" \|\| ", " && "),
    ("plus", r"(?<=[\w)\]]) \+ (?=[\w(])", " - "), ("minus", r"(?<=[\w)\]]) - (?=[\w(])", " + "),
    ("not", r"(?<=\()!(?=\w)", ""), ("one-more", r"(?<=[ (])1(?=[;,) ])", "2"), ("nothing-is-one", r"(?<== )0(?=;)", "1"),
    ("no-error", r"return MF_ERR_\w+;", "return MF_OK;"), ("status-dropped", r"return status;", "return MF_OK;"),
]
CALL = re.compile(r"^\t+(?!return|if|for|while|else|do|switch|case|break|continue|goto)[\w.>\-]+\([^{}]*\);$")


class Mutant:
    def __init__(self, file, number, name, original, text):
        self.file, self.number, self.name, self.original, self.text = file, number, name, original.strip(), text
        self.key = ""

    def __str__(self):
        return f"{self.file}:{self.number}:{self.name}"

    def layer(self):
        return self.file.split("/")[0]


def comment(line):
    return line.lstrip().startswith(("/*", "*", "//", "#")) or "assert(" in line or "MF_PROBE" in line


def changes(line):
    """(name, the line as it becomes)"""
    code = line.split("/*", 1)[0]
    for name, pattern, replacement in SWAPS:
        for at, match in enumerate(re.finditer(pattern, code)):
            if code[: match.start()].count('"') % 2 == 0:
                yield name + (f"-{at}" if at else ""), line[: match.start()] + replacement + line[match.end():]
    if CALL.match(code.rstrip()):
        yield "call-left-out", re.match(r"\t+", line)[0] + ";"
    condition = re.match(r"^(\t+(?:\} else )?if \()(.*)\)(| \{)$", line)
    if condition:
        yield "condition-turned", f"{condition[1]}!({condition[2]})){condition[3]}"


def functions_of(lines):
    """(number of the first line of the body, the lines of it) of each; tables and prototypes are left alone."""
    opened = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            opened = number
        elif line.startswith("}") and opened:
            yield opened, lines[opened - 1: number]
            opened = None


def mutants_of(file):
    found, seen = [], {}
    lines = (SOURCE / file).read_text().splitlines()
    for first, body in functions_of(lines):
        whole = lines[first - 2] + "\n".join(body)
        for number, line in enumerate(body, first):
            if comment(line):
                continue
            for name, text in changes(line):
                mutant = Mutant(file, number, name, line, text)
                words = "\n".join((file, whole, name, line))
                seen[words] = seen.get(words, 0) + 1
                mutant.key = hashlib.sha256(f"{words}\n{seen[words]}".encode()).hexdigest()[:20]
                found.append(mutant)
    return found


def everything():
    return [mutant for file in tracked() if file.startswith(LAYERS) and file.endswith(".c") for mutant in mutants_of(file)]


def drawn(seed, words):
    return int(hashlib.sha256(f"{seed} {words}".encode()).hexdigest()[:12], 16) / 16**12


def in_order(mutants, seed):
    """All of them: every beginning of it has of each file its share."""
    files = {}
    for mutant in mutants:
        files.setdefault(mutant.file, []).append(mutant)
    placed = []
    for file, those in files.items():
        those.sort(key=lambda mutant: drawn(seed, mutant.key))
        placed += [((at + drawn(seed, file)) / len(those), mutant) for at, mutant in enumerate(those)]
    return [mutant for _, mutant in sorted(placed, key=lambda pair: pair[0])]
