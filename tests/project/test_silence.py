#!/usr/bin/env python3
"""The library prints nothing, sets no signal handler and never ends the process: neither its sources nor what was built from
them call what would. (assert, for the broken promises of a caller, is the one exception.)

usage: test_silence.py SOURCE LIBRARY PLUGIN...        a build without sanitizers, else no LIBRARY
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT, BUILT = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
OUTPUT = "printf vprintf puts putchar perror psignal syslog vsyslog warn warnx err errx error"
SIGNALS = "signal sigaction sigset sigignore sigvec siginterrupt signalfd raise kill killpg tgkill sigqueue alarm setitimer timer_create"
ENDS = "exit _exit _Exit quick_exit abort atexit on_exit at_quick_exit exit_group __assert_perror_fail"
STREAMS = "stdout stderr"  # who has neither may print into files of his own
FORBIDDEN = set(f"{OUTPUT} {SIGNALS} {ENDS} {STREAMS}".split())
CALL = re.compile(rf"(?<![\w.>])({'|'.join(sorted(FORBIDDEN - {'stdout', 'stderr'}))})\s*\(")
COMMENTS_AND_STRINGS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', re.DOTALL)


def library_sources():
    """What is in libmoduforge and the plugins; the other files of host/ are the program's."""
    meson = (ROOT / "host" / "meson.build").read_text()
    of_host = re.findall(r"'(\w+\.c)'", re.search(r"host_sources = files\((.*?)\)", meson, re.DOTALL)[1])
    files = [p for folder in ("model", "bus", "persist", "plugins", "stepfactories") for p in sorted((ROOT / folder).glob("*.[ch]"))]
    return files + [ROOT / "host" / name for name in of_host]


def source_faults():
    for path in library_sources():
        code = COMMENTS_AND_STRINGS.sub(lambda match: "\n" * match[0].count("\n"), path.read_text())
        for number, line in enumerate(code.splitlines(), 1):
            for name in CALL.findall(line) + re.findall(r"\b(stdout|stderr)\b", line):
                yield f"{path.relative_to(ROOT)}:{number}: {name}"


def imported(path):
    listing = subprocess.run(["nm", "--dynamic", "--undefined-only", path], text=True, capture_output=True, check=True).stdout
    return {line.split()[-1].split("@")[0] for line in listing.splitlines() if line.strip()}


def built_faults():
    for path in BUILT:
        names = imported(path)
        assert names, f"{path} imports nothing?"
        # Fortified and wide forms: __fprintf_chk.
        for name in sorted(names & (FORBIDDEN | {f"__{name}_chk" for name in FORBIDDEN})):
            yield f"{path.name} imports {name}"


def teeth():
    """What must be found is found."""
    for line in ("\tprintf(\"x\");", "if (x) exit(1);", "sigaction(SIGINT, &a, NULL);", "return (abort(), 0);"):
        if not CALL.search(COMMENTS_AND_STRINGS.sub("", line)):
            yield f"not found: {line}"
    for line in ("snprintf(a, b, c);", "pthread_cond_signal(&c);", "options->signal(x);", "/* exit(1) */", '"printf(%d)"'):
        if CALL.search(COMMENTS_AND_STRINGS.sub("", line)):
            yield f"found, though harmless: {line}"


def main():
    checks = [("what would print, set a handler or end the process is found", teeth), ("no source of the library calls it", source_faults)]
    print(f"1..{len(checks) + 1}")
    failed = False
    for number, (name, check) in enumerate(checks, 1):
        faults = list(check())
        failed |= bool(faults)
        print(f"{'not ok' if faults else 'ok'} {number} - {name}")
        for fault in faults:
            print(f"# {fault}")
    name = "nothing that was built imports it"
    reason = "the build has a sanitizer in it" if not BUILT else "needs nm (binutils)" if not shutil.which("nm") else None
    faults = [] if reason else list(built_faults())
    print(f"{'not ok' if faults else 'ok'} {len(checks) + 1} - {name}{f' # SKIP {reason}' if reason else ''}")
    for fault in faults:
        print(f"# {fault}")
    return failed or bool(faults)


if __name__ == "__main__":
    sys.exit(main())
