#!/usr/bin/env python3
"""What each commit mode asks of the operating system, counted in a system-call trace (contract 2; known fault F21).

usage: test_trace.py MF CONFIG
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MF, CONFIG = sys.argv[1], sys.argv[2]
SYNC = re.compile(r"(?:fdatasync|fsync)\(\d+<([^>]*)>")


def line(number):
    """A transaction with about 193 bytes of step data."""
    steps = [{"type_id": "update_attrs", "data": {"id": "root", "set": {"n": number, "note": "x" * 140}}}]
    return json.dumps({"doc": "d", "key": f"k{number}", "steps": steps}) + "\n"


class Traced:
    """mf run under strace, fed one line at a time."""

    def __init__(self, work, mode):
        self.trace = work / "trace"
        self.data = work / "data"
        self.process = subprocess.Popen(
            ["strace", "-f", "-qq", "-y", "-e", "trace=fdatasync,fsync,sync_file_range,openat,open,creat", "-o", self.trace,
             MF, "run", "--config", CONFIG, "--mode", mode, "--data", self.data],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.number = 0

    def commit(self, count):
        for _ in range(count):
            self.number += 1
            self.process.stdin.write(line(self.number))
            self.process.stdin.flush()
            ack = json.loads(self.process.stdout.readline())
            assert ack["status"] == "ok" and ack["lsn"] == self.number, ack

    def syncs(self, name=""):
        """Files synced so far, as the trace has them."""
        text = self.trace.read_text() if self.trace.exists() else ""
        return [path for path in SYNC.findall(text) if path.endswith(name)]

    def close(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


def sync_mode_does_one_fdatasync_of_the_log_per_commit(work):
    run = Traced(work, "sync")
    run.commit(100)
    before, log_before = len(run.syncs()), len(run.syncs("-wal"))
    run.commit(2000)
    total, log = len(run.syncs()) - before, len(run.syncs("-wal")) - log_before
    run.close()
    assert 2000 <= log, f"{log} syncs of the log for 2000 commits"
    assert total <= 2100, f"{total} syncs in all for 2000 commits, checkpoints included"
    database = len(run.syncs("store.db"))
    assert database <= 25, f"{database} syncs of the database: a checkpoint per commit?"
    return f"{log} of the log, {total} in all, for 2000 commits"


def async_mode_syncs_no_commit_by_itself(work):
    run = Traced(work, "async:1000")
    run.commit(10)
    before = len(run.syncs())
    run.commit(500)
    count = len(run.syncs()) - before
    run.close()
    assert count <= 50, f"{count} syncs for 500 commits"
    return f"{count} for 500 commits"


def async_mode_syncs_the_log_within_its_window_while_nothing_happens(work):
    run = Traced(work, "async:20")
    run.commit(1)  # the store is open now, and has synced what opening writes
    before = len(run.syncs("-wal"))
    run.commit(1)
    deadline = time.monotonic() + 60
    while len(run.syncs("-wal")) <= before and time.monotonic() < deadline:
        time.sleep(0.02)
    synced = len(run.syncs("-wal")) > before
    run.close()
    assert synced, "the log was not synced while the input was idle"


def memory_mode_touches_no_file(work):
    run = Traced(work, "memory")
    run.commit(200)
    run.close()
    assert not run.data.exists(), "a data directory was made"
    assert not run.syncs(), run.syncs()
    written = [l for l in run.trace.read_text().splitlines() if re.search(r"O_WRONLY|O_RDWR|O_CREAT", l)]
    assert not written, written[:3]


TESTS = [
    sync_mode_does_one_fdatasync_of_the_log_per_commit,
    async_mode_syncs_no_commit_by_itself,
    async_mode_syncs_the_log_within_its_window_while_nothing_happens,
    memory_mode_touches_no_file,
]


def cannot_trace():
    if not shutil.which("strace"):
        return "needs strace"
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True).returncode:
        return "needs strace, and that it may trace"
    return None


def main():
    print(f"1..{len(TESTS)}")
    reason, failed = cannot_trace(), False
    for number, test in enumerate(TESTS, 1):
        name = f"f21_{test.__name__}"
        if reason:
            print(f"ok {number} - {name} # SKIP {reason}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                note = test(Path(folder))
                print(f"ok {number} - {name}" + (f" ({note})" if note else ""))
            except AssertionError as problem:
                failed = True
                print(f"not ok {number} - {name}\n# {problem}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
