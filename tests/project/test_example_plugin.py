#!/usr/bin/env python3
"""The example plugin builds as a stranger would build it, against an installed library, and runs.

usage: test_example_plugin.py SOURCE BUILD MESON
"""
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from stranger import BUILD, MESON, SOURCE, call

INPUT = [
    {"doc": "d", "steps": [{"type_id": "insert_node", "data": {"parent": "root", "node": {"id": "p", "type": "p", "attrs": {"text": "one two  three"}}}}]},
    {"doc": "d", "steps": [{"type_id": "count_words", "data": {"id": "p"}}]},
    {"doc": "d", "op": "undo"},
    {"doc": "d", "op": "redo"},
    {"doc": "d", "steps": [{"type_id": "count_words", "data": {"id": "p"}}] * 4},
]
COUNT = {"doc": "d", "steps": [{"type_id": "count_words", "data": {"id": "p"}}]}
SNAPSHOT = {"doc": "d", "op": "snapshot"}


def install(work):
    """Install into a prefix of its own; the environment in which a stranger's build finds it."""
    call(MESON, "install", "-C", BUILD, "--no-rebuild", "--destdir", work / "root")
    [pc] = (work / "root").rglob("moduforge.pc")
    return {**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(work / "root")}


def build_plugin(work, environment):
    shutil.copytree(SOURCE / "subprojects" / "example_plugin", work / "plugin")
    call(MESON, "setup", work / "plugin" / "out", work / "plugin", env=environment)
    call(MESON, "compile", "-C", work / "plugin" / "out", env=environment)
    return work / "plugin" / "out" / "word_count.so"


def run_with(work, plugin):
    config = work / "plugins.json"
    config.write_text(json.dumps({
        "plugin_dirs": [str(BUILD / "plugins"), str(BUILD / "stepfactories")],
        "plugins": [{"name": "node_steps"}, {"name": "snapshot_subscriber"},
                    {"name": "word_count", "path": str(plugin), "config": {"max_steps": 3, "max_counts": 4}}]}))
    mf = [BUILD / "mf", "--config", config]

    def run(lines):
        acks = call(*mf, "run", "--data", work / "data", codes=(0, 1), input="".join(json.dumps(line) + "\n" for line in lines))
        return [json.loads(a) for a in acks.stdout.splitlines()]

    acks = run(INPUT)
    state = call(*mf, "state", "--doc", "d", "--data", work / "data")
    return acks, json.loads(state.stdout), [run([COUNT]), run([COUNT, SNAPSHOT]), run([COUNT, SNAPSHOT, {"doc": "d", "op": "compact"}]), run([COUNT])]


def counts_fault(later):
    """One count so far (the redo sets an attribute), four are allowed. At last the events that made the number are gone."""
    *counted, [refused] = later
    good = all(a["status"] == "ok" for acks in counted for a in acks) and "counted 4 times" in refused.get("message", "")
    return "" if good else later


def main():
    print("1..4")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        plugin = build_plugin(work, install(work))
        print("ok 1 - the plugin builds against the installed library")
        acks, state, later = run_with(work, plugin)
    words = state["root"]["children"][0]["attrs"].get("words")
    good = words == 3 and [a["status"] for a in acks[:4]] == ["ok"] * 4
    print(f"{'ok' if good else 'not ok'} 2 - its step is applied, undone, redone and recovered ({words} words)")
    refused = acks[4]["status"] == "error" and "at most 3" in acks[4]["message"]
    print(f"{'ok' if refused else 'not ok'} 3 - its guard refuses by its option: {acks[4].get('message')}")
    fault = counts_fault(later)
    print(f"{'not ok' if fault else 'ok'} 4 - its field outlives restarts, a snapshot and compaction {fault}")
    return not (good and refused and not fault)


if __name__ == "__main__":
    sys.exit(main())
