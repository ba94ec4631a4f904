#!/usr/bin/env python3
"""Reads `gcovr --json-summary -` from standard input; prints line and branch coverage, a row a file and one a layer."""
import json
import sys
from itertools import groupby


def row(name, files):
    cells = [name]
    for what in ("line", "branch"):
        covered, total = (sum(f[f"{what}_{count}"] for f in files) for count in ("covered", "total"))
        cells += [f"{100 * covered / total:.1f} %" if total else "-", f"{covered}/{total}"]
    print("{:<34}{:>9}{:>14}{:>10}{:>14}".format(*cells))


def main():
    files = sorted((f for f in json.load(sys.stdin)["files"] if f["filename"].endswith(".c")), key=lambda f: f["filename"])
    print("{:<34}{:>9}{:>14}{:>10}{:>14}".format("", "lines", "", "branches", ""))
    layers = [(layer, list(members)) for layer, members in groupby(files, lambda f: f["filename"].split("/")[0])]
    for _, members in layers:
        for file in members:
            row(file["filename"], [file])
    print()
    for layer, members in layers:
        row(layer, members)
    row("together", files)


if __name__ == "__main__":
    main()
