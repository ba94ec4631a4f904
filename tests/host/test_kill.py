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

from cli import *

ROUNDS = int(os.environ.get("MF_ROUNDS", "50"))
SEED = int(os.environ.get("MF_SEED", str(random.randrange(1 << 30))))
DOCS = ["a", "b", "c"]


def _history(count, rng):
    """Lines with keys; undo and redo only where the stack has something."""
    lines, depth, nodes = [], {d: [0, 0] for d in DOCS}, {d: 0 for d in DOCS}
    for n in range(count):
        doc = rng.choice(DOCS)
        kind = rng.random()
        if kind < 0.1 and depth[doc][0] > 0:
            depth[doc] = [depth[doc][0] - 1, depth[doc][1] + 1]
            lines.append({"doc": doc, "op": "undo", "key": f"k{n}"})
        elif kind < 0.15 and depth[doc][1] > 0:
            depth[doc] = [depth[doc][0] + 1, depth[doc][1] - 1]
            lines.append({"doc": doc, "op": "redo", "key": f"k{n}"})
        elif kind < 0.17:
            lines.append({"doc": doc, "op": rng.choice(["snapshot", "compact"])})
        else:
            depth[doc] = [depth[doc][0] + 1, 0]
            nodes[doc] += 1
            steps = [insert(f"n{n}", attrs={"x": "y" * rng.randrange(3000), "text": "t"})]
            if rng.random() < 0.3:
                steps += [update(f"n{n}", z=n), step("replace_text", id=f"n{n}", pos=0, delete=0, insert="\u00e9" * 5)]
            lines.append(tr(*steps, doc=doc, key=f"k{n}"))
    return lines


def _kill_once(data, text, mode, config, wait):
    """Feeds text, kills after a while; the answers that came out, and whether the run had ended by itself."""
    with popen("run", "--data", data, "--mode", mode, config=config, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        feeder = subprocess.Popen(["cat", str(text)], stdout=process.stdin)
        process.stdin.close()
        time.sleep(wait)
        process.kill()
        out = process.stdout.read()
        code = process.wait()
        feeder.wait()
    return [json.loads(line) for line in out.splitlines() if line.endswith(b"}")], code != -9


def _check_round(data, lines, answers, known):
    for answer in answers:
        key = lines[answer["line"] - 1].get("key")
        assert answer["status"] in ("ok", "duplicate") or answer.get("code") == "MF_ERR_NOT_FOUND", answer
        if key:
            assert answer["status"] == "ok" or answer["same"], answer
            assert known.setdefault(key, answer["lsn"]) == answer["lsn"], (answer, known[key])
    if not (data / "store.db").exists():
        assert not answers
        return
    result = mf("verify", "--data", data)
    if b"there is no store" in result.stderr and not known:
        return  # killed while the store was being made
    assert result.returncode == 0, result


def _everything_known_is_there(data, lines, known, config):
    """Every acknowledged key is a duplicate of its LSN."""
    wanted = [n for n, line in enumerate(lines) if line.get("key") in known]
    answers = run(data, [lines[n] for n in wanted], config=config)
    for n, answer in zip(wanted, answers, strict=True):
        assert answer == {"line": answer["line"], "status": "duplicate", "doc": lines[n]["doc"], "lsn": known[lines[n]["key"]],
                          "key": lines[n]["key"], "same": True}, answer


def _survives(work, mode, rounds):
    rng = random.Random(f"{SEED}-{mode}")
    lines = _history(2000, rng)
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
        answers, ended = _kill_once(data, text, mode, config, rng.random() * longest)
        _check_round(data, lines, answers, known)
        killed += not ended and len(known) > before
        if known:
            _everything_known_is_there(data, lines, known, config)
        if ended or rng.random() < 0.3:  # else the next run goes on where this one was killed
            shutil.rmtree(data, ignore_errors=True)
            known = {}
    print(f"# {mode}: {killed} of {rounds} kills came after new answers")
    run(data, lines, "--acks", "none", "--mode", mode, config=config, code=None)
    assert {doc: digest(data, doc) for doc in DOCS} == expected
    _everything_known_is_there(data, lines, known, config)
    assert ask("verify", data)[-1]["status"] == "ok"


def f07_async_loses_nothing_when_it_is_killed(work):
    _survives(work, "async", ROUNDS // 2)


def sync_loses_nothing_when_it_is_killed(work):
    _survives(work, "sync", ROUNDS - ROUNDS // 2)


if __name__ == "__main__":
    print(f"# seed {SEED}, {ROUNDS} rounds: MF_SEED={SEED} repeats it")
    main(tests_of(dict(globals())))
