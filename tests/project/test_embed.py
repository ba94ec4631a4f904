#!/usr/bin/env python3
"""The programs of examples/embed build as a stranger would build them, against an installed library, and run twice.

usage: test_embed.py SOURCE BUILD MESON
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from stranger import MESON, SOURCE, call
from test_example_plugin import install

FIRST_RUNTIME = 'stored at LSN 1\nLSN 3: price "9.95"\n'
SECOND_RUNTIME = 'stored before, at LSN 1\nLSN 5: price "9.95"\n'
SECOND_BARE = 'refused: guard crowds: 4 nodes are too many: at most 3\nLSN 2, 3 nodes\nnode p1: price "9.95"\nnode p2: price "12"\n'
FIRST_BARE = "follower: catalogue LSN 1\nfollower: catalogue LSN 2\n" + SECOND_BARE


def build(work, environment):
    shutil.copytree(SOURCE / "examples" / "embed", work / "embed")
    call(MESON, "setup", work / "embed" / "out", work / "embed", env=environment)
    call(MESON, "compile", "-C", work / "embed" / "out", env=environment)
    return work / "embed" / "out"


def run(*command, libraries):
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, env={**os.environ, "LD_LIBRARY_PATH": str(libraries)})
    return done.stdout + done.stderr if done.returncode else done.stdout


def main():
    print("1..5")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        out = build(work, install(work))
        print("ok 1 - the programs build without a warning against the installed library")
        [plugin] = (work / "root").rglob("node_steps.so")
        config = work / "plugins.json"
        config.write_text(json.dumps({"path_policy": "off", "plugin_dirs": [str(plugin.parent)], "plugins": [{"name": "node_steps"}, {"name": "snapshot_subscriber"}]}))
        plugin.parent.chmod(0o755)
        for file in plugin.parent.iterdir():
            file.chmod(0o755)
        cases = [
            ("the runtime stores, undoes and redoes", (out / "with_runtime", config, work / "a"), FIRST_RUNTIME),
            ("a second run finds all of it", (out / "with_runtime", config, work / "a"), SECOND_RUNTIME),
            ("the bare walk stores and publishes, and its guard refuses", (out / "bare_walk", plugin.parent, work / "b"), FIRST_BARE),
            ("a second run recovers it and stores nothing twice", (out / "bare_walk", plugin.parent, work / "b"), SECOND_BARE),
        ]
        for number, (name, command, expected) in enumerate(cases, 2):
            printed = run(*command, libraries=plugin.parent.parent)
            failed |= printed != expected
            print(f"{'ok' if printed == expected else 'not ok'} {number} - {name}")
            if printed != expected:
                print("# " + printed.strip().replace("\n", "\n# "))
    return failed


if __name__ == "__main__":
    sys.exit(main())
