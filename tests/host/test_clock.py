#!/usr/bin/env python3
"""The wall clock jumps while `mf run` works, seen from outside: libfaketime moves the clock of the whole program.

What the clocks of a library in a program do to it, windows, snapshots and checkpoints apart, is in tests/proof/test_clock.c.

usage: test_clock.py MF CONFIG
"""
import glob
import random

from killing import *

LIBRARY = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
SEED = int(os.environ.get("MF_SEED", str(random.randrange(1 << 30))))
JUMPS = [-3600, 86400]


class FakeTime:
    """A program's wall clock; the monotonic one stays what it is."""

    def __init__(self, work):
        if not LIBRARY:
            raise Skip("needs libfaketime")
        self.file, self.offset = work / "clock", 0
        self.jump(0)
        self.env = {**os.environ, "LD_PRELOAD": LIBRARY, "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    def jump(self, seconds):
        self.offset += seconds
        new = self.file.with_suffix(".new")
        new.write_text(f"{self.offset:+d}s\n")
        new.rename(self.file)


def _answers_across_jumps(work, clock, lines, mode, config, rng):
    """Portions of the lines, each answered before the clock jumps again."""
    answers = []
    with popen("run", "--data", work / "s", "--mode", mode, config=config, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clock.env) as process:
        out = os.fdopen(process.stdout.fileno(), "rb", buffering=1 << 16, closefd=False)
        while lines:
            count = rng.randrange(1, 40)
            portion, lines = lines[:count], lines[count:]
            process.stdin.write(encode(portion))
            answers += [json.loads(out.readline()) for _ in portion]
            clock.jump(rng.choice(JUMPS))
        process.stdin.close()
        assert process.wait(timeout=60) == 0
    return answers


def _check(work, mode):
    print(f"# MF_SEED={SEED}")
    rng = random.Random(f"{SEED}-{mode}")
    lines = [line for line in history(400, rng) if line.get("op") not in ("snapshot", "compact")]
    config = config_with(work, snapshot_every_ms=5, snapshot_every_n_events=0)
    clock, calm = FakeTime(work), work / "calm"
    answers = _answers_across_jumps(work, clock, lines, mode, config, rng)
    undisturbed = run(calm, lines)
    assert answers == undisturbed, [pair for pair in zip(answers, undisturbed) if pair[0] != pair[1]][:4]
    assert all(a["status"] == "ok" for a in answers), answers
    assert mf("verify", "--data", work / "s", config=config).returncode == 0
    for doc in DOCS:
        assert digest(work / "s", doc) == digest(calm, doc)
    times = [entry["ts_us"] for entry in ask("log", work / "s")]
    assert times == sorted(times)
    assert times[-1] - times[0] > 43200 * 1000000, "the clock did not jump"


def a_run_in_mode_async_loses_nothing_when_the_clock_jumps(work):
    _check(work, "async:5")


def a_run_in_mode_sync_loses_nothing_when_the_clock_jumps(work):
    _check(work, "sync")


if __name__ == "__main__":
    main(tests_of(globals()))
