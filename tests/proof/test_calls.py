#!/usr/bin/env python3
"""What the interposer of file system calls saw of a life of a store is what the kernel was asked for: counted by strace.

usage: test_calls.py POWERLOSS   (tests/proof/powerloss.c, whose --live prints what was seen)
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# A call of strace's, and the kind that calls.h counts it as.
KINDS = {
    "write": "write", "pwrite64": "write", "writev": "write", "pwritev": "write", "pwritev2": "write",
    "fsync": "fsync", "fdatasync": "fdatasync", "sync_file_range": "sync_range",
    "ftruncate": "truncate", "truncate": "truncate", "fallocate": "allocate",
    "rename": "rename", "renameat": "rename", "renameat2": "rename", "link": "link", "linkat": "link",
    "unlink": "unlink", "unlinkat": "unlink", "rmdir": "unlink", "mkdir": "mkdir", "mkdirat": "mkdir",
    "mmap": "map", "flock": "lock", "fcntl": "lock",
}
# What would change a file and is not hooked at all: never asked for.
NEVER = ["sendfile", "copy_file_range", "splice", "io_uring_setup", "io_submit", "symlink", "symlinkat", "syncfs", "sync"]
CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?(\w+)\((.*)")


def counted(trace, directory):
    counts = dict.fromkeys(KINDS.values(), 0)
    creating = 0
    for line in trace.splitlines():
        found = CALL.match(line)
        if not found or not re.search(re.escape(directory) + '[/>"]', line):
            continue
        name, arguments = found.groups()
        if name == "fcntl" and not re.search(r"F_(OFD_)?SETLKW?\b", arguments):
            continue
        if name in ("open", "openat", "creat"):
            creating += "O_CREAT" in arguments or name == "creat"
        elif name in KINDS:
            counts[KINDS[name]] += 1
        else:
            assert name in ("close",), line
    return counts, creating


def every_call_that_changes_the_store_is_seen(work, program):
    directory, trace = work / "life", work / "trace"
    calls = ",".join([*KINDS, *NEVER, "openat", "open", "creat"])
    result = subprocess.run(["strace", "-f", "-qq", "-y", "-s", "0", "-e", f"trace={calls}", "-o", trace, program, "--live", directory],
                            capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    seen = {kind: int(count) for kind, count in (line.split() for line in result.stdout.splitlines())}
    traced, creating = counted(trace.read_text(), str(directory))
    for kind, count in traced.items():
        expected = seen[kind] + 2 * (kind == "mkdir")  # the harness makes two before it watches
        assert count == expected, f"{kind}: strace has {count}, seen were {expected}"
    assert traced["write"] > 100 and traced["fdatasync"] > 10 and traced["fsync"] > 3 and traced["rename"] > 0 and traced["unlink"] > 0, traced
    assert seen["open"] >= creating > 3, (seen, creating)


def main():
    program = sys.argv[1]
    name = every_call_that_changes_the_store_is_seen.__name__
    print("1..1")
    if not shutil.which("strace"):
        print(f"ok 1 {name} # SKIP needs strace")
        return
    with tempfile.TemporaryDirectory() as work:
        try:
            every_call_that_changes_the_store_is_seen(Path(work), program)
            print(f"ok 1 {name}")
        except AssertionError as error:
            print(f"# {error}\nnot ok 1 {name}")


main()
