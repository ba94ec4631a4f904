#!/usr/bin/env python3
"""Undo outlives everything: a kill, recovery, snapshots whole and incremental, compaction (contract 4).

A history of all step types is stored beside a reference that keeps every event and every digest. What is killed,
reopened, compacted and undone must come to the digests of the reference, each time.

usage: test_undo.py MF CONFIG        MF_SEED repeats a history
"""
import random

from cli import *

SEED = int(os.environ.get("MF_SEED", str(random.randrange(1 << 30))))
EVENTS, BACK = 120, 50


def _random_steps(nodes, n, rng):
    """One to three steps that fit a flat document of nodes; changes nodes."""
    steps = [step("insert_node", parent="root", index=rng.randrange(len(nodes) + 1),
                  node={"id": f"n{n}", "type": "p", "attrs": {"text": "t" * rng.randrange(60), "n": n}})]
    nodes.append(f"n{n}")
    kind, node = rng.randrange(6), rng.choice(nodes)
    if kind == 0:
        steps.append(step("update_attrs", id=node, set={"z": n}, unset=["n"]))
    elif kind == 1:
        steps.append(step("replace_text", id=node, pos=0, delete=0, insert="\u00e9" * 5))
    elif kind == 2:
        steps += [step("add_mark", id=node, mark={"type": "bold", "attrs": {"n": n}}), step("remove_mark", id=nodes[0], type="bold")]
    elif kind == 3:
        steps.append(step("move_node", id=node, parent="root", index=0))
    elif kind == 4 and len(nodes) > 3:
        nodes.remove(node)
        steps.append(step("delete_node", id=node))
    return steps


def _history(count, bulk=0):
    """Transactions; the first one also makes so many nodes more, beside which a difference of a few is small."""
    rng, nodes = random.Random(SEED), [f"b{n}" for n in range(bulk)]
    steps = [step("insert_node", parent="root", index=n, node={"id": node, "type": "p", "attrs": {"text": "y" * 100, "n": n}}) for n, node in enumerate(nodes)]
    return [tr(*(steps if n == 0 else []), *_random_steps(nodes, n, rng), key=f"k{n}") for n in range(count)]


def _reference(work, lines):
    """The digest after each LSN, from a store that was never disturbed."""
    run(work / "whole", lines)
    digests = [None]
    for lsn in range(1, len(lines) + 1):
        result = mf("state", "--data", work / "whole", "--doc", "d", "--at-lsn", lsn, "--digest")
        assert result.returncode == 0, result
        digests.append(result.stdout.decode().strip())
    return digests


def _feed_and_kill(data, lines, config, answers):
    """Feeds all lines, and kills when so many answers are there. The input stays open: nothing ends by itself."""
    with popen("run", "--data", data, config=config, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdin.write(encode(lines))
        got = b""
        while got.count(b"\n") < answers:
            more = process.stdout.read(65536)
            assert more, got
            got += more
        process.kill()
        process.wait()
    for line in got.splitlines()[:answers]:
        assert json.loads(line)["status"] in ("ok", "duplicate"), line


def _all_there(data, lines, config):
    for answer in run(data, lines, config=config):
        assert answer["status"] == "ok" or answer.get("same"), answer


def _first_event(data):
    return ask("log", data, "--doc", "d", "--limit", 1)[0]["lsn"]


def _go(data, op, digests, config):
    """BACK times undo or redo, killed twice on the way; then what a restart finds."""
    lines = [{"doc": "d", "op": op, "key": f"{op}{n}"} for n in range(BACK)]
    for answers in (BACK // 5, BACK // 2):
        _feed_and_kill(data, lines, config, answers)
    _all_there(data, lines, config)
    assert digest(data) == digests[EVENTS - BACK if op == "undo" else EVENTS]


def _log_has(data, op, sources):
    """The newest events are stored ones of that kind, each with the event that it concerns."""
    log = ask("log", data, "--doc", "d")[-len(sources):]
    assert [entry["action"] for entry in log] == [op] * len(sources), log
    assert [entry["source_lsn"] for entry in log] == sources, log


def _with_snapshots(lines):
    """One asked for after every seventh line, beside those that the policy takes."""
    return [line for n, change in enumerate(lines, 1) for line in ([change] if n % 7 else [change, {"doc": "d", "op": "snapshot"}])]


def _undo_after_everything(work, **options):
    config = config_with(work, snapshot_every_n_events=5, keep_snapshots=2, **options)
    lines, data = _history(EVENTS, bulk=200), work / "s"
    digests = _reference(work, lines)
    changes, last = _with_snapshots(lines[:-3]), [line for change in lines[-3:] for line in (change, {"doc": "d", "op": "snapshot"})]
    for answers in (30, 80):
        _feed_and_kill(data, changes, config, answers)
    _all_there(data, changes, config)
    (work / "asked").mkdir()  # the policy's snapshots come when they come; of the last three each builds on the one before it
    _all_there(data, last, config_with(work / "asked", snapshot_every_n_events=0, snapshot_every_ms=0, keep_snapshots=2, **options))
    incremental = sum(snapshot.get("base_lsn", 0) > 0 for snapshot in ask("snapshots", data))
    assert incremental == (2 if options["full_snapshot_every"] > 1 else 0), incremental
    mf("compact", "--data", data, config=config)
    assert _first_event(data) > EVENTS - BACK, "the events that are to be undone must be gone"
    assert digest(data) == digests[EVENTS]
    _go(data, "undo", digests, config)
    _log_has(data, "undo", list(range(EVENTS - BACK + 5, EVENTS - BACK, -1)))
    run(data, [{"doc": "d", "op": "snapshot"}, {"doc": "d", "op": "compact"}], config=config)
    assert digest(data) == digests[EVENTS - BACK]
    _go(data, "redo", digests, config)
    _log_has(data, "redo", list(range(EVENTS - 4, EVENTS + 1)))
    mf("compact", "--data", data, config=config)
    assert digest(data) == digests[EVENTS]
    assert ask("verify", data)[-1]["status"] == "ok"


def f13_fifty_undos_and_redos_after_kill_recovery_and_compaction(work):
    _undo_after_everything(work, full_snapshot_every=1)


def p13_fifty_undos_and_redos_after_kill_incremental_snapshots_and_compaction(work):
    _undo_after_everything(work, full_snapshot_every=3)


def every_restart_on_the_way_back_finds_the_digest_of_its_event(work):
    config = config_with(work, snapshot_every_n_events=4, keep_snapshots=1, full_snapshot_every=3)
    lines, data = _history(40), work / "s"
    digests = _reference(work, lines)
    _all_there(data, lines, config)
    for n in range(40, 0, -1):
        _feed_and_kill(data, [{"doc": "d", "op": "undo", "key": f"u{n}"}], config, 1)
        if n % 8 == 0:
            mf("compact", "--data", data, config=config)
        if n > 1:
            assert digest(data) == digests[n - 1], n
    assert run(data, [{"doc": "d", "op": "undo"}], code=1)[0]["code"] == "MF_ERR_STATE"


# ---- the limit ----
def _undo_until_empty(data, config):
    """How often it worked."""
    answers = run(data, [{"doc": "d", "op": "undo"}] * 40, config=config, code=None)
    assert all(answer["code"] == "MF_ERR_STATE" for answer in answers if answer["status"] == "error"), answers
    return sum(answer["status"] == "ok" for answer in answers)


def _configs(work):
    """One with a history of 5 and one of 1000, neither with snapshots of its own accord."""
    configs = []
    for limit in (5, 1000):
        (work / str(limit)).mkdir()
        configs.append(config_with(work / str(limit), snapshot_every_n_events=0, snapshot_every_ms=0, history_limit=limit))
    return configs


def a_lowered_history_limit_is_honoured_and_a_raised_one_as_far_as_the_events_go(work):
    lines = _history(20)
    digests, data = _reference(work, lines), work / "s"
    low, high = _configs(work)
    _all_there(data, lines, high)
    assert _undo_until_empty(data, low) == 5
    assert digest(data) == digests[15]
    assert run(data, [{"doc": "d", "op": "redo"}] * 5, config=low)[-1]["status"] == "ok"
    assert digest(data) == digests[20]
    assert _undo_until_empty(data, high) == 20  # all events are there: they tell what is before the five
    assert run(data, [{"doc": "d", "op": "redo"}] * 20, config=high)[-1]["status"] == "ok"
    assert digest(data) == digests[20]


def what_a_snapshot_under_a_lower_limit_dropped_stays_dropped(work):
    lines = _history(20)
    digests, data = _reference(work, lines), work / "s"
    low, high = _configs(work)
    _all_there(data, lines[:18], high)
    run(data, [{"doc": "d", "op": "snapshot"}], config=low)
    _all_there(data, lines[18:], high)
    assert _undo_until_empty(data, high) == 7
    assert digest(data) == digests[13]
    assert run(data, [{"doc": "d", "op": "redo"}] * 7, config=high)[-1]["status"] == "ok"
    assert digest(data) == digests[20]
    assert ask("verify", data)[-1]["status"] == "ok"


def a_chain_of_snapshots_is_read_under_another_limit_than_it_was_made(work):
    bulk = tr(*[insert(f"n{n}", attrs={"x": "y" * 100}) for n in range(200)], key="bulk")  # so that a difference is worth it
    lines = [bulk, *[tr(update(n=n), key=f"k{n}") for n in range(19)]]
    digests, data = _reference(work, lines), work / "s"
    low, high = _configs(work)
    undo, snapshot = {"doc": "d", "op": "undo"}, {"doc": "d", "op": "snapshot"}
    run(data, [*lines, snapshot, *[undo] * 8, snapshot], config=high)
    assert [s["base_lsn"] for s in ask("snapshots", data)] == [20, 0]
    assert digest(data) == digests[12]
    shutil.copytree(data, work / "t")
    assert run(data, [{"doc": "d", "op": "redo"}], config=low)[0]["status"] == "ok"
    assert digest(data) == digests[13]
    assert _undo_until_empty(work / "t", low) == 5
    assert digest(work / "t") == digests[7]


if __name__ == "__main__":
    print(f"# MF_SEED={SEED}")
    main(tests_of(dict(globals())))
