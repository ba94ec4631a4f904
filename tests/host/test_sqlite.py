#!/usr/bin/env python3
"""A store is read with plain SQLite: the tables and columns of the first design, and the session that docs/sqlite.md shows.

usage: test_sqlite.py MF CONFIG
"""
import re
import shlex
import sqlite3

from cli import *

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sqlite.md").read_text()
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")

# Names, types, and in which order, as the first design has them; what was added comes behind.
COLUMNS = {
    "events": [("lsn", "INTEGER", 0), ("tr_id", "INTEGER", 1), ("doc_id", "TEXT", 1), ("ts", "INTEGER", 1), ("actor", "TEXT", 0),
               ("idempotency_key", "TEXT", 1), ("meta", "TEXT", 1), ("payload", "BLOB", 1), ("checksum", "INTEGER", 1)],
    "snapshots": [("doc_id", "TEXT", 1), ("upto_lsn", "INTEGER", 1), ("created_at", "INTEGER", 1), ("state_blob", "BLOB", 1), ("version", "INTEGER", 1)],
}
INDEXES = {"ix_events_doc_lsn": ("events", [("doc_id", 0), ("lsn", 0)]), "ix_snapshots_doc_created": ("snapshots", [("doc_id", 0), ("created_at", 1)])}


def _blocks(kind):
    return [text for found, text in re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) if found == kind]


def _shop(work):
    (lines,) = _blocks("json")
    assert {a["status"] for a in run(work / "shop", lines)} == {"ok"}
    return work / "shop"


def _ask(data, question):
    db = sqlite3.connect(f"file:{data}/store.db?mode=ro", uri=True)
    answer = db.execute(question).fetchall()
    db.close()
    return answer


def the_tables_have_the_columns_and_indexes_of_the_first_design(work):
    data = _shop(work)
    for table, columns in COLUMNS.items():
        found = [(name, kind, needed) for _, name, kind, needed, _, _ in _ask(data, f"pragma table_info({table})")]
        assert found[: len(columns)] == columns, found
    for index, (table, columns) in INDEXES.items():
        assert (index,) in _ask(data, f"select name from pragma_index_list('{table}')")
        assert [(name, desc) for _, _, name, desc, _, key in _ask(data, f"pragma index_xinfo({index})") if key] == columns
    keys = {table: [name for _, name, *_, key in _ask(data, f"pragma table_info({table})") if key] for table in COLUMNS}
    assert keys == {"events": ["lsn"], "snapshots": ["doc_id", "upto_lsn"]}
    unique = [name for _, name, is_unique, *_ in _ask(data, "pragma index_list(events)") if is_unique]
    assert [_ask(data, f"select name from pragma_index_info('{name}')") for name in unique] == [[("idempotency_key",)]]


def every_column_of_the_first_design_has_what_it_says(work):
    data = _shop(work)
    events = _ask(data, "select lsn, tr_id, doc_id, ts, actor, idempotency_key, meta, payload, checksum from events order by lsn")
    told = [e for doc in ["list", "notes"] for e in ask("log", data, "--doc", doc)]
    told.sort(key=lambda e: e["lsn"])
    assert [(e["lsn"], e["tr_id"], e["doc"], e["ts_us"], e["actor"], e["key"]) for e in told] == [e[:6] for e in events]
    assert [json.loads(e[6]) for e in events] == [{}, {"from": "phone"}, {}, {}] and all(len(e[7]) > 18 and e[8] > 0 for e in events)
    ((doc, upto, created, blob, version),) = _ask(data, "select doc_id, upto_lsn, created_at, state_blob, version from snapshots")
    (snapshot,) = ask("snapshots", data)
    assert (doc, upto, created, version) == tuple(snapshot[name] for name in ["doc", "upto_lsn", "created_at", "version"]) and len(blob) == snapshot["bytes"]


def _tokens(text):
    return re.findall(r"[^\s\u2500-\u257f]+", TIME.sub("TIME", text))


def the_session_in_the_documents_is_what_sqlite3_says(work):
    if not shutil.which("sqlite3"):
        raise Skip("needs sqlite3, the program")
    data, asked = _shop(work), 0
    before = ask("verify", data)
    for block in _blocks(""):
        for question, answer in re.findall(r"^\$ (sqlite3 [^\n]*)\n([^$]*)", block, re.MULTILINE):
            result = subprocess.run(shlex.split(question), cwd=work, capture_output=True, text=True, check=True, timeout=60)
            assert _tokens(result.stdout) == _tokens(answer), (question, result.stdout)
            asked += 1
    assert asked >= 5
    assert ask("verify", data) == before


def reading_beside_a_writer_sees_what_is_committed(work):
    with popen("run", "--data", work / "s", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        for n in range(3):
            writer.stdin.write(encode([tr(insert(f"n{n}"), key=f"k{n}")]))
            assert json.loads(writer.stdout.readline())["status"] == "ok"
            assert _ask(work / "s", "select max(lsn), count(*) from events") == [(n + 1, n + 1)]
        writer.stdin.close()
        assert writer.wait() == 0


def what_sqlite_writes_into_a_store_is_damage(work):
    for number, text in enumerate(["update events set meta = '{\"a\":1}' where lsn = 2", "delete from events where lsn = 2", "update events set actor = 'eve' where lsn = 1",
                                   "insert into events select lsn + 10, tr_id, doc_id, ts, actor, 'k9', meta, payload, checksum, epoch, prev_lsn, action, source_lsn from events where lsn = 4",
                                   "update snapshots set version = version + 1"]):
        (work / str(number)).mkdir()
        data = _shop(work / str(number))
        db = sqlite3.connect(data / "store.db")
        with db:
            assert db.execute(text).rowcount > 0
        db.close()
        assert ask("verify", data, code=1)[-1]["status"] == "damaged", text


if __name__ == "__main__":
    main(tests_of(globals()))
