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


if __name__ == "__main__":
    print(f"# seed {SEED}, {ROUNDS} rounds: MF_SEED={SEED} repeats it")
    main(tests_of(dict(globals())))
