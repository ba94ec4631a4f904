#!/usr/bin/env python3
"""Snapshots, whole and incremental, from outside: damage and what recovery then does, which ones are kept, space.

usage: test_snapshots.py MF CONFIG
"""
import random
import sqlite3

from cli import *


def _history(work, **options):
    """A document of 300 nodes at LSN 1, a snapshot at LSN 10, 20 and 30, and three events more."""
    config = config_with(work, keep_snapshots=10, **options)
    lines = [tr(*(insert(f"n{n}") for n in range(300)))]
    for n in range(2, 34):
        lines.append(tr(update(f"n{n}", n=n), key=f"k{n}"))
        if n % 10 == 0:
            lines.append({"doc": "d", "op": "snapshot"})
    run(work / "s", lines, config=config)
    return work / "s"


def _snapshots(data):
    return [(s["upto_lsn"], s["base_lsn"]) for s in ask("snapshots", data)]


def _spoil(data, table, condition, column):
    """One bit of the bytes in a row."""
    with sqlite3.connect(data / "store.db") as db:
        [bytes_] = db.execute(f"SELECT {column} FROM {table} WHERE {condition}").fetchone()
        changed = bytearray(bytes_)
        changed[len(changed) // 2] ^= 4
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {condition}", (bytes(changed),))


def _recovers(data, expected, snapshot_lsn, passed_over):
    result = mf("recover", "--data", data)
    assert result.returncode == 0, result
    [answer] = objects(result)
    assert (answer["lsn"], answer["snapshot_lsn"], answer["digest"]) == (33, snapshot_lsn, expected), answer
    assert answer["events_replayed"] == 33 - snapshot_lsn
    assert (answer["damaged_snapshots"], answer["stale_snapshots"]) == (passed_over, 0), answer
    assert (f"{passed_over} snapshot(s)".encode() in result.stderr) == (passed_over > 0), result.stderr


def p4_damage_of_the_newest_then_of_two_then_of_an_event(work):
    for every in (1, 8):
        place = work / str(every)
        place.mkdir()
        data = _history(place, full_snapshot_every=every)
        assert _snapshots(data) == ([(30, 0), (20, 0), (10, 0)] if every == 1 else [(30, 20), (20, 10), (10, 0)])
        expected = digest(data)
        _recovers(data, expected, 30, 0)
        _spoil(data, "snapshots", "upto_lsn = 30", "state_blob")
        _recovers(data, expected, 20, 1)
        _spoil(data, "snapshots", "upto_lsn = 20", "state_blob")
        _recovers(data, expected, 10, 2)
        found = ask("verify", data, code=1)
        assert {(f["what"], f["doc"], f["lsn"]) for f in found[:-1]} == {("snapshot", "d", 30), ("snapshot", "d", 20)} and found[-1]["status"] == "damaged"
        _spoil(data, "events", "lsn = 15", "payload")
        result = mf("recover", "--data", data)
        assert result.returncode == 3 and b"MF_ERR_CORRUPTED" in result.stderr and b"'d'" in result.stderr and b"LSN 15" in result.stderr, result
        assert run(data, [tr(update(n=1))], code=3)[0]["code"] == "MF_ERR_CORRUPTED"
        with sqlite3.connect(data / "store.db") as db:  # nothing was deleted or overwritten
            assert db.execute("SELECT (SELECT count(*) FROM events), (SELECT count(*) FROM snapshots)").fetchone() == (33, 3)


def p4_a_damaged_base_takes_its_chain_with_it(work):
    data = _history(work)
    expected = digest(data)
    _spoil(data, "snapshots", "upto_lsn = 10", "state_blob")
    _recovers(data, expected, 0, 3)
    found = ask("verify", data, code=1)
    assert {f["lsn"] for f in found[:-1]} == {10, 20, 30}
    with sqlite3.connect(data / "store.db") as db:
        db.execute("DELETE FROM snapshots WHERE upto_lsn = 10")
    _recovers(data, expected, 0, 2)
    assert any("missing" in f["message"] for f in ask("verify", data, code=1)[:-1])


def p4_the_cost_of_falling_back_is_limited(work):
    data = _history(work)
    _spoil(data, "snapshots", "upto_lsn = 10", "state_blob")
    tight, loose = work / "tight", work / "loose"
    tight.mkdir()
    loose.mkdir()
    result = mf("recover", "--data", data, config=config_with(tight, fallback_max_events=20))
    assert result.returncode == 3 and b"fallback_max_events" in result.stderr, result
    assert mf("recover", "--data", data, config=config_with(loose, fallback_max_events=0)).returncode == 0


def only_the_newest_are_kept_with_what_they_build_on(work):
    config = config_with(work, keep_snapshots=2, full_snapshot_every=4)
    run(work / "s", [tr(*(insert(f"n{n}") for n in range(300)))], config=config)
    run(work / "s", [line for n in range(7) for line in (tr(update(n=n)), {"doc": "d", "op": "snapshot"})], config=config)
    assert _snapshots(work / "s") == [(8, 7), (7, 6), (6, 0)]
    assert state(work / "s")["root"]["attrs"]["n"] == 6
    assert ask("log", work / "s", "--doc", "d")[0]["lsn"] == 1  # events stay


def compact_keeps_as_many_snapshots_as_asked(work):
    data = work / "s"
    lines = [line for n in range(3) for line in (tr(update(n=n)), {"doc": "d", "op": "snapshot"})]
    run(data, lines[:2] + [tr(update(n=1), doc="e")])
    expected = digest(data)

    def compacted(*args):
        return {a["doc"]: a["upto_lsn"] for a in ask("compact", data, *args)}

    assert compacted() == {"d": 0, "e": 0}  # one snapshot, and two are to be kept
    assert compacted("--keep", 1) == {"d": 1, "e": 0}
    assert ask("log", data, "--doc", "d") == [] and digest(data) == expected
    run(data, lines[2:])
    assert [lsn for lsn, _ in _snapshots(data)] == [4, 3, 1]  # the events that are left follow on the last one
    assert compacted("--doc", "d", "--keep", 4) == {"d": 0} and compacted("--doc", "d", "--keep", 3) == {"d": 1}
    assert compacted("--doc", "d", "--keep", 2) == {"d": 3}
    assert compacted("--doc", "d", "--keep", 1) == {"d": 4} and [lsn for lsn, _ in _snapshots(data)] == [4]
    assert run(data, [{"doc": "d", "op": "undo"}])[0]["lsn"] == 5 and ask("verify", data)[-1]["status"] == "ok"
    for wrong in [0, 1001, -1, "x"]:
        result = mf("compact", "--data", data, "--keep", wrong)
        assert result.returncode == 2 and b"--keep" in result.stderr and result.stdout == b"", result


def compact_with_a_damaged_snapshot_deletes_nothing_whatever_is_asked(work):
    data = _history(work)
    _spoil(data, "snapshots", "upto_lsn = 30", "state_blob")
    result = mf("compact", "--data", data, "--keep", 1)
    assert result.returncode == 3 and b"MF_ERR_CORRUPTED" in result.stderr and b"nothing was deleted" in result.stderr, result
    assert [lsn for lsn, _ in _snapshots(data)] == [30, 20, 10] and ask("log", data, "--doc", "d")[0]["lsn"] == 1


def p10_compaction_frees_space_and_vacuum_gives_it_back(work):
    data, config, noise = work / "s", config_with(work, keep_snapshots=1, history_limit=10), random.Random(1)
    run(data, [tr(update(text=noise.randbytes(1500).hex())) for n in range(1000)] + [{"doc": "d", "op": "snapshot"}], config=config, timeout=120)
    expected, full = digest(data), (data / "store.db").stat().st_size
    assert mf("compact", "--data", data, config=config).returncode == 0
    compacted = (data / "store.db").stat().st_size
    assert compacted >= full
    assert mf("compact", "--data", data, "--vacuum", config=config).returncode == 0
    small = (data / "store.db").stat().st_size
    assert small < full / 5, (full, compacted, small)
    assert digest(data) == expected and ask("verify", data)[-1]["status"] == "ok"


if __name__ == "__main__":
    main(tests_of(dict(globals())))
