#!/usr/bin/env python3
"""Recovery works in pages: replaying a long history needs little more memory than loading its snapshot (known fault P6).

usage: test_memory.py MF CONFIG        MF_EVENTS sets the number of events (default 200000)
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MF, CONFIG = sys.argv[1], sys.argv[2]
EVENTS = int(os.environ.get("MF_EVENTS", "200000"))
LIMIT_KIB = 64 * 1024


def config_without_snapshots(work):
    config = json.loads(Path(CONFIG).read_text())
    folder = Path(CONFIG).resolve().parent
    config["plugin_dirs"] = [str(folder / d) for d in config["plugin_dirs"]]
    for plugin in config["plugins"]:
        if plugin["name"] == "snapshot_subscriber":
            plugin["config"].update(snapshot_every_n_events=0, snapshot_every_bytes=0, snapshot_every_ms=0)
    path = work / "plugins.json"
    path.write_text(json.dumps(config))
    return path


def feed(config, data):
    command = [MF, "run", "--config", config, "--mode", "async", "--acks", "none", "--data", data]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as process:
        insert = {"type_id": "insert_node", "data": {"parent": "root", "node": {"id": "n", "type": "t"}}}
        process.stdin.write(json.dumps({"doc": "d", "steps": [insert]}) + "\n")
        for n in range(EVENTS - 1):
            process.stdin.write('{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"n","set":{"v":%d}}}]}\n' % n)
    assert process.returncode == 0


def recover(config, data):
    """(report, peak resident KiB) of `mf recover` in a process of its own."""
    code = ("import json,resource,subprocess,sys;"
            "out=subprocess.run(sys.argv[1:],capture_output=True,text=True,check=True).stdout;"
            "print(json.dumps([json.loads(out),resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))")
    out = subprocess.run([sys.executable, "-c", code, MF, "recover", "--config", config, "--data", data, "--doc", "d"],
                         capture_output=True, text=True, check=True).stdout
    return json.loads(out)


def p6_replay_of_a_long_history_is_bounded_in_memory():
    """(good, a note with the numbers)"""
    with tempfile.TemporaryDirectory(dir=os.environ.get("MF_TMP")) as folder:
        work = Path(folder)
        config, data = config_without_snapshots(work), work / "data"
        feed(config, data)
        replayed, replay_kib = recover(config, data)
        assert replayed["events_replayed"] == EVENTS, replayed
        subprocess.run([MF, "run", "--config", config, "--data", data], input='{"doc":"d","op":"snapshot"}\n', text=True, check=True, capture_output=True)
        restored, snapshot_kib = recover(config, data)
        assert restored["events_replayed"] == 0 and restored["digest"] == replayed["digest"], restored
    return replay_kib - snapshot_kib <= LIMIT_KIB, f"{EVENTS} events: {replay_kib} KiB, from a snapshot {snapshot_kib} KiB"


def main():
    print("1..1")
    good, note = p6_replay_of_a_long_history_is_bounded_in_memory()
    print(f"{'ok' if good else 'not ok'} 1 - {p6_replay_of_a_long_history_is_bounded_in_memory.__name__} ({note})")
    return not good


if __name__ == "__main__":
    sys.exit(main())
