#!/usr/bin/env python3
"""Writes docs/configuration.md from the option tables of the plugins; the text around the tables is kept.

usage: configuration.py [--check] FILE PRINT_OPTIONS PLUGIN...

A plugin's part lies between `<!-- plugin NAME -->` and `<!-- end -->`; that of a new plugin is put at the end. With --check
nothing is written, and what would change is told as the result of a test.
"""
import difflib
import re
import subprocess
import sys
from pathlib import Path

PART = re.compile(r"<!-- plugin (\w+) -->\n.*?<!-- end -->\n", re.DOTALL)


def generated(printer, plugins):
    """{name: its part}, in the order of the command line."""
    printed = subprocess.run([printer, *plugins], text=True, stdout=subprocess.PIPE, check=True).stdout
    parts = {}
    for heading, table in re.findall(r"^= (.*)\n((?:\|.*\n)*)", printed, re.MULTILINE):
        name, summary = heading.split(" ", 1)
        parts[name] = f"<!-- plugin {name} -->\n## {name}\n\n{summary}\n\n{table or 'It takes no options.' + chr(10)}<!-- end -->\n"
    return parts


def rewritten(text, parts):
    there = PART.findall(text)
    text = PART.sub(lambda match: parts.get(match.group(1), ""), text) # a plugin that is gone loses its part
    return text + "".join("\n" + part for name, part in parts.items() if name not in there)


def check(old, new):
    fits = old == new
    print(f"1..1\n{'ok' if fits else 'not ok'} 1 - configuration.md is what the plugins say")
    if not fits:
        print("# ./dev docs puts it right")
        print("".join("# " + line.rstrip("\n") + "\n" for line in difflib.unified_diff(old.splitlines(), new.splitlines(), "docs/configuration.md", "the plugins")))
    return 0 if fits else 1


def main(arguments):
    only_check = arguments[0] == "--check"
    path, printer, *plugins = arguments[only_check:]
    old = Path(path).read_text()
    new = rewritten(old, generated(printer, plugins))
    if only_check:
        return check(old, new)
    if old != new:
        Path(path).write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
