#!/usr/bin/env python3
"""docs/contract.md: every sentence has a number and names tests, and each of these exists and is run.

usage: test_contract.py SOURCE
"""
import re
import sys
from pathlib import Path

ROOT = Path(sys.argv[1])
ITEM = re.compile(r"- \*\*(\d+)\.(\d+)\*\* (.+)")
PROOF = re.compile(r"  - `(tests/[\w/.]+): (\w+)`")


class Promise:
    def __init__(self, section, number, text):
        self.section, self.number, self.text, self.proofs = int(section), int(number), text, []

    def __str__(self):
        return f"{self.section}.{self.number}"


def read(text):
    """(promises, lines that belong to none) of the numbered sections."""
    promises, loose, numbered = [], [], False
    for line in text.splitlines():
        if line.startswith("## "):
            numbered = re.match(r"## \d+\. ", line)
        elif not numbered or not line.strip() or line.startswith("|"):
            continue
        elif item := ITEM.fullmatch(line):
            promises.append(Promise(*item.groups()))
        elif proof := PROOF.fullmatch(line):
            promises[-1].proofs.append(proof.groups())
        elif promises and line.startswith("  ") and not line.startswith("  -") and not promises[-1].proofs:
            promises[-1].text += " " + line.strip()
        else:
            loose.append(line)
    return promises, loose


def is_run(path, name):
    """Defined in the file, and in C also in a list: what is only called is no test."""
    text = path.read_text()
    if path.suffix == ".py":
        return re.search(rf"^def {name}\(", text, re.MULTILINE)
    return re.search(rf"^static void {name}\(", text, re.MULTILINE) and re.search(rf"\b{name}\b(?!\()", text)


def number_faults(promises, _):
    expected = (1, 1)
    for promise in promises:
        here = (promise.section, promise.number)
        if here not in (expected, (expected[0] + 1, 1)):
            yield f"{promise} comes where {expected[0]}.{expected[1]} or the next section should be"
        expected = (here[0], here[1] + 1)


def sentence_faults(promises, loose):
    for line in loose:
        yield f"in a numbered section, and no promise: {line}"
    for promise in promises:
        if not promise.text.endswith(".") or re.search(r"[.!?] [A-Z]", promise.text):
            yield f"{promise} is not one sentence"


def proof_faults(promises, _):
    if not promises:
        yield "there are no promises"
    for promise in promises:
        if not promise.proofs:
            yield f"{promise} names no test"
        for file, name in promise.proofs:
            path = ROOT / file
            if not path.exists() or not is_run(path, name):
                yield f"{promise} names {file}: {name}, which {'is not a test there' if path.exists() else 'does not exist'}"


def main():
    promises, loose = read((ROOT / "docs" / "contract.md").read_text())
    checks = [("the sentences are numbered one after the other", number_faults), ("each is one sentence and nothing stands between them", sentence_faults),
              ("each names tests, and these are run", proof_faults)]
    print(f"1..{len(checks)}\n# {len(promises)} promises, {sum(len(p.proofs) for p in promises)} proofs")
    failed = False
    for number, (name, check) in enumerate(checks, 1):
        faults = list(check(promises, loose))
        failed |= bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        for fault in faults:
            print(f"# {fault}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
