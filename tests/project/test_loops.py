#!/usr/bin/env python3
"""The examples on GLib's and libuv's loops: each is given what it commits, on its own loop, and ends by itself. Run twice.

usage: test_loops.py PLUGINS_JSON PROGRAM...
"""
import subprocess
import sys
import tempfile
from pathlib import Path


def printed(program, config, data):
    done = subprocess.run([program, config, data], text=True, capture_output=True, timeout=60, check=False)
    return done.stdout + done.stderr + (f"exit {done.returncode}" if done.returncode else "")


def main():
    config, *programs = sys.argv[1:]
    print(f"1..{max(1, len(programs))}")
    if not programs:
        print("ok 1 - event loops # SKIP needs GLib (libglib2.0-dev) or libuv (libuv1-dev)")
    failed = False
    for number, program in enumerate(programs, 1):
        with tempfile.TemporaryDirectory() as folder:
            outputs = [printed(program, config, folder + "/store") for _ in range(2)]
        expected = ["".join(f"LSN {lsn} of catalogue: 1 step\n" for lsn in range(first, first + 10)) for first in (1, 11)]
        failed |= outputs != expected
        print(f"{'ok' if outputs == expected else 'not ok'} {number} - {Path(program).name} follows on its own loop")
        if outputs != expected:
            print("# " + "".join(outputs).replace("\n", "\n# "))
    return failed


if __name__ == "__main__":
    sys.exit(main())
