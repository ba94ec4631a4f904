#!/usr/bin/env python3
"""Backup and restore from outside: beside a writer, to any LSN, after damage, killed in the middle.

usage: test_backup.py MF CONFIG        MF_ROUNDS sets the number of kills (default 15), MF_SEED the moments
"""
import random
import signal
import sqlite3
import threading
import time

from cli import *

ROUNDS = int(os.environ.get("MF_ROUNDS", "15"))
SEED = int(os.environ.get("MF_SEED", str(random.randrange(1 << 30))))


def _backup(data, file, *args, code=0):
    answers = ask("backup", data, file, *args, code=code)
    assert len(answers) == (code == 0)
    return answers[0] if code == 0 else None


def _restore(file, data, *args):
    """Digest and LSN of every document, and the summary."""
    *documents, summary = ask("restore", data, file, *args)
    assert summary["status"] == "ok" and summary["documents"] == len(documents)
    assert ask("verify", data)[-1]["status"] == "ok"
    return {d["doc"]: (d["lsn"], d["digest"]) for d in documents}, summary


def _states(data, at=None):
    """The same of a store, as it was after an LSN; documents that were not there then are left out."""
    found = {}
    for doc in [d["doc"] for d in ask("docs", data)]:
        result = mf("state", "--data", data, "--doc", doc, "--json", "--digest", *(["--at-lsn", at] if at else []))
        if result.returncode == 0:
            found[doc] = (objects(result)[0]["lsn"], objects(result)[0]["digest"])
    return found


def _leftovers(work):
    return [p.name for p in work.iterdir() if "partial" in p.name or "proof" in p.name]


def _lines(count, docs=3, first=0):
    return [tr(insert(f"n{n}", attrs={"x": "y" * (n * 37 % 900)}), doc=f"d{n % docs}", key=f"k{n}") for n in range(first, first + count)]


# ---- beside a writer ----


def a_backup_beside_a_writer_is_one_moment_of_the_store(work):
    data = work / "s"
    with popen("run", "--data", data, "--mode", "async:5", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        stop, answers = threading.Event(), []

        def feed():
            n = 0
            while not stop.is_set() or n < 500:
                writer.stdin.write(encode(_lines(1, first=n)))
                answers.append(json.loads(writer.stdout.readline()))
                n += 1
            writer.stdin.close()

        thread = threading.Thread(target=feed)
        thread.start()
        backups = []
        while len(backups) < 3:
            known = len(answers)
            if known < 50 * (len(backups) + 1):
                time.sleep(0.001)
                continue
            told = _backup(data, work / f"{len(backups)}.backup")
            assert told["proved"] is True and told["lsn"] >= known, (told, known)
            backups.append(told)
        stop.set()
        thread.join()
        assert writer.wait() == 0
    assert {a["status"] for a in answers} == {"ok"}
    for n, told in enumerate(backups):
        assert told["bytes"] == Path(told["file"]).stat().st_size and told["events"] == told["lsn"]
        documents, summary = _restore(told["file"], work / f"r{n}")
        assert summary["lsn"] == told["lsn"] and summary["events"] == told["events"]
        assert documents == _states(data, told["lsn"])
    assert not _leftovers(work)


def a_restored_store_goes_on_as_the_old_one_would(work):
    data = work / "s"
    run(data, _lines(40) + [{"doc": "d0", "op": "undo", "key": "u"}])
    _backup(data, work / "b")
    run(data, _lines(5, first=100))  # not in the backup
    documents, summary = _restore(work / "b", work / "r")
    again = run(work / "r", _lines(40) + [{"doc": "d0", "op": "undo", "key": "u"}])
    assert {(a["status"], a["same"]) for a in again} == {("duplicate", True)}
    assert [a["lsn"] for a in again] == list(range(1, 42))
    assert run(work / "r", [{"doc": "d0", "op": "redo"}] + _lines(5, first=100)) == [
        {"line": n, "status": "ok", "doc": doc, "lsn": 41 + n} for n, doc in enumerate(["d0", "d1", "d2", "d0", "d1", "d2"], 1)]
    epochs = [e["epoch"] for e in ask("log", work / "r", "--doc", "d0")]
    assert epochs == sorted(epochs) and epochs[-1] > summary["epoch"] > epochs[0]
    ids = [e["tr_id"] for doc in ["d0", "d1", "d2"] for e in ask("log", work / "r", "--doc", doc)]
    assert len(set(ids)) == len(ids) == 47
    assert {e["epoch"] for e in ask("log", data, "--doc", "d0")}.isdisjoint(epochs[-2:])  # (epoch, LSN) names one event
    assert ask("verify", work / "r")[-1]["status"] == "ok"


def a_follower_with_a_place_of_its_own_is_set_back_by_a_restored_store(work):
    path = config_with(work)
    config = json.loads(path.read_text())
    config["plugins"].append({"name": "audit_log", "config": {"path": str(work / "audit.jsonl")}})
    path.write_text(json.dumps(config))
    run(work / "s", _lines(10), config=path)
    _backup(work / "s", work / "b")
    run(work / "s", _lines(5, first=10), config=path)
    _restore(work / "b", work / "r")
    run(work / "r", _lines(3, first=50), config=path)
    told = [json.loads(line) for line in (work / "audit.jsonl").read_text().splitlines()]
    events, notices = [line for line in told if "notice" not in line], [line for line in told if "notice" in line]
    assert [e["lsn"] for e in events] == [*range(1, 16), 11, 12, 13] and len(notices) == 1 and told[15] == notices[0], told
    assert [e["key"] for e in events[15:]] == ["k50", "k51", "k52"]
    assert len({(e["lsn"], e["epoch"]) for e in events}) == 18  # no place is that of two events


def nothing_that_is_there_is_written_over(work):
    data = work / "s"
    run(data, _lines(5))
    (work / "b").write_text("mine")
    for args in [("backup", work / "b", "--data", data), ("restore", work / "b", "--data", data)]:
        result = mf(*args)
        assert result.returncode == 1 and b"MF_ERR_INVALID" in result.stderr and not result.stdout, result
    assert (work / "b").read_text() == "mine" and _states(data)
    assert mf("backup", work / "no" / "b", "--data", data).returncode == 1
    assert mf("restore", work / "nothing", "--data", work / "r").returncode == 1
    assert not (work / "r").exists() and not _leftovers(work)


def what_is_left_out_is_a_usage_error(work):
    for args in [("backup",), ("backup", "a", "b"), ("restore",), ("restore", work / "b"), ("restore", "--data", work / "r")]:
        assert mf(*args).returncode == 2, args
    result = mf("restore", work / "b", "--data", work / "r", config=work / "none.json")
    assert result.returncode == 2 and not (work / "r").exists(), result
    run(work / "s", _lines(1))
    _backup(work / "s", work / "b")
    result = mf("restore", work / "b", "--data", work / "r", "--at-lsn", 0)
    assert result.returncode == 1 and b"MF_ERR_INVALID" in result.stderr and not (work / "r").exists(), result


def an_empty_store_and_one_that_is_not_there(work):
    run(work / "s", [])
    assert _backup(work / "s", work / "b")["lsn"] == 0
    assert _restore(work / "b", work / "r")[0] == {}
    assert mf("backup", work / "b2", "--data", work / "none").returncode == 1
    assert not (work / "b2").exists()


# ---- to an LSN ----


def each_lsn_of_a_backup_gives_the_digest_that_the_store_had_then(work):
    data, config = work / "s", config_with(work, keep_snapshots=2)
    lines = _lines(30, docs=2)
    lines[10:10] = [{"doc": "d0", "op": "undo"}, {"doc": "d0", "op": "undo"}, {"doc": "d0", "op": "redo"}, {"doc": "d0", "op": "snapshot"}]
    lines[20:20] = [{"doc": "d1", "op": "snapshot"}, {"doc": "d0", "op": "undo"}, {"doc": "d0", "op": "snapshot"}]
    run(data, lines, config=config)
    last = max(d["lsn"] for d in ask("docs", data))
    _backup(data, work / "b")
    for lsn in range(1, last + 1):
        documents, summary = _restore(work / "b", work / "r", "--at-lsn", lsn)
        assert documents == _states(data, lsn), lsn
        assert summary["lsn"] == lsn
        for doc, (of_doc, _) in documents.items():
            assert run(work / "r", [{"doc": doc, "op": "undo"}], code=None)[0]["status"] == "ok", (doc, of_doc)
        shutil.rmtree(work / "r")
    result = mf("restore", work / "b", "--data", work / "r", "--at-lsn", last + 1)
    assert result.returncode == 1 and b"MF_ERR_NOT_FOUND" in result.stderr and str(last).encode() in result.stderr, result


def a_backup_of_a_compacted_store_goes_back_to_where_compaction_came(work):
    data = work / "s"
    lines = []
    for n in range(0, 60, 10):
        lines += _lines(10, docs=1, first=n) + [{"doc": "d0", "op": "snapshot"}]
    run(data, lines)
    digests = {lsn: _states(data, lsn) for lsn in range(1, 61)}
    assert run(data, [{"doc": "d0", "op": "compact"}])[0]["lsn"] == 50
    _backup(data, work / "b")
    result = mf("restore", work / "b", "--data", work / "r", "--at-lsn", 49)
    assert result.returncode == 1 and b"MF_ERR_NOT_FOUND" in result.stderr and b"50" in result.stderr, result
    assert not (work / "r").exists()
    for lsn in range(50, 61):
        assert _restore(work / "b", work / "r", "--at-lsn", lsn)[0] == digests[lsn]
        again = run(work / "r", _lines(60, docs=1))
        assert [a["status"] for a in again] == ["duplicate"] * lsn + ["ok"] * (60 - lsn)  # what was left out is free again
        shutil.rmtree(work / "r")


# ---- damage ----


def a_damaged_backup_is_refused(work):
    data, file = work / "s", work / "b"
    run(data, _lines(50) + [{"doc": "d0", "op": "snapshot"}])
    _backup(data, file)
    whole, rng = file.read_bytes(), random.Random(SEED)
    for n in range(20):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        file.write_bytes(damaged if n % 4 else whole[: rng.randrange(len(whole))])
        result = mf("restore", file, "--data", work / "r")
        assert result.returncode == 3 and b"MF_ERR_CORRUPTED" in result.stderr, (SEED, n, result)
        assert not (work / "r").exists() and not _leftovers(work)
    file.write_bytes(whole)
    assert _restore(file, work / "r")[0] == _states(data)


def a_backup_of_a_damaged_store_is_not_passed_off_as_one(work):
    data = work / "s"
    run(data, _lines(30))
    before = _states(data, 10)
    with sqlite3.connect(data / "store.db") as db:
        assert db.execute("update events set actor = 'eve' where lsn = 11").rowcount == 1
    db.close()
    result = mf("backup", work / "b", "--data", data)
    assert result.returncode == 3 and b"LSN 11" in result.stderr and not result.stdout, result
    assert not (work / "b").exists() and not _leftovers(work)
    assert _backup(data, work / "b", "--no-proof")["proved"] is False
    assert mf("restore", work / "b", "--data", work / "r").returncode == 3
    assert _restore(work / "b", work / "r", "--at-lsn", 10)[0] == before


def _flip(data, found, at):
    """One bit, in the database of a closed store, behind the first place where these bytes are."""
    path = data / "store.db"
    raw = bytearray(path.read_bytes())
    raw[raw.index(found) + at] ^= 0x40
    path.write_bytes(raw)


def a_store_that_is_not_even_opened_is_copied_without_a_proof_and_restored_before_the_damage(work):
    def index_of_documents(data):
        _flip(data, b"d0\x04", 2)

    def index_of_keys(data):
        _flip(data, b"k3\x04", 2)

    def newest_event(data):
        with sqlite3.connect(data / "store.db") as db:
            assert db.execute("delete from events where lsn = 30").rowcount == 1
        db.close()

    for spoil, before, opens in [(index_of_documents, 3, False), (index_of_keys, 3, True), (newest_event, 29, False)]:
        folder = work / spoil.__name__
        folder.mkdir()
        data, file = folder / "s", folder / "b"
        run(data, _lines(30))
        whole, expected = _states(data), _states(data, before)
        spoil(data)
        result = mf("backup", file, "--data", data)
        assert result.returncode == 3 and b"MF_ERR_CORRUPTED" in result.stderr and not file.exists() and not _leftovers(folder), result
        result = mf("backup", file, "--data", data, "--no-proof")
        assert result.returncode == 0 and objects(result)[0]["proved"] is False, result
        assert (b"warning: " in result.stderr and b"It is copied as damaged as it is" in result.stderr) != opens, result
        assert _restore(file, folder / "r", "--at-lsn", before)[0] == expected
        if before == 3:
            assert mf("restore", file, "--data", folder / "no").returncode == 3 and not (folder / "no").exists()
            assert _restore(file, folder / "all", "--at-lsn", 30)[0] == whole  # the events are sound
        assert not _leftovers(folder)


def a_copy_that_is_no_backup_and_cannot_be_removed_is_named(work):
    needs_strace()
    data, file = work / "s", work / "b"
    run(data, _lines(3))
    with sqlite3.connect(data / "store.db") as db:
        assert db.execute("update events set actor = 'eve' where lsn = 2").rowcount == 1
    db.close()
    command = ["strace", "-f", "-qq", "-o", os.devnull, "-P", file, "-e", "trace=unlink", "-e", "inject=unlink:error=EROFS"]
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}  # which would trace it too
    result = subprocess.run([*command, MF, "backup", file, "--data", data, "--config", CONFIG], capture_output=True, timeout=120, check=False, env=env)
    assert result.returncode == 3 and b"is no backup, and could not be removed (Read-only file system)" in result.stderr, result
    assert file.exists()


def a_backup_without_the_plugins_is_kept_but_not_proved(work):
    data = work / "s"
    run(data, [tr(insert("a", attrs={"text": "x"})), tr(step("replace_text", id="a", pos=0, delete=0, insert="y"))])
    path = config_with(work)
    config = json.loads(path.read_text())
    config["plugins"] = [p for p in config["plugins"] if p["name"] != "text_steps"]
    path.write_text(json.dumps(config))
    result = mf("backup", work / "b", "--data", data, config=path)
    assert result.returncode == 1 and b"MF_ERR_UNKNOWN_STEP" in result.stderr and b"could not be proved" in result.stderr, result
    result = mf("restore", work / "b", "--data", work / "early", config=path)
    assert result.returncode == 1 and b"MF_ERR_UNKNOWN_STEP" in result.stderr and b"is restored, but" in result.stderr, result
    assert not any("status" in line for line in objects(result)) and _states(work / "early") == _states(data)
    assert _restore(work / "b", work / "r")[0] == _states(data)


# ---- killed ----


def a_backup_or_restore_that_is_killed_leaves_nothing_by_its_name(work):
    rng = random.Random(SEED)
    data = work / "s"
    run(data, _lines(600) + [{"doc": "d0", "op": "snapshot"}], "--mode", "sync")
    _backup(data, work / "whole")
    expected = _states(data)
    for n in range(ROUNDS):
        folder = work / str(n)
        folder.mkdir()
        kill_after = rng.random() * 0.12
        for args, made in [(("backup", folder / "b", "--data", data), folder / "b"), (("restore", work / "whole", "--data", folder / "r"), folder / "r")]:
            with popen(*args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(kill_after)
                process.kill()
            if made.name == "b" and made.exists():
                assert _restore(made, folder / "again")[0] == expected, (SEED, n)
            if made.name == "r" and made.exists():
                assert ask("verify", made)[-1]["status"] == "ok" and _states(made) == expected, (SEED, n)
        assert ask("verify", data)[-1]["status"] == "ok"
        shutil.rmtree(folder)


def a_backup_that_is_told_to_stop_takes_back_what_it_wrote(work):
    rng = random.Random(SEED)
    data = work / "s"
    run(data, _lines(2000), "--mode", "sync")
    for n in range(ROUNDS * 2):
        with popen("backup", work / f"{n}.backup", "--data", data, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            time.sleep(rng.random() * 0.15)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
        assert not _leftovers(work) or process.returncode == -signal.SIGTERM, (SEED, n)
        if process.returncode == 1 and b"could not be proved" not in err:
            assert not (work / f"{n}.backup").exists() and b"stopped, as was asked" in err and not out, (SEED, n, err)
        for left in _leftovers(work):  # of one that was ended before it could know
            shutil.rmtree(work / left) if (work / left).is_dir() else (work / left).unlink()
    assert ask("verify", data)[-1]["status"] == "ok"


def p09_a_full_disk_leaves_nothing_of_a_backup(work):
    if os.geteuid() != 0:
        raise Skip("needs root, to mount a small tmpfs")
    data, disk = work / "s", work / "disk"
    run(data, _lines(4000))
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1200k", "tmpfs", disk], capture_output=True, check=False).returncode != 0:
        raise Skip("needs root with the right to mount")
    try:
        result = mf("backup", disk / "b", "--data", data)
        assert result.returncode == 3 and b"MF_ERR_STORAGE_FULL" in result.stderr and not list(disk.iterdir()), result
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        assert _backup(data, disk / "b")["proved"] is True
        subprocess.run(["mount", "-o", f"remount,size={(disk / 'b').stat().st_size // 1024 + 700}k", disk], check=True)
        result = mf("restore", disk / "b", "--data", disk / "r")  # no room for it
        assert result.returncode == 3 and b"MF_ERR_STORAGE_FULL" in result.stderr and [p.name for p in disk.iterdir()] == ["b"], result
        (work / "b").write_bytes((disk / "b").read_bytes())
    finally:
        subprocess.run(["umount", disk], check=True)
    assert _restore(work / "b", work / "r")[0] == _states(data)


if __name__ == "__main__":
    main(tests_of(globals()))
