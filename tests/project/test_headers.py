#!/usr/bin/env python3
"""Every header compiles alone; the public ones also as C++17, with C names; and no failure can be overlooked (known fault P17)."""
import re
import shutil
import subprocess
import sys
from pathlib import Path


def compiles(compiler, language, root, header):
    public = header.is_relative_to(root / "include")
    name = header.relative_to(root / "include" if public else root)
    flags = ["-x", language, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", f"-I{root / 'include'}"]
    if public: # as a stranger may be strict
        flags += ["-std=c++17" if language == "c++" else "-std=c11", "-Wpedantic"]
        if 'extern "C" {' not in header.read_text():
            return False, "its functions would be looked for under C++ names: extern \"C\" is missing"
    else:
        flags += ["-D_GNU_SOURCE", f"-I{root}"]
    run = subprocess.run([compiler, *flags, "-"], input=f"#include <{name}>\n", text=True, capture_output=True)
    return run.returncode == 0, run.stderr


# Their failure is told by other means too: the error is the result, or there is nothing left to do about it.
MAY_BE_IGNORED = {"mf_error_set", "mf_error_prefix", "mf_store_close", "mf_runtime_close", "mf_snapshot_subscriber_close"}
DECLARATION = re.compile(r"^MF_API (.*?)enum mf_status (mf_\w+)\(", re.MULTILINE)


def p17_a_failure_cannot_look_like_success(root):
    """Public functions whose status the compiler does not make the caller look at."""
    for header in sorted((root / "include").rglob("*.h")):
        for attributes, name in DECLARATION.findall(header.read_text()):
            if "MF_MUST_CHECK" not in attributes and name not in MAY_BE_IGNORED:
                yield f"{header.name}: {name} returns a status that may be ignored"


def main():
    root, compiler = Path(sys.argv[1]), sys.argv[2]
    cxx = shutil.which("g++") or shutil.which("clang++")
    cases = [(compiler, "c", h) for folder in ("include", "model", "bus", "persist", "host") for h in sorted((root / folder).rglob("*.h"))]
    if cxx:
        cases += [(cxx, "c++", h) for h in sorted((root / "include").rglob("*.h"))]
    print(f"1..{len(cases) + 1}")
    failed = False
    for number, (tool, language, header) in enumerate(cases, 1):
        ok, output = compiles(tool, language, root, header)
        failed |= not ok
        print(f"{'ok' if ok else 'not ok'} {number} - {header.relative_to(root)} as {language}")
        for line in output.splitlines():
            print(f"# {line}")
    unchecked = list(p17_a_failure_cannot_look_like_success(root))
    print(f"{'not ok' if unchecked else 'ok'} {len(cases) + 1} - p17_a_failure_cannot_look_like_success")
    for line in unchecked:
        print(f"# {line}")
    return failed or bool(unchecked)


if __name__ == "__main__":
    sys.exit(main())
