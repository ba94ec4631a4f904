#!/usr/bin/env python3
"""audit_log.so from outside: its file has every committed event, each once, whatever happens to the process."""
import os
import random
import signal
import stat
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(__file__))
from cli import *  # noqa: E402,F403

SEED = int(os.environ.get("MF_SEED", "1"))
ROUNDS = int(os.environ.get("MF_ROUNDS", "12"))


def _configure(work, **options):
    """A plugins.json with audit_log; the file lies in work."""
    path = config_with(work, **options.pop("subscriber", {}))
    config = json.loads(path.read_text())
    config["plugins"].append({"name": "audit_log", "config": {"path": str(work / "audit.jsonl"), **options}})
    path.write_text(json.dumps(config))
    return path


def _lines(work):
    content = (work / "audit.jsonl").read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return content.splitlines()


def _log(work, config):
    result = mf("log", "--data", work / "store", config=config)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def _feed(first, count):
    return [tr(update(n=n), key=f"k{n}", actor="ann\u00e4", meta={"n": n}) for n in range(first, first + count)]


def _write_all(pipe, content):
    try:
        pipe.write(content)
        pipe.close()
    except BrokenPipeError:
        pass


def _is_the_log(work, config):
    lines = _lines(work)
    assert lines == _log(work, config), (len(lines), lines[-1:])
    return len(lines)


def the_file_has_what_the_log_prints(work):
    config = _configure(work)
    run(work / "store", _feed(1, 500) + [{"doc": "d", "op": "undo"}], config=config)
    assert _is_the_log(work, config) == 501
    assert stat.S_IMODE((work / "audit.jsonl").stat().st_mode) == 0o600
    run(work / "store", _feed(501, 100), config=config)
    assert _is_the_log(work, config) == 601


def it_catches_up_with_what_was_there_before_it(work):
    run(work / "store", _feed(1, 3000))
    config = _configure(work, fsync="batch", synced_only=True)
    run(work / "store", _feed(3001, 10), config=config)
    assert _is_the_log(work, config) == 3010


def a_reader_writes_nothing(work):
    config = _configure(work)
    run(work / "store", _feed(1, 5))
    for command in (["log"], ["verify"], ["state", "--doc", "d"], ["plugin", "list"]):
        assert mf(*command, *([] if command[0] == "plugin" else ["--data", work / "store"]), config=config).returncode == 0
    assert not (work / "audit.jsonl").exists()


def p3_the_list_of_plugins_has_their_followers(work):
    config = _configure(work)
    for data in (work / "none", work / "store"):
        result = mf("plugin", "list", "--json", "--data", data, config=config)
        assert result.returncode == 0, result.stderr
        plugins = {plugin["name"]: plugin["followers"] for plugin in objects(result)}
        assert plugins["node_steps"] == [], plugins
        assert plugins["audit_log"] == [{"name": "audit_log", "state": "waiting", "lsn": None, "lag": None, "failures": 0, "last_error": ""}], plugins
        run(work / "store", _feed(1, 1), config=config)
    assert not (work / "none").exists()


def a_torn_last_line_is_cut_off_and_written_again(work):
    config = _configure(work)
    run(work / "store", _feed(1, 20), config=config)
    whole = (work / "audit.jsonl").read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for keep in (1, 20, len(last) - 1):
        (work / "audit.jsonl").write_bytes(whole[: len(whole) - len(last) + keep])
        run(work / "store", [], config=config)
        assert (work / "audit.jsonl").read_bytes() == whole
    (work / "audit.jsonl").write_bytes(last[:10])
    run(work / "store", [], config=config)
    assert (work / "audit.jsonl").read_bytes() == whole


def a_file_that_is_none_of_ours_is_left_alone(work):
    config = _configure(work)
    for content in ("shopping list\n", "shopping list\nmilk", '{"plugins": []}', "x", '{"lsn":1,"epoch":1,"doc":"d"}\nmilk'):
        (work / "audit.jsonl").write_text(content)
        result = mf("run", "--data", work / "store", stdin=_feed(1, 1), config=config)
        assert result.returncode != 0, content
        assert b"audit.jsonl" in result.stderr and b"none of an audit log" in result.stderr, result.stderr
        assert (work / "audit.jsonl").read_text() == content


def two_processes_do_not_write_one_file(work):
    config = _configure(work)
    first = popen("run", "--data", work / "store", config=config, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    first.stdin.write(encode(_feed(1, 1)))
    first.stdout.readline()
    result = mf("run", "--data", work / "other", config=config)
    assert result.returncode != 0 and b"another process writes" in result.stderr, result.stderr
    first.stdin.close()
    assert first.wait(60) == 0


def p2_each_event_is_in_the_file_once_across_kill_9(work):
    """Killed at any moment, also in the middle of a line; after each restart the file goes on where it was."""
    config = _configure(work)
    chance = random.Random(SEED)
    total = 4000
    feed = encode(_feed(1, total))
    for _ in range(ROUNDS):
        process = popen("run", "--data", work / "store", "--acks", "none", config=config, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        stop_at = time.monotonic() + chance.uniform(0.02, 0.25)
        try:
            process.stdin.write(feed[: chance.randrange(len(feed))])
        except BrokenPipeError:
            pass
        time.sleep(max(0, stop_at - time.monotonic()))  # the moment of the kill, not a synchronisation
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        content = (work / "audit.jsonl").read_bytes() if (work / "audit.jsonl").exists() else b""
        written = content[: content.rfind(b"\n") + 1].splitlines()
        assert written == _log(work, config)[: len(written)] if written else True
    run(work / "store", feed, "--acks", "none", code=None, config=config)
    assert _is_the_log(work, config) == total


def p2_compaction_takes_nothing_that_the_file_has_not_across_kill_9(work):
    """Snapshots and compaction all along: what is not written yet when the process is killed must still be there."""
    config = _configure(work, subscriber={"snapshot_every_n_events": 0, "keep_snapshots": 1})
    chance = random.Random(SEED)
    total, lines = 3000, []
    for line in _feed(1, total):
        lines.append(line)
        if chance.random() < 0.03:
            lines += [{"doc": "d", "op": "snapshot"}, {"doc": "d", "op": "compact"}]
    feed = encode(lines)
    for _ in range(ROUNDS):
        process = popen("run", "--data", work / "store", "--acks", "none", config=config, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        stop_at = time.monotonic() + chance.uniform(0.05, 0.4)
        feeder = threading.Thread(target=_write_all, args=(process.stdin, feed))
        feeder.start()
        time.sleep(max(0, stop_at - time.monotonic()))  # the moment of the kill, not a synchronisation
        process.send_signal(signal.SIGKILL)
        process.wait()
        feeder.join()
    run(work / "store", feed, "--acks", "none", code=None, config=config)
    written = [json.loads(line) for line in _lines(work)]
    assert [line["lsn"] for line in written] == list(range(1, total + 1)), [line for line in written if "notice" in line]
    assert [line["key"] for line in written] == [f"k{n}" for n in range(1, total + 1)]
    assert mf("verify", "--data", work / "store", config=config).returncode == 0
    documents = objects(mf("docs", "--json", "--data", work / "store", config=config))
    assert documents[0]["events"] < total, documents  # something was compacted


def p1_a_full_disk_stops_the_file_and_nothing_else(work):
    config = _configure(work, path="/dev/full")
    result = mf("run", "--data", work / "store", stdin=_feed(1, 200), config=config)
    assert result.returncode == 0 and [answer["status"] for answer in objects(result)] == ["ok"] * 200, result
    # When it had not come to the first event before the input ended, the log alone tells.
    told = b"plugin audit_log: its follower failed" in result.stderr or b"follower 'audit_log': its handler: cannot write" in result.stderr
    assert told and b"No space left on device" in result.stderr, result.stderr
    config = _configure(work)  # room again, elsewhere: everything comes
    run(work / "store", _feed(201, 10), config=config)
    assert _is_the_log(work, config) == 210


def what_the_store_has_lost_is_marked_and_nothing_is_taken_out(work):
    config = _configure(work)
    run(work / "store", _feed(1, 10), config=config)
    shutil.copytree(work / "store", work / "backup")
    run(work / "store", _feed(11, 10), config=config)
    before = _lines(work)
    shutil.rmtree(work / "store")
    (work / "backup").rename(work / "store")
    run(work / "store", _feed(100, 5), config=config)
    lines = _lines(work)
    assert lines[:20] == before
    mark = json.loads(lines[20])
    assert (mark["notice"], mark["lsn"], mark["from_lsn"]) == ("set_back", 10, 11), mark
    assert "LSN 20" in mark["message"], mark
    assert lines[21:] == _log(work, config)[10:]
    run(work / "store", _feed(105, 5), config=config)
    assert len(_lines(work)) == 31


def events_that_were_compacted_before_it_came_are_told_as_a_gap(work):
    run(work / "store", _feed(1, 5) + [{"doc": "d", "op": "snapshot"}] + _feed(6, 5) + [{"doc": "d", "op": "snapshot"}, {"doc": "d", "op": "compact"}] + _feed(11, 3))
    config = _configure(work)
    run(work / "store", [], config=config)
    lines = [json.loads(line) for line in _lines(work)]
    assert (lines[0]["notice"], lines[0]["from_lsn"], lines[0]["lsn"]) == ("gap", 1, 5), lines[0]
    assert [line["lsn"] for line in lines[1:]] == list(range(6, 14))
    run(work / "store", [], config=config)
    assert len(_lines(work)) == len(lines)


if __name__ == "__main__":
    main(tests_of(globals()))
