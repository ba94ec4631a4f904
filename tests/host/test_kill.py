#!/usr/bin/env python3
"""kill -9 at any instant loses nothing that was acknowledged (contract 2), in every durable mode.

A history of several documents with undo, redo, snapshots and compaction is fed to `mf run`, which is killed
again and again, each time at another moment; the next run gets the same input. After each kill: every line
that was answered is there, nothing is there that was not sent, `mf verify` finds nothing. At the end every
document has the digest that a run without any kill gives.

usage: test_kill.py MF CONFIG        MF_ROUNDS sets the number of kills (default 50), MF_SEED the moments
"""
import random
import time

from killing import *

ROUNDS = int(os.environ.get("MF_ROUNDS", "50"))
SEED = int(os.environ.get("MF_SEED", str(random.randrange(1 << 30))))


def _survives(work, mode, rounds):
    rng = random.Random(f"{SEED}-{mode}")
    lines = history(2000, rng)
    text = work / "in"
    text.write_bytes(encode(lines))
    config = config_with(work, snapshot_every_n_events=50)
    start = time.monotonic()
    run(work / "whole", lines, "--mode", mode, config=config, code=None)
    longest = time.monotonic() - start
    expected = {doc: digest(work / "whole", doc) for doc in DOCS}
    data, known, killed = work / "s", {}, 0
    for _ in range(rounds):
        before = len(known)
        moment = rng.random() * longest
        answers, ended = feed_and_kill(data, text, mode, config, lambda _: time.sleep(moment))
        check_answers(lines, answers, known)
        is_clean(data, known)
        killed += not ended and len(known) > before
        if known:
            everything_known_is_there(data, lines, known, config)
        if ended or rng.random() < 0.3:  # else the next run goes on where this one was killed
            shutil.rmtree(data, ignore_errors=True)
            known = {}
    print(f"# {mode}: {killed} of {rounds} kills came after new answers")
    run(data, lines, "--acks", "none", "--mode", mode, config=config, code=None)
    assert {doc: digest(data, doc) for doc in DOCS} == expected
    everything_known_is_there(data, lines, known, config)
    assert ask("verify", data)[-1]["status"] == "ok"


def f07_async_loses_nothing_when_it_is_killed(work):
    _survives(work, "async", ROUNDS // 2)


def sync_loses_nothing_when_it_is_killed(work):
    _survives(work, "sync", ROUNDS - ROUNDS // 2)


# Of an opening and its first commit: whatever changes a file of the store, or its folder.
CHANGING_CALLS = ["mkdir", "openat", "pwrite64", "ftruncate", "fdatasync", "fsync", "unlink"]
FILES = ["", "/lock", "/store.db", "/store.db-journal", "/store.db-wal", "/store.db-shm", "/watermark", "/metrics"]


UNTRACED = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}  # which would trace it too


def _killed_at(data, line, call, number):
    """mf run on a new store, killed at its so manieth call of this name that concerns the store; False: it has not so many."""
    shutil.rmtree(data, ignore_errors=True)
    paths = [part for file in FILES for part in ("-P", f"{data}{file}")]
    inject = ["-e", f"inject={call}:signal=KILL:when={number}"] if number else []
    result = subprocess.run(["strace", "-f", "-qq", "-o", os.devnull, *paths, "-e", f"trace={call}", *inject, MF, "run", "--data", data, "--mode", "sync", "--config", CONFIG],
                            input=encode([line]), capture_output=True, check=False, timeout=60, env=UNTRACED)
    return result.returncode != 0


def a_creation_killed_at_any_call_left_a_store_or_none(work):
    data, line = work / "s", tr(update(n=1), key="k")
    needs_strace()
    assert not _killed_at(data, line, "pwrite64", 0)
    killed = {True: 0, False: 0}
    for call in CHANGING_CALLS:
        number = 1
        while _killed_at(data, line, call, number):
            where = (call, number)
            verified, listed, recovered = (mf(command, "--data", data) for command in ("verify", "docs", "recover"))
            there = verified.returncode == 0
            for result in (verified, listed, recovered):
                assert result.returncode == (0 if there else 1), (where, result)
                assert result.stderr == b"" or (b"MF_ERR_NOT_FOUND" in result.stderr and b"there is no store" in result.stderr and not there), (where, result)
            [answer] = run(data, [line], "--mode", "sync")
            assert answer["lsn"] == 1 and answer["status"] == ("duplicate" if objects(listed) else "ok"), (where, answer)
            [told] = ask("verify", data)
            assert (told["status"], told["events"]) == ("ok", 1), (where, told)
            killed[there] += 1
            number += 1
    assert killed[True] > 20 and killed[False] > 10, killed
    print(f"# {killed[False]} kills left no store, {killed[True]} a store")


if __name__ == "__main__":
    print(f"# seed {SEED}, {ROUNDS} rounds: MF_SEED={SEED} repeats it")
    main(tests_of(dict(globals())))
