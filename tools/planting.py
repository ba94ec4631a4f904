"""A copy of the tree to spoil: planting.Bed. Used by teeth.py (planted bugs) and mutants.py (mechanical ones).

The copy holds what git knows of, as it is in the working tree, so it can be changed, built and tested without touching the
original. A second bed costs little to build where there is ccache: the two compile the same files with the same options.
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import harness

SOURCE = Path(__file__).resolve().parent.parent
OPTIONS = ["--buildtype=plain", "-Dwerror=false"]  # of a bed: quick to compile, and what a spoilt line makes the compiler warn of stops nothing
PLUGINS = ["plugins/snapshot_subscriber.so", "stepfactories/node_steps.so", "stepfactories/mark_steps.so", "stepfactories/text_steps.so"]


def tracked():
    found = subprocess.run(["git", "ls-files", "-z"], cwd=SOURCE, capture_output=True, text=True, check=True).stdout
    return [name for name in found.split("\0") if name and (SOURCE / name).is_file()]


def has_ccache():
    return shutil.which("ccache") is not None


class Bed:
    def __init__(self, folder, tests="enabled", options=()):
        self.tree, self.build = Path(folder).resolve() / "tree", Path(folder).resolve() / "build"
        self.options = [f"-Dtests={tests}", *options]
        # Without them git would look at the repository around the copy.
        self.environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(Path(folder).resolve()), "CCACHE_NOHASHDIR": "1", "CMOCKA_MESSAGE_OUTPUT": "TAP", "SRC": str(self.tree)}

    def sync(self, names=None):
        """Makes the copy, or these files of it, what the original is. Files that are the same keep their times."""
        wanted = tracked() if names is None else names
        for name in wanted:
            there, bytes_here = self.tree / name, (SOURCE / name).read_bytes()
            if there.is_file() and there.read_bytes() == bytes_here:
                continue
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(bytes_here)
            shutil.copymode(SOURCE / name, there)
        if names is None:
            for path in [p for p in self.tree.rglob("*") if p.is_file() and str(p.relative_to(self.tree)) not in set(wanted)]:
                path.unlink()

    def configure(self):
        """Empty, or what went wrong."""
        if (self.build / "build.ninja").is_file():
            return ""
        done = subprocess.run(["meson", "setup", self.build, self.tree, *self.options], env=self.environment, capture_output=True, text=True, errors="replace")
        return done.stdout[-3000:] + done.stderr[-3000:] if done.returncode else ""

    def make(self, targets, jobs):
        """Empty, or the end of what the compiler said."""
        done = subprocess.run(["ninja", "-C", self.build, f"-j{jobs}", *targets], env=self.environment, capture_output=True, text=True, errors="replace")
        return (done.stdout + done.stderr)[-3000:] or "ninja failed" if done.returncode else ""

    def needed_by(self, program):
        """What meson builds before it runs the test whose program this is: the program, and what it depends on."""
        told = self.build / "meson-info"
        wanted = {target for test in json.loads((told / "intro-tests.json").read_text()) if test["cmd"][0] == str(self.build / program) for target in test["depends"]}
        files = [Path(name) for target in json.loads((told / "intro-targets.json").read_text()) if target["id"] in wanted for name in target["filename"]]
        return [program, *(str(path.relative_to(self.build)) for path in files)]

    @contextlib.contextmanager
    def scratch(self):
        """For as long, $SCRATCH of what runs is a folder, in memory if that can be: a spoilt program leaves things behind."""
        with tempfile.TemporaryDirectory(dir=harness.in_memory(), ignore_cleanup_errors=True) as folder:
            self.environment["SCRATCH"] = folder
            yield

    def apply(self, patch):
        """Empty, or why it does not fit."""
        done = subprocess.run(["git", "apply", "-C1", patch], cwd=self.tree, env=self.environment, capture_output=True, text=True)
        return done.stderr or "git apply failed" if done.returncode else ""

    def run(self, command, timeout):
        """(exit code, None after the timeout; what it said). Whatever it started is ended with it."""
        process = subprocess.Popen(["bash", "-c", command], cwd=self.build, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        try:
            said, _ = process.communicate(timeout=timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            code, said = None, None
            os.killpg(process.pid, signal.SIGTERM)  # a harness removes then what it has made
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, _ = process.communicate(timeout=5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if said is None:
            said, _ = process.communicate()
        return code, said
