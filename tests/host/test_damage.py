#!/usr/bin/env python3
"""What is damaged is named: an event that was deleted, bits that flipped in an index, a log that was cut.

usage: test_damage.py MF CONFIG        MF_ROUNDS sets the number of flipped bits (default 60), MF_SEED which
"""
import random
import sqlite3

from cli import *

ROUNDS = int(os.environ.get("MF_ROUNDS", "60"))
SEED = int(os.environ.get("MF_SEED", str(random.randrange(1 << 30))))
DOCS = ["a", "b", "c"]


def _lines(count):
    return [tr(insert(f"n{n}", attrs={"x": n}), doc=DOCS[n % 3], key=f"key-{n * 2654435761 % 1000003}") for n in range(count)]


def _sql(data, text, *args):
    db = sqlite3.connect(data / "store.db")
    with db:
        answer = db.execute(text, args)
        answer = answer.fetchall() or answer.rowcount
    db.close()
    return answer


def _recovered(data):
    """What mf recover says of each document, and whether it names damage."""
    result = mf("recover", "--data", data)
    return {r["doc"]: (r["lsn"], r["digest"]) for r in objects(result)}, result.returncode, result.stderr.decode()


# ---- an event ----


def a_deleted_event_is_named_by_verify_and_by_recover(work):
    data = work / "s"
    run(data, _lines(30))
    good = _recovered(data)[0]
    for lsn in [1, 2, 15, 27]:
        doc, copy = DOCS[(lsn - 1) % 3], work / str(lsn)
        shutil.copytree(data, copy)
        assert _sql(copy, "delete from events where lsn = ?", lsn) == 1
        found = ask("verify", copy, code=1)
        assert {"what": "event", "doc": None, "lsn": lsn}.items() <= found[0].items() or found[0]["lsn"] == lsn, found
        assert ("chain", doc, lsn + 3) in [(f.get("what"), f.get("doc"), f["lsn"]) for f in found[:-1]], found
        documents, code, told = _recovered(copy)
        named = [f"MF_ERR_CORRUPTED: document '{doc}', LSN {n}:" for n in (lsn, lsn + 3)]  # this one, or the one that follows on it
        assert code == 3 and any(name in told for name in named), told
        assert documents == {d: good[d] for d in DOCS if d != doc}  # the others come back


def a_deleted_event_at_the_end_is_a_loss(work):
    data = work / "s"
    run(data, _lines(30), "--mode", "sync")
    assert _sql(data, "delete from events where lsn = 30") == 1
    result = mf("recover", "--data", data)
    assert result.returncode == 3 and b"up to LSN 29" in result.stderr and b"30" in result.stderr, result
    assert ask("verify", data, code=1)[0]["what"] == "watermark"


# ---- an index ----


def _pages(data, name):
    """Offset and size of the pages of an index."""
    try:
        return _sql(data, "select pgoffset, pgsize from dbstat where name = ?", name)
    except sqlite3.OperationalError as error:
        raise Skip(f"this SQLite cannot tell where an index lies: {error}") from error


def _flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset // 8)
        byte = file.read(1)[0] ^ 1 << offset % 8
        file.seek(offset // 8)
        file.write(bytes([byte]))


def bits_that_flip_in_an_index_are_named_or_change_nothing(work):
    rng, lines, data = random.Random(SEED), _lines(900), work / "s"
    run(data, lines + [{"doc": "a", "op": "snapshot"}])
    good, logs = _recovered(data)[0], {doc: ask("log", data, "--doc", doc) for doc in DOCS}
    pages = [page for name in ["ix_events_doc_lsn", "sqlite_autoindex_events_1", "ix_snapshots_doc_created", "sqlite_autoindex_snapshots_1"] for page in _pages(data, name)]
    assert len(pages) >= 8
    named = trial = 0
    while trial < ROUNDS or named < ROUNDS // 4:  # of those that matter there are some, whatever the seed
        trial += 1
        assert trial <= 30 * ROUNDS, named
        copy = work / "copy"
        shutil.copytree(data, copy)
        offset, size = rng.choice(pages)
        bit = offset * 8 + rng.randrange(size * 8)
        _flip(copy / "store.db", bit)
        result = mf("verify", "--data", copy)
        found = objects(result)
        if result.returncode == 0:
            assert _recovered(copy)[0] == good, (SEED, trial, bit)
            assert {doc: ask("log", copy, "--doc", doc) for doc in DOCS} == logs, (SEED, trial, bit)
            assert {(a["status"], a["same"]) for a in run(copy, lines)} == {("duplicate", True)}, (SEED, trial, bit)
        else:
            assert result.returncode == 1 and found[-1]["status"] == "damaged" and found[0]["message"], (SEED, trial, bit, result)
            named += 1
        shutil.rmtree(copy)


# ---- the log ----


def _killed_writer(data, count=40):
    with popen("run", "--data", data, "--mode", "sync", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        for n in range(count):
            writer.stdin.write(encode([tr(insert(f"n{n}"), key=f"k{n}")]))
            assert json.loads(writer.stdout.readline())["lsn"] == n + 1
        writer.kill()  # a clean end would copy the log into the database


def a_log_that_is_cut_below_the_watermark_is_named(work):
    _killed_writer(work / "s")
    log = work / "s" / "store.db-wal"
    size = log.stat().st_size
    for part in [0, 32, size // 3, size // 2, size - 4096, size - 1]:
        copy = work / "copy"
        shutil.copytree(work / "s", copy)
        os.truncate(copy / "store.db-wal", part)
        for command in ["recover", "docs", "run"]:
            result = mf(command, "--data", copy)
            assert result.returncode == 3 and b"MF_ERR_CORRUPTED" in result.stderr and b"40" in result.stderr, (part, result)
        found = ask("verify", copy, code=1)
        assert found[0]["what"] == "watermark" or part == 0, found
        shutil.rmtree(copy)


def bits_that_flip_in_the_log_are_named(work):
    rng = random.Random(SEED)
    _killed_writer(work / "s")
    good = _recovered(work / "s")[0]
    for trial in range(max(ROUNDS // 6, 3)):
        copy = work / "copy"
        shutil.copytree(work / "s", copy)
        (copy / "store.db-shm").unlink()  # as after a restart of the machine: SQLite looks at the log anew
        _flip(copy / "store.db-wal", rng.randrange((copy / "store.db-wal").stat().st_size * 8))
        documents, code, told = _recovered(copy)
        assert (code == 3 and "MF_ERR_CORRUPTED" in told) or documents == good, (SEED, trial, told)
        shutil.rmtree(copy)


# ---- a copy ----


def a_database_without_its_log_is_not_taken_for_a_store(work):
    """What is left when somebody copies store.db alone while a writer has it open (docs/backup.md)."""
    _killed_writer(work / "s")
    (work / "copy").mkdir()
    shutil.copy(work / "s" / "store.db", work / "copy")
    shutil.copy(work / "s" / "watermark", work / "copy")
    result = mf("recover", "--data", work / "copy")
    assert result.returncode == 3 and b"MF_ERR_CORRUPTED" in result.stderr, result


def a_second_process_is_locked_out(work):
    with popen("run", "--data", work / "s", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdin.write(encode(_lines(1)))
        assert json.loads(writer.stdout.readline())["status"] == "ok"
        result = mf("run", "--data", work / "s", stdin=_lines(2))
        assert result.returncode == 1 and b"MF_ERR_LOCKED" in result.stderr and not result.stdout, result
        writer.stdin.close()
        assert writer.wait() == 0
    assert [a["status"] for a in run(work / "s", _lines(2))] == ["duplicate", "ok"]


if __name__ == "__main__":
    main(tests_of(globals()))
