"""What the tests of the program share: run mf, small builders of lines, and TAP output.

A test is a function whose name is a sentence; it gets an empty directory. `Skip` says why it cannot run here: "needs ..." for want
of what ./dev installs or root has, which .ci/run does not let pass (docs/testing.md).
"""
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

MF, CONFIG = (str(Path(path).resolve()) for path in sys.argv[1:3])


class Skip(Exception):
    pass


def needs_strace():
    if not shutil.which("strace") or subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, check=False).returncode:
        raise Skip("needs strace, and that it may trace")


def mf(*args, stdin=b"", config=CONFIG, timeout=120, **kwargs):
    """Runs mf to its end; stdin is bytes, text, or a list of lines (objects become JSON)."""
    command = [MF, *map(str, args)]
    if config:
        command += ["--config", str(config)]
    return subprocess.run(command, input=encode(stdin), capture_output=True, timeout=timeout, check=False, **kwargs)


def encode(lines):
    if isinstance(lines, bytes):
        return lines
    if isinstance(lines, str):
        return lines.encode()
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)


def objects(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def run(data, lines, *args, code=0, **kwargs):
    """The answers of mf run, which must end with code (None: 0 or 1)."""
    result = mf("run", "--data", data, *args, stdin=lines, **kwargs)
    assert result.returncode in ([0, 1] if code is None else [code]), (result.returncode, result.stdout[-2000:], result.stderr)
    return objects(result)


def ask(command, data, *args, code=0):
    result = mf(*command.split(), "--data", data, *args)
    assert result.returncode == code, (result.returncode, result.stdout[-2000:], result.stderr)
    return objects(result)


def state(data, doc="d", *args):
    return ask("state", data, "--doc", doc, *args)[0]


def digest(data, doc="d"):
    result = mf("state", "--data", data, "--doc", doc, "--digest")
    assert result.returncode == 0, result.stderr
    return result.stdout.decode().strip()


def step(type_id, **data):
    return {"type_id": type_id, "data": data}


def insert(node, parent="root", **more):
    return step("insert_node", parent=parent, node={"id": node, "type": "p", **more})


def update(node="root", **attrs):
    return step("update_attrs", id=node, set=attrs)


def tr(*steps, doc="d", **more):
    return {"doc": doc, "steps": list(steps), **more}


def config_with(work, top=None, **options):
    """A plugins.json in work with options of the snapshot subscriber changed."""
    config = json.loads(Path(CONFIG).read_text())
    folder = Path(CONFIG).resolve().parent
    config["plugin_dirs"] = [str(folder / name) for name in config["plugin_dirs"]]
    config.update(top or {})
    for plugin in config["plugins"]:
        if plugin["name"] == "snapshot_subscriber":
            plugin["config"].update(options)
    path = work / "plugins.json"
    path.write_text(json.dumps(config))
    return path


def popen(*args, config=CONFIG, **kwargs):
    return subprocess.Popen([MF, *map(str, args), "--config", str(config)], bufsize=0, **kwargs)


def main(tests):
    """Runs the functions of the calling module, in order; TAP on standard output."""
    tests = [test for test in tests if inspect.isfunction(test)]
    failed = 0
    print(f"1..{len(tests)}", flush=True)
    for number, test in enumerate(tests, 1):
        work = Path(tempfile.mkdtemp(prefix="mf-test-"))
        try:
            test(work)
            print(f"ok {number} - {test.__name__}", flush=True)
        except Skip as reason:
            print(f"ok {number} - {test.__name__} # SKIP {reason}", flush=True)
        except Exception:  # a test that breaks is a test that fails
            failed += 1
            print(f"not ok {number} - {test.__name__}", flush=True)
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    sys.exit(1 if failed else 0)


def tests_of(namespace):
    return [value for name, value in namespace.items()
            if inspect.isfunction(value) and value.__module__ == "__main__" and not name.startswith("_") and name != "main"]


__all__ = [name for name in dir() if not name.startswith("_")] + ["os"]
