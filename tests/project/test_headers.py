#!/usr/bin/env python3
"""Every header compiles alone; the public ones also as C++."""
import shutil
import subprocess
import sys
from pathlib import Path


def compiles(compiler, language, root, header):
    public = header.is_relative_to(root / "include")
    name = header.relative_to(root / "include" if public else root)
    flags = ["-x", language, "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", f"-I{root / 'include'}"]
    if not public:
        flags.append(f"-I{root}")
    run = subprocess.run([compiler, *flags, "-"], input=f"#include <{name}>\n", text=True, capture_output=True)
    return run.returncode == 0, run.stderr


def main():
    root, compiler = Path(sys.argv[1]), sys.argv[2]
    cxx = shutil.which("g++") or shutil.which("clang++")
    cases = [(compiler, "c", h) for folder in ("include", "model", "bus", "persist", "host") for h in sorted((root / folder).rglob("*.h"))]
    if cxx:
        cases += [(cxx, "c++", h) for h in sorted((root / "include").rglob("*.h"))]
    print(f"1..{len(cases)}")
    failed = False
    for number, (tool, language, header) in enumerate(cases, 1):
        ok, output = compiles(tool, language, root, header)
        failed |= not ok
        print(f"{'ok' if ok else 'not ok'} {number} - {header.relative_to(root)} as {language}")
        for line in output.splitlines():
            print(f"# {line}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
