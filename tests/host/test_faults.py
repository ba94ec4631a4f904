#!/usr/bin/env python3
"""Faults of other systems, shown to be absent from outside (docs/testing.md has the list). What one unit can show is
shown in the unit's own tests.

usage: test_faults.py MF CONFIG
"""
import sqlite3

from cli import *


class Feed:
    """mf run, fed one line at a time."""

    def __init__(self, data, *args, config=CONFIG):
        self.process = popen("run", "--data", data, *args, config=config, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def send(self, line):
        self.process.stdin.write(encode([line]))

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def commit(self, line):
        self.send(line)
        answer = self.answer()
        assert answer["status"] == "ok", answer
        return answer["lsn"]

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def f01_own_keys_and_ids_never_repeat_after_kills_and_compaction(work):
    keys, ids = set(), set()
    for n in range(6):
        feed = Feed(work / "s")
        for doc in "de":
            feed.commit(tr(update(n=n), doc=doc))
            feed.commit({"doc": doc, "op": "snapshot"})
        feed.kill()
        for doc in "de":
            [event] = ask("log", work / "s", "--doc", doc, "--since", 2 * n)
            keys.add(event["key"])
            ids.add(event["tr_id"])
        ask("compact", work / "s")
    assert len(keys) == len(ids) == 12
    assert all(answer["status"] == "duplicate" for answer in run(work / "s", [tr(update(n=99), key=key) for key in keys], code=1))


def f18_compression_may_change_between_runs(work):
    lines = [tr(insert(f"n{n}", attrs={"x": "y" * 3000, "n": n}), key=f"k{n}") for n in range(60)]
    ways = [{"compression": True}, {"compression": False}, {"compression": True, "compression_level": 19, "compression_threshold": 0},
            {"compression": False}, {"compression": True, "compression_threshold": 1000000}, {"compression": True}]
    for n, way in enumerate(ways):
        run(work / "s", [*lines[10 * n:10 * n + 10], {"doc": "d", "op": "snapshot"}], config=config_with(work, keep_snapshots=10, **way))
        assert len(state(work / "s")["root"]["children"]) == 10 * n + 10
    run(work / "whole", lines)
    for lsn in range(1, 61, 7):  # by each snapshot, and by the events behind it
        assert state(work / "s", "d", "--at-lsn", lsn) == state(work / "whole", "d", "--at-lsn", lsn)
    assert ask("verify", work / "s")[-1]["status"] == "ok"
    assert all(answer["same"] for answer in run(work / "s", lines))  # one content, however it is stored


def f20_recovery_by_the_configured_document_finds_what_was_stored(work):
    config = config_with(work, default_doc_id="mine")
    for n in range(3):
        assert run(work / "s", [{"steps": [update(n=n)]}], config=config)[0]["doc"] == "mine"
    [report] = objects(mf("recover", "--data", work / "s", config=config))
    assert (report["doc"], report["lsn"], report["events_replayed"]) == ("mine", 3, 3)
    assert state(work / "s", "mine")["root"]["attrs"] == {"n": 2}


def _foreign(data):
    """Another program with the database open, as the sqlite3 shell does it."""
    return sqlite3.connect(data / "store.db", isolation_level=None, timeout=0)


def p12_a_reader_of_another_program_that_holds_on_loses_no_event(work):
    config = config_with(work, checkpoint_pages=10)
    feed = Feed(work / "s", "--mode", "sync", config=config)
    feed.commit(tr(update(n=0), key="k0"))
    reader = _foreign(work / "s")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    for n in range(1, 300):  # many checkpoints are due, and none can finish
        assert feed.commit(tr(insert(f"n{n}", attrs={"x": "y" * 2000}), key=f"k{n}")) == n + 1
    assert reader.execute("SELECT count(*) FROM events").fetchone() == (1,)
    reader.close()
    feed.kill()
    assert state(work / "s")["lsn"] == 300
    assert ask("verify", work / "s")[-1]["status"] == "ok"


def p12_a_writer_of_another_program_is_told_and_loses_no_event(work):
    feed = Feed(work / "s")
    feed.commit(tr(update(n=0), key="k0"))
    writer = _foreign(work / "s")
    writer.execute("BEGIN IMMEDIATE")
    for n in (1, 2):
        feed.send(tr(update(n=n), key=f"k{n}"))
    answers = [feed.answer(), feed.answer()]  # after a bounded wait
    assert [answer["code"] for answer in answers] == ["MF_ERR_BUSY"] * 2, answers
    assert "another program" in answers[0]["message"], answers
    feed.kill()
    writer.close()
    again = run(work / "s", [tr(update(n=n), key=f"k{n}") for n in range(3)])
    assert [(a["status"], a["lsn"]) for a in again] == [("duplicate", 1), ("ok", 2), ("ok", 3)], again
    assert state(work / "s")["root"]["attrs"] == {"n": 2}


if __name__ == "__main__":
    main(tests_of(dict(globals())))
