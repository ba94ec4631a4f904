"""What the tests share that use the library as a stranger would: an installation, commands that must succeed, TAP output.

A test is a function whose name is a sentence; what it returns is not looked at, what it raises is its failure.
usage of every test: TEST SOURCE BUILD MESON
"""
import inspect
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

SOURCE, BUILD, MESON = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
os.environ.pop("LD_LIBRARY_PATH", None) # with which meson test leads to the library of the build tree


class Skip(Exception):
    pass


def call(*command, codes=(0,), **options):
    run = subprocess.run([str(c) for c in command], text=True, capture_output=True, **options)
    if run.returncode not in codes:
        raise AssertionError(f"{' '.join(map(str, command))} ended with {run.returncode}: {run.stdout[-3000:]}{run.stderr[-3000:]}")
    return run


def pkg_config(prefix, *arguments):
    """pkg-config as told of an installation in prefix, wherever the build thought it would be."""
    [pc] = prefix.rglob("moduforge.pc")
    return ["env", f"PKG_CONFIG_PATH={pc.parent}", "pkg-config", f"--define-variable=prefix={prefix}", *arguments]


def variable(prefix, name):
    return Path(call(*pkg_config(prefix, f"--variable={name}", "moduforge")).stdout.strip())


def installed_by_destdir(work):
    """An installation of this build, moved away from where it was put."""
    call(MESON, "install", "-C", BUILD, "--no-rebuild", "--destdir", work / "root")
    [bin_dir] = (work / "root").rglob("bin")
    prefix = work / "moved"
    bin_dir.parent.rename(prefix)
    return prefix


def main(namespace):
    """Runs the functions of the calling module in order, all in one folder."""
    tests = [value for name, value in namespace.items()
             if inspect.isfunction(value) and value.__module__ == "__main__" and not name.startswith("_")]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="mf-test-") as folder:
        for number, test in enumerate(tests, 1):
            try:
                test(Path(folder).resolve())
                print(f"ok {number} - {test.__name__}", flush=True)
            except Skip as reason:
                print(f"ok {number} - {test.__name__} # SKIP {reason}", flush=True)
            except Exception:  # a test that breaks is a test that fails
                failed += 1
                print(f"not ok {number} - {test.__name__}\n# " + traceback.format_exc().replace("\n", "\n# "), flush=True)
    sys.exit(failed > 0)


__all__ = [name for name in dir() if not name.startswith("_")] + ["os"]
