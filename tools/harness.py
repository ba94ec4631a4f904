"""What the tools behind ./dev share: what they are told, and how they are stopped (as tests/proof/harness.h for programs).

run(main) forks: main() goes on in a child, in a process group of its own, and what was the program only watches. Told to stop (SIGINT,
SIGTERM, SIGHUP) it kills the child first, which so never judges what it sees end; ends all that the child had started, by SIGTERM
where that helps; removes the temporary directories; prints "stopped"; and exits with 128 + the signal's number.
"""
import ctypes
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

STOPS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PATIENCE_S = 10  # for what was asked to end
MANY = 10**9

place = None  # temporary directories are below it, and below the same name in memory


def refuse(words):
    print(words, file=sys.stderr)
    raise SystemExit(2)


def number(name, otherwise=None, least=1, most=MANY, text=None):
    """A decimal number: the text, or what the environment has under that name."""
    text = os.environ.get(name) if text is None else text
    if not text:
        return otherwise
    if not re.fullmatch("[0-9]{1,20}", text) or not least <= int(text) <= most:
        refuse(f"{name} is '{text}', it must be a number from {least} to {most}")
    return int(text)


def arguments(usage, most=0):
    """Those of the command line; for "--help" the usage, and for more than so many, or other options, too."""
    given = sys.argv[1:]
    if given and given[-1] in ("--help", "-h"):
        print(usage.strip())
        raise SystemExit(0)
    wrong = [word for word in given if word.startswith("-")] or given[most:]
    if wrong:
        refuse(f"'{wrong[0]}' is not understood here\n{usage.strip()}")
    return given


def in_memory():
    """A directory that goes as the tool ends; None: there is none."""
    if not place or not os.access("/dev/shm", os.W_OK):
        return None
    there = Path("/dev/shm") / place.name
    there.mkdir(exist_ok=True)
    return there


def descendants():
    parents, found = {}, {os.getpid()}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass  # gone
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


def reap():
    """{pid: exit code} of those that have ended; None: nobody is left."""
    ended = {}
    try:
        while (one := os.waitpid(-1, os.WNOHANG))[0]:
            ended[one[0]] = os.waitstatus_to_exitcode(one[1])
    except ChildProcessError:
        return ended or None
    return ended


def end_all():
    asked = time.monotonic()
    number_of = signal.SIGTERM
    while reap() is not None:
        if number_of is not None:
            for pid in descendants():
                try:
                    os.kill(pid, number_of)
                except ProcessLookupError:
                    pass
        number_of = signal.SIGKILL if time.monotonic() - asked > PATIENCE_S else None
        time.sleep(0.05)


def watch(child, waited):
    """How it ended: its exit code, or the signal that stopped it."""
    while True:
        got = signal.sigwait(waited)
        if got in STOPS:
            os.kill(child, signal.SIGKILL)
            end_all()
            return None, got
        if got == signal.SIGTSTP:  # the terminal stops this process, and not the group of the child
            os.killpg(child, signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
            os.killpg(child, signal.SIGCONT)
        elif child in (ended := reap() or {}):
            return ended[child], None


def run(main, stopped="stopped"):
    """Ends the program with what main() returns."""
    global place
    waited = {*STOPS, signal.SIGTSTP, signal.SIGCHLD}
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    try:
        place = Path(tempfile.mkdtemp(prefix="mf-tools-"))
    except OSError as error:
        refuse(f"no directory can be made for temporary files: {error}")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        tempfile.tempdir = str(place)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, waited)
        sys.exit(main())
    try:
        os.setpgid(child, child)
    except OSError:
        pass  # it has done so
    code, by = watch(child, waited)
    for folder in (place, Path("/dev/shm") / place.name):
        shutil.rmtree(folder, ignore_errors=True)
    if by:
        print(("\r\033[K" if sys.stdout.isatty() else "") + stopped, flush=True)
    sys.exit(128 + by if by else 128 - code if code < 0 else code)
