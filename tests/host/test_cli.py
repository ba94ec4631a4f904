#!/usr/bin/env python3
"""The program from outside: every command, format and exit code of docs/cli.md.

usage: test_cli.py MF CONFIG
"""
import random
import re
import select
import signal
import sqlite3
import time

from cli import *

# ---- mf run ----


def answers_come_in_input_order_with_their_lsns(work):
    lines = [tr(insert("a"), key="k1"), tr(insert("b"), key="k2", doc="e"), tr(update("a", x=1), key="k3", actor="ann", meta={"why": [1, None]})]
    assert run(work / "s", lines) == [
        {"line": 1, "status": "ok", "doc": "d", "lsn": 1},
        {"line": 2, "status": "ok", "doc": "e", "lsn": 2},
        {"line": 3, "status": "ok", "doc": "d", "lsn": 3}]
    assert state(work / "s") == {"doc": "d", "lsn": 3, "root": {"attrs": {}, "id": "root", "marks": [], "type": "doc", "children": [
        {"attrs": {"x": 1}, "children": [], "id": "a", "marks": [], "type": "p"}]}}


def each_mode_stores_what_it_promises(work):
    for mode in ["async", "async:0", "async:60000", "sync"]:
        data = work / mode
        assert [a["lsn"] for a in run(data, [tr(insert(str(n))) for n in range(50)], "--mode", mode)] == list(range(1, 51))
        assert len(state(data)["root"]["children"]) == 50
    assert run(work / "memory", [tr(insert("a"))], "--mode", "memory")[0]["status"] == "ok"
    assert not (work / "memory").exists()


def a_mode_that_is_none_is_a_usage_error(work):
    for mode in ["fast", "async:", "async:x", "async:60001", "async:-1", "async:99999999999999999999", "Sync", "memory_only"]:
        result = mf("run", "--data", work / "s", "--mode", mode)
        assert result.returncode == 2 and b"MF_ERR_INVALID" in result.stderr, (mode, result)
    assert not (work / "s").exists()


def more_lines_than_the_window_holds_are_all_answered(work):
    answers = run(work / "s", [tr(update(n=n), key=f"k{n}") for n in range(5000)], "--mode", "sync")
    assert [a["lsn"] for a in answers] == list(range(1, 5001))
    assert [a["line"] for a in answers] == list(range(1, 5001))


def a_document_left_out_is_the_default_one(work):
    assert run(work / "s", [{"steps": [insert("a")]}]) == [{"line": 1, "status": "ok", "doc": "default_doc", "lsn": 1}]


def empty_lines_are_skipped_and_counted(work):
    answers = run(work / "s", b"\n   \n\t\r\n" + encode([tr(insert("a"))])[:-1] + b"\r\n\n" + encode([tr(insert("b"))])[:-1])
    assert [(a["line"], a["lsn"]) for a in answers] == [(4, 1), (6, 2)]


def a_key_used_before_is_a_duplicate(work):
    first = tr(insert("a"), key="k")
    run(work / "s", [first])
    same = run(work / "s", [first])
    assert same == [{"line": 1, "status": "duplicate", "doc": "d", "lsn": 1, "key": "k", "same": True}]
    for other in [tr(insert("b"), key="k"), tr(insert("a"), key="k", doc="e"), {"doc": "d", "op": "undo", "key": "k"}]:
        answer = run(work / "s", [other], code=1)
        assert answer[0]["status"] == "duplicate" and answer[0]["same"] is False and answer[0]["lsn"] == 1, answer
    assert state(work / "s")["lsn"] == 1


def a_key_is_looked_up_before_everything_else(work):
    run(work / "s", [tr(insert("a"), key="k", expect=0)])
    assert run(work / "s", [tr(insert("a"), key="k", expect=0)])[0]["status"] == "duplicate"  # neither conflict nor a twin node
    run(work / "s", [{"doc": "d", "op": "undo", "key": "u"}])
    assert run(work / "s", [{"doc": "d", "op": "undo", "key": "u"}])[0] == {
        "line": 1, "status": "duplicate", "doc": "d", "lsn": 2, "key": "u", "same": True}


def a_key_that_is_still_pending_is_a_duplicate_too(work):
    answers = run(work / "s", [tr(update(n=1), key="k")] * 500, "--mode", "sync")
    assert [a["status"] for a in answers] == ["ok"] + ["duplicate"] * 499
    assert {a["lsn"] for a in answers} == {1}


def f01_own_keys_never_collide_after_a_restart(work):
    for doc in ["d", "e"] * 3:
        assert [a["status"] for a in run(work / "s", [tr(update(n=n), doc=doc) for n in range(20)])] == ["ok"] * 20
    keys = [e["key"] for doc in "de" for e in ask("log", work / "s", "--doc", doc)]
    ids = [e["tr_id"] for doc in "de" for e in ask("log", work / "s", "--doc", doc)]
    assert len(set(keys)) == len(set(ids)) == 120


def an_expectation_that_does_not_hold_is_a_conflict(work):
    lines = [tr(insert("a"), expect=0), tr(insert("b"), expect=1), tr(insert("c"), expect=1), tr(insert("c"), expect=2), tr(insert("x"), expect=0, doc="e")]
    answers = run(work / "s", lines, code=1)
    assert [a.get("code", "ok") for a in answers] == ["ok", "ok", "MF_ERR_CONFLICT", "ok", "ok"]
    assert "LSN 2" in answers[2]["message"] and "1" in answers[2]["message"]


def f13_undo_and_redo_are_stored_and_survive_a_restart(work):
    data = work / "s"
    run(data, [tr(insert("a")), tr(insert("b")), tr(update("b", t="x"))])
    digests = [digest(data)]
    for op, lsn in [("undo", 4), ("undo", 5), ("redo", 6), ("redo", 7)]:
        assert run(data, [{"doc": "d", "op": op, "actor": "bob", "meta": 7}]) == [{"line": 1, "status": "ok", "doc": "d", "lsn": lsn}]
        digests.append(digest(data))
    assert digests[0] == digests[4] and digests[1] == digests[3] and len(set(digests)) == 3
    log = ask("log", data, "--doc", "d")
    assert [(e["action"], e["source_lsn"]) for e in log[3:]] == [("undo", 3), ("undo", 2), ("redo", 2), ("redo", 3)]
    assert all(e["actor"] == "bob" and e["meta"] == 7 for e in log[3:])


def undo_of_nothing_is_an_error_of_state(work):
    answers = run(work / "s", [{"doc": "d", "op": "undo"}, {"doc": "d", "op": "redo"}], code=1)
    assert [a["code"] for a in answers] == ["MF_ERR_STATE"] * 2


def snapshot_and_compact_answer_with_their_lsn(work):
    config = config_with(work, keep_snapshots=1)
    snapshot, compact = {"doc": "d", "op": "snapshot"}, {"doc": "d", "op": "compact"}
    lines = [tr(update(n=n)) for n in range(10)] + [snapshot, tr(update(n=11)), compact]
    answers = run(work / "s", lines, config=config)
    assert answers[10] == {"line": 11, "status": "ok", "doc": "d", "lsn": 10}
    assert answers[12] == {"line": 13, "status": "ok", "doc": "d", "lsn": 10}
    assert [e["lsn"] for e in ask("log", work / "s", "--doc", "d")] == [11]
    assert run(work / "s", [{"doc": "new", "op": "snapshot"}], code=1)[0]["code"] == "MF_ERR_NOT_FOUND"


def _bad_lines():
    deep = "[" * 70 + "]" * 70
    nested = '{"id":"n0","type":"t","children":[' * 70 + "]}" * 70
    return [
        (b"nope", None), (b"{", None), (b'{"doc":"d"', None), (b"[]", None), (b'"d"', None), (b"17", None), (b"null", None), (b"{}{}", None),
        (b"\x00", None), (b'{"doc":"d","steps":\x00[]}', None), (b'{"doc":"\xff"}', None), (b'{"doc":"\xc0\xaf","op":"undo"}', None),
        (b'{"doc":"d","doc":"e","op":"undo"}', None), (b'{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"root","set":{"a":1,"a":2}}}]}', None),
        (b"\xef\xbb\xbf{}", None),
        ({"doc": 5, "op": "undo"}, "/doc"), ({"doc": "", "op": "undo"}, "/doc"), ({"doc": "x" * 1025, "op": "undo"}, "/doc"),
        ({"doc": "a\0b", "op": "undo"}, "/doc"), ({"doc": None, "op": "undo"}, "/doc"),
        (tr(insert("x"), key=""), "/key"), (tr(insert("x"), key=7), "/key"), (tr(insert("x"), key="k" * 1025), "/key"), (tr(insert("x"), key="a\0"), "/key"),
        (tr(insert("x"), actor=1), "/actor"), (tr(insert("x"), actor=""), "/actor"),
        (tr(insert("x"), expect="1"), "/expect"), (tr(insert("x"), expect=-1), "/expect"), (tr(insert("x"), expect=1.0), "/expect"),
        ({"doc": "d", "op": "jump"}, "jump"), ({"doc": "d", "op": "apply"}, "apply"), ({"doc": "d", "op": 3}, "/op"),
        (tr(insert("x"), surprise=1), "surprise"), (tr(insert("x"), Steps=[]), "Steps"),
        ({"doc": "d", "op": "undo", "steps": [insert("x")]}, "/steps"), ({"doc": "d", "op": "snapshot", "key": "k"}, "/key"),
        ({"doc": "d", "op": "compact", "expect": 1}, "/expect"),
        ({"doc": "d"}, "/steps"), ({"doc": "d", "steps": []}, "/steps"), ({"doc": "d", "steps": {}}, "/steps"), ({"doc": "d", "steps": None}, "/steps"),
        ({"doc": "d", "steps": [1]}, "/steps/0"), ({"doc": "d", "steps": [{"type_id": "insert_node"}]}, "/steps/0"),
        ({"doc": "d", "steps": [{"type_id": 1, "data": {}}]}, "/steps/0"), ({"doc": "d", "steps": [insert("x"), {**insert("y"), "more": 1}]}, "/steps/1"),
        ({"doc": "d", "steps": [{"type_id": "insert_node", "data": []}]}, "/steps/0"),
        (tr(step("insert_node", parent="root", node={"id": "x", "type": "t", "colour": 1})), None),
        (tr(step("insert_node", parent="nowhere", node={"id": "x", "type": "t"})), None),
        (tr(insert("a")), None), (tr(insert("x", index=2)), None), (tr(step("insert_node", parent="root", index=9, node={"id": "x", "type": "t"})), None),
        (tr(step("delete_node", id="root")), None), (tr(step("delete_node", id="nowhere")), None),
        (tr(step("move_node", id="a", parent="a")), None), (tr(step("update_attrs", id="a", set={"x": 1}, unset=["x"])), None),
        (tr(step("replace_text", id="a", pos=0, delete=0, insert="x")), None),
        (tr(insert("x"), insert("x")), None), (tr(insert("x"), step("delete_node", id="nowhere")), None),
        (b'{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"a","set":{"n":9223372036854775808}}}]}', None),
        (b'{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"a","set":{"n":-9223372036854775809}}}]}', None),
        (b'{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"a","set":{"n":1e400}}}]}', None),
        (b'{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"a","set":{"n":NaN}}}]}', None),
        (b'{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"a","set":{"n":01}}}]}', None),
        (b'{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"a","set":{"a\\u0000b":1}}}]}', None),
        (b'{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"a","set":{"s":"\\ud800"}}}]}', None),
        (b'{"doc":"d","steps":[{"type_id":"update_attrs","data":{"id":"a","set":{"n":' + deep.encode() + b"}}}]}", None),
        (b'{"doc":"d","steps":[{"type_id":"insert_node","data":{"parent":"root","node":' + nested.encode() + b"}}]}", None),
        (b'{"doc":"d","meta":' + deep.encode() + b',"steps":[{"type_id":"delete_node","data":{"id":"a"}}]}', None),
    ]


def each_bad_line_is_answered_with_its_number_and_changes_nothing(work):
    bad = _bad_lines()
    lines = [tr(insert("a"))]
    for line, _ in bad:
        lines += [line, tr(update("a", good=len(lines)))]
    answers = run(work / "s", lines, code=1)
    assert len(answers) == len(lines)
    for n, (line, hint) in enumerate(bad):
        answer = answers[1 + 2 * n]
        assert answer["line"] == 2 + 2 * n and answer["status"] == "error" and answer["code"] == "MF_ERR_INVALID", (line, answer)
        assert len(answer["message"]) > 10 and (hint is None or hint in answer["message"]), (line, answer)
        assert answers[2 + 2 * n] == {"line": 3 + 2 * n, "status": "ok", "doc": "d", "lsn": 2 + n}, (line, answers[2 + 2 * n])
    assert [c["id"] for c in state(work / "s")["root"]["children"]] == ["a"]


def an_unknown_step_type_is_named(work):
    answer = run(work / "s", [tr(step("paint_node", id="a"))], code=1)[0]
    assert answer["code"] == "MF_ERR_UNKNOWN_STEP" and "paint_node" in answer["message"] and answer["doc"] == "d"
    assert mf("state", "--data", work / "s", "--doc", "d").returncode == 1


def an_unreadable_line_has_no_document_in_its_answer(work):
    answers = run(work / "s", [b"nope", {"doc": 7, "op": "undo"}, {"op": "jump"}, {"doc": "e", "op": "jump"}], code=1)
    assert [a.get("doc") for a in answers] == [None, None, "default_doc", "e"]


def a_line_over_64_mib_is_answered_once_and_skipped(work):
    def lines(size):
        start = b'{"doc":"d","meta":"'
        end = b'","steps":[{"type_id":"update_attrs","data":{"id":"root","set":{"n":1}}}]}'
        return start + b"x" * (size - len(start) - len(end)) + end
    good = encode([tr(update(n=2))])
    answers = run(work / "s", lines(64 * 1024 * 1024 + 1) + b"\n" + good + b"[" * (130 * 1024 * 1024), code=1)
    assert [(a["line"], a.get("code", "ok")) for a in answers] == [(1, "MF_ERR_INVALID"), (2, "ok"), (3, "MF_ERR_INVALID")]
    assert "longer" in answers[0]["message"]


def a_line_of_many_megabytes_is_stored(work):
    text = "é" * (4 * 1024 * 1024)
    assert run(work / "s", [tr(insert("a", attrs={"text": text})), tr(step("replace_text", id="a", pos=1, delete=len(text) - 2, insert=""))])[1]["lsn"] == 2
    assert state(work / "s")["root"]["children"][0]["attrs"]["text"] == "éé"


def values_come_back_exactly(work):
    value = {"i": [0, -1, 2**63 - 1, -2**63], "f": [0.1, 1.0, 1e300, 5e-324, 1.5], "s": ["", "a\0b", "\U0001f600", "\u2028\"\\/\n"],
             "n": None, "b": [True, False], "o": {"z": 1, "a": {}, "é": 2, "Z": 3}}
    run(work / "s", [tr(update(v=value))])
    text = mf("state", "--data", work / "s", "--doc", "d").stdout.decode()
    assert json.loads(text)["root"]["attrs"]["v"] == value
    assert '"f":[0.1,1.0,1e+300,5e-324,1.5]' in text.replace("1e300", "1e+300") and '"o":{"Z":3,"a":{},"z":1,"é":2}' in text, text
    assert run(work / "s", [tr(update(v=-0.0))])[0]["lsn"] == 2 and '"v":0.0' in mf("state", "--data", work / "s", "--doc", "d").stdout.decode()


def answers_are_not_withheld_while_the_input_is_idle(work):
    for mode in ["memory", "async:60000", "sync"]:
        with popen("run", "--data", work / mode.replace(":", "-"), "--mode", mode, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            for n in range(1, 6):
                process.stdin.write(encode([tr(update(n=n))]) * n)
                process.stdin.flush()
                for _ in range(n):
                    ready, _, _ = select.select([process.stdout], [], [], 30)
                    assert ready, f"no answer in mode {mode}"
                    assert json.loads(process.stdout.readline())["status"] == "ok"
            process.stdin.close()
            assert process.wait(30) == 0


def acks_none_is_silent_but_for_failures(work):
    result = mf("run", "--data", work / "s", "--acks", "none", stdin=[tr(insert("a")), tr(insert("a"))])
    assert result.returncode == 1 and result.stdout == b""
    assert result.stderr.startswith(b"mf: line 2: MF_ERR_INVALID: ") and result.stderr.count(b"\n") == 1
    assert state(work / "s")["lsn"] == 1


def _with_surly(work):
    path = config_with(work)
    config = json.loads(path.read_text())
    config["plugins"].append({"name": "surly", "path": str(Path(CONFIG).parent / "tests" / "host" / "surly.so")})
    path.write_text(json.dumps(config))
    return path


def failures_without_a_word_are_told_all_the_same(work):
    lines = [tr(insert("a")), tr(step("no_step")), tr(insert("b"))]
    result = mf("run", "--data", work / "s", config=_with_surly(work), stdin=lines)
    answers = objects(result)
    assert [a["status"] for a in answers] == ["ok", "error", "ok"] and result.returncode == 1, result
    assert answers[1]["message"] == "/steps/0: step type 'no_step' failed with MF_ERR_INVALID and gave no reason", answers
    assert result.stderr == b"mf: plugin surly: its follower failed 2 times\n", result


def a_message_about_a_line_has_one_line_number(work):
    answers = run(work / "s", [tr(insert("a")), b'{"doc":"d"', tr(update("x", n=1))], code=1)
    assert answers[1]["line"] == 2 and answers[1]["message"].startswith("JSON column "), answers
    assert answers[2]["message"].endswith(': step 1 (update_attrs): there is no node "x"'), answers


def a_file_that_may_not_grow_is_an_error_and_not_the_end(work):
    rng = random.Random(1)  # nothing to compress: far more than the limit, however the lines are grouped
    lines = [tr(update(n=rng.randbytes(5000).hex()), key=f"k{n}") for n in range(100)]
    command = ["sh", "-c", 'ulimit -f 200; exec "$@"', "sh", MF, "run", "--data", work / "s", "--mode", "sync", "--config", CONFIG]
    result = subprocess.run(command, input=encode(lines), capture_output=True, timeout=120, check=False)
    answers = objects(result)
    assert result.returncode == 3 and len(answers) > 0 and answers[-1]["code"] == "MF_ERR_STORAGE_FULL", result
    stored = [a["lsn"] for a in answers if a["status"] == "ok"]
    assert [a["lsn"] for a in run(work / "s", lines)] == list(range(1, 101)) and stored == list(range(1, len(stored) + 1))
    run(work / "calm", lines)  # what failed did not come in after what was sent later
    assert state(work / "s") == state(work / "calm")


def what_could_not_be_stored_any_more_names_its_document(work):
    # The first line takes long to fail; meanwhile more lines are read than can be under way, so one waits for room when the run stops.
    lines = [tr(update(n=random.Random(2).randbytes(6000000).hex())), *(tr(update(n=n)) for n in range(3000))]
    command = ["sh", "-c", 'ulimit -f 2000; exec "$@"', "sh", MF, "run", "--data", work / "s", "--mode", "sync", "--config", CONFIG]
    result = subprocess.run(command, input=encode(lines), capture_output=True, timeout=120, check=False)
    answers = objects(result)
    assert result.returncode == 3 and answers[-1]["code"] == "MF_ERR_STORAGE_FULL", result.stderr
    assert all(a["doc"] == "d" for a in answers), [a for a in answers if "doc" not in a]


def a_plugin_that_cannot_write_its_file_is_no_storage_error(work):
    path = config_with(work)
    config = json.loads(path.read_text())
    config["plugins"].append({"name": "audit_log", "config": {"path": str(work / "absent" / "audit.log")}})
    path.write_text(json.dumps(config))
    result = mf("run", "--data", work / "s", config=path)
    assert result.returncode == 2 and result.stderr.startswith(b"mf: MF_ERR_PLUGIN: plugin audit_log: start: "), result


def input_comes_from_a_file_too(work):
    (work / "in").write_bytes(encode([tr(insert("a"))]))
    assert objects(mf("run", "--data", work / "s", "--input", work / "in"))[0]["lsn"] == 1
    result = mf("run", "--data", work / "t", "--input", work / "absent")
    assert result.returncode == 2 and b"absent" in result.stderr and not (work / "t").exists()
    result = mf("run", "--data", work / "t", "--input", work)
    assert result.returncode == 2 and b"directory" in result.stderr and not (work / "t").exists()
    with open(work / "dir", "w") as unreadable:  # opened, but not for reading
        result = subprocess.run([MF, "run", "--data", work / "u", "--config", CONFIG], stdin=unreadable, capture_output=True, timeout=120, check=False)
    assert result.returncode == 2 and b"MF_ERR_INVALID" in result.stderr and result.stdout == b"", result


def a_reader_that_goes_away_ends_the_run_quietly(work):
    with popen("run", "--data", work / "s", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(encode([tr(update(n=1))]))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["lsn"] == 1
        process.stdout.close()
        process.stdin.write(encode([tr(update(n=2))]))
        process.stdin.flush()  # and stays open: the program ends by itself
        assert process.wait(30) == 1
        assert process.stderr.read() == b""
    assert ask("verify", work / "s")[-1]["status"] == "ok"


def f05_lines_of_many_documents_keep_their_order(work):
    lines = [tr(update(n=n), doc=f"d{n % 7}", key=f"k{n}") for n in range(700)]
    assert [a["lsn"] for a in run(work / "s", lines)] == list(range(1, 701))
    for doc in range(7):
        assert [e["key"] for e in ask("log", work / "s", "--doc", f"d{doc}")] == [f"k{n}" for n in range(doc, 700, 7)]


def _mount_small(folder, size):
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False).returncode:
        raise Skip("needs root with the right to mount")


def p09_a_full_disk_stops_the_run_and_the_same_input_continues_it(work):
    disk = work / "disk"
    _mount_small(disk, "2m")
    try:
        lines = [tr(insert(f"n{n}", attrs={"x": os.urandom(2000).hex()}), key=f"k{n}") for n in range(600)]
        run(disk / "s", lines[:10])  # of the others none may fit: they can come to the store as one group, larger than the disk
        result = mf("run", "--data", disk / "s", stdin=lines)
        answers = objects(result)
        assert result.returncode == 3 and [a["status"] for a in answers[:10]] == ["duplicate"] * 10, result
        good = sum(a["status"] in ("ok", "duplicate") for a in answers)
        assert 10 <= good < len(answers) <= 600
        assert all(a["code"] == "MF_ERR_STORAGE_FULL" for a in answers[good:]), answers[good:][:3]  # no later line without an earlier one
        assert state(disk / "s")["lsn"] >= good  # reads go on
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        again = run(disk / "s", lines)
        assert [a["status"] for a in again[:good]] == ["duplicate"] * good and len(again) == 600
        assert len(state(disk / "s")["root"]["children"]) == 600
        assert ask("verify", disk / "s")[-1]["status"] == "ok"
    finally:
        subprocess.run(["umount", disk], check=True)


# ---- reading ----


def a_document_can_be_seen_as_it_was(work):
    data = work / "s"
    run(data, [tr(update(n=1)), tr(update(n=1), doc="e"), tr(update(n=3)), {"doc": "d", "op": "snapshot"}, tr(update(n=4))])
    seen = [state(data, "d", "--at-lsn", n) for n in range(1, 6)]
    assert [(s["lsn"], s["root"]["attrs"]["n"]) for s in seen] == [(1, 1), (1, 1), (3, 3), (4, 4), (4, 4)]
    for args in [("--doc", "e", "--at-lsn", 1), ("--doc", "d", "--at-lsn", 0), ("--doc", "nobody")]:
        result = mf("state", "--data", data, *args)
        assert result.returncode == 1 and result.stdout == b"" and result.stderr.startswith(b"mf: MF_ERR_NOT_FOUND: "), result


def a_digest_is_one_line_and_the_same_for_equal_trees(work):
    run(work / "s", [tr(insert("a"), insert("b")), tr(insert("b"), doc="e"), tr(step("insert_node", parent="root", index=0, node={"id": "a", "type": "p"}), doc="e")])
    result = mf("state", "--data", work / "s", "--doc", "d", "--digest")
    assert re.fullmatch(rb"[0-9a-f]{32}\n", result.stdout)
    assert digest(work / "s", "d") == digest(work / "s", "e")


def recover_tells_of_every_document(work):
    data = work / "s"
    run(data, [tr(update(n=n), doc=doc) for n in range(5) for doc in ["b", "a", "é \"x\""]] + [{"doc": "a", "op": "snapshot"}])
    reports = ask("recover", data)
    assert [r["doc"] for r in reports] == ["a", "b", "é \"x\""]
    for report in reports:
        assert list(report) == ["doc", "lsn", "snapshot_lsn", "events_replayed", "digest", "ms", "damaged_snapshots", "stale_snapshots"]
        assert report["digest"] == digest(data, report["doc"]) and report["ms"] >= 0
    assert (reports[0]["lsn"], reports[0]["snapshot_lsn"], reports[0]["events_replayed"]) == (14, 14, 0)
    assert (reports[1]["lsn"], reports[1]["snapshot_lsn"], reports[1]["events_replayed"]) == (13, 0, 5)
    assert ask("recover", data, "--doc", "b")[0]["lsn"] == 13
    assert mf("recover", "--data", data, "--doc", "x").returncode == 1


def the_log_tells_everything_about_each_event(work):
    data, before = work / "s", time.time()
    run(data, [tr(insert("a", attrs={"x": 1}), update("a", y=[1.5]), key="k1", actor="ann", meta={"b": 1, "a": None}), tr(insert("z"), doc="e"), {"doc": "d", "op": "undo"}])
    log = ask("log", data, "--doc", "d")
    assert [list(e) for e in log] == [["lsn", "epoch", "doc", "key", "tr_id", "time", "ts_us", "actor", "action", "source_lsn", "meta", "steps"]] * 2
    first, second = log
    assert (first["lsn"], first["epoch"], first["doc"], first["key"], first["actor"], first["action"], first["source_lsn"]) == (1, 1, "d", "k1", "ann", "apply", 0)
    assert first["meta"] == {"a": None, "b": 1} and second["meta"] == {} and second["actor"] is None
    assert [s["type_id"] for s in first["steps"]] == ["insert_node", "update_attrs"]
    assert first["steps"][1]["data"] == {"id": "a", "set": {"y": [1.5]}} or first["steps"][1]["data"] == {"id": "a", "set": {"y": [1.5]}, "unset": []}
    assert (second["lsn"], second["action"], second["source_lsn"]) == (3, "undo", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first["time"])
    assert before - 2 <= first["ts_us"] / 1e6 <= time.time() + 2
    assert time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(first["ts_us"] // 1000000)) == first["time"][:19]
    assert f"{first['ts_us'] % 1000000:06d}" == first["time"][20:26]


def the_log_can_be_replayed_into_the_same_document(work):
    data = work / "s"
    run(data, [tr(insert("a"), insert("b", attrs={"text": "hello"})), tr(step("replace_text", id="b", pos=1, delete=3, insert="ipp")),
               tr(step("add_mark", id="a", mark={"type": "m", "attrs": {"k": 1}})), tr(step("move_node", id="b", parent="a")), {"doc": "d", "op": "undo"},
               tr(step("remove_mark", id="a", type="m"), step("delete_node", id="b"))])
    run(work / "t", [tr(*e["steps"]) for e in ask("log", data, "--doc", "d")])
    assert digest(data) == digest(work / "t")


def the_log_can_be_read_in_parts(work):
    run(work / "s", [tr(update(n=n)) for n in range(2500)], "--acks", "none")
    def lsns(*args):
        return [e["lsn"] for e in ask("log", work / "s", "--doc", "d", *args)]
    assert lsns() == list(range(1, 2501))
    assert lsns("--since", 2490) == list(range(2491, 2501))
    assert lsns("--since", 5, "--limit", 1200) == list(range(6, 1206))
    assert lsns("--limit", 0) == [] and lsns("--since", 2500) == []
    assert mf("log", "--data", work / "s", "--doc", "x").returncode == 1


def documents_and_snapshots_are_listed(work):
    data = work / "s"
    run(data, [tr(update(n=1), doc="b"), tr(update(n=1), doc="a"), {"doc": "a", "op": "snapshot"}, tr(update(n=2), doc="a"), {"doc": "a", "op": "snapshot"}])
    assert ask("docs", data) == [{"doc": "a", "lsn": 3, "events": 2, "snapshots": 2}, {"doc": "b", "lsn": 1, "events": 1, "snapshots": 0}]
    listed = ask("snapshots", data)
    assert [(s["doc"], s["upto_lsn"]) for s in listed] == [("a", 3), ("a", 2)]
    assert all(s["bytes"] > 0 and s["time"].endswith("Z") for s in listed)
    assert ask("snapshots", data, "--doc", "b") == []


def a_document_without_events_is_not_found_by_every_command(work):
    run(work / "s", [tr(update(n=1)), {"doc": "d", "op": "snapshot"}])
    for command in ["state", "log", "recover", "snapshots", "compact"]:
        result = mf(command, "--data", work / "s", "--doc", "nobody")
        assert result.returncode == 1 and result.stdout == b"", result
        assert result.stderr == b"mf: MF_ERR_NOT_FOUND: document 'nobody' has no events in this store\n", result
        assert mf(command, "--data", work / "s", "--doc", "d").returncode == 0


def compact_works_document_by_document(work):
    data = work / "s"
    lines = [line for n in range(6) for line in [tr(update(n=n)), {"doc": "d", "op": "snapshot"}, tr(update(n=n), doc="e")]]
    run(data, lines)
    before = [digest(data, "d"), digest(data, "e")]
    answers = ask("compact", data)
    assert [a["doc"] for a in answers] == ["d", "e"] and answers[0]["upto_lsn"] > 0 and answers[1]["upto_lsn"] == 0
    assert [s["snapshots"] for s in ask("docs", data)] == [2, 0]
    assert [digest(data, "d"), digest(data, "e")] == before
    assert ask("verify", data)[-1]["status"] == "ok"
    assert run(data, [{"doc": "d", "op": "undo"}])[0]["lsn"] == 13  # the stacks came with the snapshot


def plugins_are_listed_without_touching_a_store(work):
    plugins = ask("plugin list", work / "s")
    assert [p["name"] for p in plugins] == ["node_steps", "mark_steps", "text_steps", "snapshot_subscriber"]
    assert all(p["state"] == "started" and p["required"] is True and p["path"].endswith(p["name"] + ".so") and p["message"] == "" for p in plugins)
    assert not (work / "s").exists()


def an_optional_plugin_that_is_missing_is_told(work):
    path = config_with(work)
    config = json.loads(path.read_text())
    config["plugins"].insert(0, {"name": "not_there", "required": False})
    path.write_text(json.dumps(config))
    plugins = objects(mf("plugin", "list", config=path))
    assert plugins[0]["name"] == "not_there" and plugins[0]["state"] == "skipped" and plugins[0]["message"]
    assert run(work / "s", [tr(insert("a"))], config=path)[0]["status"] == "ok"


def a_reader_asks_for_no_more_than_is_on_the_device(work):
    data = work / "s"
    run(data, [tr(update(n=0))], "--mode", "sync")
    with popen("run", "--data", data, "--mode", "async:60000", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdin.write(encode([tr(update(n=1)), tr(update(n=1), doc="e")]))
        assert [json.loads(writer.stdout.readline())["lsn"] for _ in range(2)] == [2, 3]
        assert state(data)["lsn"] == 2 and [e["lsn"] for e in ask("log", data)] == [1, 2, 3]
        for args in [["--synced"], ["--synced", "--at-lsn", 2]]:
            assert state(data, "d", *args) == state(data, "d", "--at-lsn", 1), args
        assert [e["lsn"] for e in ask("log", data, "--synced")] == [1] and ask("log", data, "--synced", "--since", 1) == []
        missing = mf("state", "--data", data, "--doc", "e", "--synced")
        assert missing.returncode == 1 and b"MF_ERR_NOT_FOUND" in missing.stderr and missing.stdout == b"", missing
        writer.stdin.close()
        assert writer.wait(60) == 0
    assert state(data, "d", "--synced") == state(data) and state(data)["lsn"] == 2
    assert [e["lsn"] for e in ask("log", data, "--synced")] == [1, 2, 3]
    assert [e["lsn"] for e in ask("log", data, "--synced", "--limit", 2)] == [1, 2]


def readers_work_beside_a_writer_and_a_second_writer_is_locked_out(work):
    data = work / "s"
    with popen("run", "--data", data, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        for n in range(1, 4):
            writer.stdin.write(encode([tr(update(n=n))]))
            writer.stdin.flush()
            assert json.loads(writer.stdout.readline())["lsn"] == n
            assert state(data)["root"]["attrs"]["n"] == n
        assert len(ask("log", data, "--doc", "d")) == 3 and ask("recover", data)[0]["lsn"] == 3
        assert ask("verify", data)[-1]["status"] == "ok" and ask("docs", data)[0]["lsn"] == 3
        second = mf("run", "--data", data, stdin=[tr(update(n=9))])
        assert second.returncode == 1 and second.stdout == b"" and second.stderr.startswith(b"mf: MF_ERR_LOCKED: "), second
        writer.stdin.write(encode([tr(update(n=4))]))
        writer.stdin.close()
        assert json.loads(writer.stdout.readline())["lsn"] == 4 and writer.wait(30) == 0


# ---- verify ----


def _damage(data, sql, *args):
    with sqlite3.connect(data / "store.db") as db:
        assert db.execute(sql, args).rowcount > 0
    db.close()


def _damaged_store(work):
    run(work / "s", [tr(insert(f"n{n}"), key=f"k{n}") for n in range(10)] + [{"doc": "d", "op": "snapshot"}, tr(update(n=1)), tr(update(n=2))])
    assert ask("verify", work / "s") == [{"status": "ok", "documents": 1, "events": 12, "snapshots": 1, "findings": 0}]
    return work / "s"


def verify_names_document_and_lsn_of_a_damaged_event(work):
    data = _damaged_store(work)
    _damage(data, "update events set payload = cast(substr(payload, 1, length(payload) - 1) || x'ff' as blob) where lsn = 4")
    found = ask("verify", data, code=1)
    assert any(f.get("lsn") == 4 and f["doc"] == "d" and f["what"] == "event" for f in found), found
    assert found[-1]["status"] == "damaged" and found[-1]["findings"] >= 1


def verify_names_what_a_damaged_snapshot_is_of(work):
    data = _damaged_store(work)
    _damage(data, "update snapshots set state_blob = cast(substr(state_blob, 1, length(state_blob) - 1) || x'ff' as blob)")
    found = ask("verify", data, code=1)
    assert any(f.get("lsn") == 10 and f["doc"] == "d" and f["what"] == "snapshot" for f in found), found
    assert state(data)["lsn"] == 12  # passed over
    result = mf("recover", "--data", data)
    assert result.returncode == 0 and b"1 snapshot(s) that could not be used were passed over" in result.stderr


def verify_finds_a_missing_event(work):
    data = _damaged_store(work)
    _damage(data, "delete from events where lsn = 5")
    found = ask("verify", data, code=1)
    assert found[-1]["status"] == "damaged" and any("5" in f["message"] or f["lsn"] in (5, 6) for f in found[:-1]), found


def damage_is_a_storage_error_for_the_other_commands(work):
    data = _damaged_store(work)
    _damage(data, "update events set actor = 'eve' where lsn = 11")
    for args in [("state", "--doc", "d"), ("recover", "--doc", "d"), ("recover",), ("log", "--doc", "d"), ("run",)]:
        result = mf(*args, "--data", data, stdin=[tr(update(n=1), doc="e")])
        assert result.returncode == 3 and b"MF_ERR_CORRUPTED" in result.stderr and b"11" in result.stderr, result
    assert ask("docs", data) == [{"doc": "d", "lsn": 12, "events": 12, "snapshots": 1}]  # nothing was deleted, nothing added


def f19_what_no_plugin_knows_is_named_before_anything_is_replayed(work):
    data = work / "s"
    run(data, [tr(insert("a", attrs={"text": "x"})), tr(step("replace_text", id="a", pos=0, delete=0, insert="y")), tr(step("replace_text", id="a", pos=0, delete=0, insert="z"))])
    path = config_with(work)
    config = json.loads(path.read_text())
    config["plugins"] = [p for p in config["plugins"] if p["name"] != "text_steps"]
    path.write_text(json.dumps(config))
    for args in [("run",), ("state", "--doc", "d")]:
        result = mf(*args, "--data", data, config=path)
        assert result.returncode == 1 and b"MF_ERR_UNKNOWN_STEP" in result.stderr and b"replace_text" in result.stderr, result
    assert state(data)["root"]["children"][0]["attrs"]["text"] == "zyx"


def verify_tells_a_missing_plugin_from_damage(work):
    data = work / "s"
    run(data, [tr(insert("a", attrs={"text": "x"})), tr(step("replace_text", id="a", pos=0, delete=0, insert="y"))])
    path = config_with(work)
    config = json.loads(path.read_text())
    config["plugins"] = [p for p in config["plugins"] if p["name"] != "text_steps"]
    path.write_text(json.dumps(config))
    result = mf("verify", "--data", data, config=path)
    finding, summary = objects(result)
    assert (result.returncode, summary["status"], summary["findings"]) == (1, "unknown_steps", 1), result
    assert (finding["what"], finding["doc"], finding["lsn"], finding["code"]) == ("unknown step", "d", 2, "MF_ERR_UNKNOWN_STEP"), finding
    assert "'replace_text'" in finding["message"] and "plugin" in finding["message"]
    _damage(data, "update events set actor = 'eve' where lsn = 1")
    found = objects(mf("verify", "--data", data, config=path))
    assert found[-1]["status"] == "damaged" and {f["code"] for f in found[:-1]} == {"MF_ERR_CORRUPTED", "MF_ERR_UNKNOWN_STEP"}, found


# ---- a loss ----


def _store_that_lost_synced_events(work):
    data = work / "s"
    with popen("run", "--data", data, "--mode", "sync", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        for n in range(40):  # each in a write of its own
            writer.stdin.write(encode([tr(insert(f"n{n}"), key=f"k{n}")]))
            assert json.loads(writer.stdout.readline())["lsn"] == n + 1
        writer.kill()  # a clean end would copy the log into the database
    log = data / "store.db-wal"
    os.truncate(log, log.stat().st_size // 2)
    return data


def a_loss_is_accepted_by_a_person_and_then_writing_goes_on(work):
    data = _store_that_lost_synced_events(work)
    result = mf("run", "--data", data, stdin=[tr(insert("new"))])
    assert result.returncode == 3 and result.stdout == b"" and b"MF_ERR_CORRUPTED" in result.stderr and b"mf verify --accept-loss" in result.stderr, result
    found = ask("verify", data, code=1)
    assert found[0]["what"] == "watermark" and "LSN 40" in found[0]["message"] and found[-1]["status"] == "damaged", found
    assert mf("run", "--data", data, stdin=[tr(insert("new"))]).returncode == 3  # to have looked changes nothing
    left = found[-1]["events"]
    assert 0 < left < 40
    accepted = ask("verify", data, "--accept-loss")
    assert accepted[:-1] == found[:-1] and accepted[-1] == {**found[-1], "status": "loss_accepted"}, accepted
    assert ask("verify", data) == [{"status": "ok", "documents": 1, "events": left, "snapshots": 0, "findings": 0}]
    again = [tr(insert(f"n{n}"), key=f"k{n}") for n in range(40)]
    answers = run(data, again)
    assert [a["lsn"] for a in answers[left:]] == list(range(41, 41 + 40 - left)), answers  # a synced number is never given again
    assert all(a["status"] == "duplicate" for a in answers[:left])
    assert len(state(data)["root"]["children"]) == 40
    with sqlite3.connect(data / "store.db") as db:
        assert db.execute("select lost_from, first_lsn from epochs where lost_from > 0").fetchall() == [(left + 1, 41)]
    db.close()
    assert ask("verify", data)[-1]["status"] == "ok"


def without_a_loss_there_is_nothing_to_accept(work):
    data = _damaged_store(work)
    assert ask("verify", data, "--accept-loss") == ask("verify", data)
    _damage(data, "update events set actor = 'eve' where lsn = 12")
    assert ask("verify", data, "--accept-loss", code=1)[-1]["status"] == "damaged"
    assert mf("run", "--data", data).returncode == 3  # other damage is not accepted
    with sqlite3.connect(data / "store.db") as db:
        assert db.execute("select count(*) from epochs").fetchall() == [(1,)]
    db.close()


def a_loss_is_accepted_and_other_damage_still_told(work):
    data = _store_that_lost_synced_events(work)
    with sqlite3.connect(data / "store.db") as db:
        assert db.execute("update events set actor = 'eve' where lsn = 2").rowcount == 1
    db.close()
    found = ask("verify", data, "--accept-loss", code=1)
    assert found[-1]["status"] == "damaged" and "watermark" in {f["what"] for f in found[:-1]}, found
    found = ask("verify", data, code=1)
    assert found[-1]["status"] == "damaged" and "watermark" not in {f["what"] for f in found[:-1]}, found


def a_database_that_is_gone_is_no_loss_to_accept(work):
    data = work / "s"
    run(data, [tr(insert("a"))], "--mode", "sync")
    for name in ["store.db", "store.db-wal"]:
        (data / name).unlink()
    result = mf("verify", "--data", data, "--accept-loss")
    assert result.returncode == 3 and b"restore a backup" in result.stderr and b"--accept-loss" not in result.stderr, result
    assert objects(result)[0]["what"] == "database"
    assert not (data / "store.db").exists()


def what_is_not_a_database_is_damage_and_what_is_of_another_program_is_not_ours(work):
    for name, watermark in [("junk", False), ("overwritten", True)]:
        data = work / name
        data.mkdir()
        if watermark:
            run(data, [tr(insert("a"))])
            (data / "store.db-wal").unlink()
        (data / "store.db").write_bytes(b"this is not a database " * 1000)
        before = (data / "store.db").read_bytes()
        for args in [("run",), ("state", "--doc", "d"), ("docs",), ("compact",)]:
            result = mf(*args, "--data", data, stdin=[tr(insert("a"))])
            assert result.returncode == 3 and b"MF_ERR_CORRUPTED" in result.stderr and b"not a database" in result.stderr, result
        assert ask("verify", data, code=1)[0]["what"] == "database"
        assert (data / "store.db").read_bytes() == before
    (work / "other").mkdir()
    with sqlite3.connect(work / "other" / "store.db") as db:
        db.execute("pragma application_id = 77")
        db.execute("create table t (x)")
    db.close()
    for args in [("run",), ("state", "--doc", "d"), ("verify",), ("compact",)]:
        result = mf(*args, "--data", work / "other", stdin=[tr(insert("a"))])
        assert result.returncode == 2 and b"MF_ERR_INVALID" in result.stderr, result


# ---- usage and configuration ----


def a_directory_is_never_read_as_a_uri(work):
    for name in ["file:d?mode=memory&x=", "file:d?nolock=1&x=", "file:d", "a?b#c%20d e"]:
        run(name, [tr(insert("a"))], cwd=work)
        assert sorted(path.name for path in (work / name).iterdir() if path.suffix not in [".db-wal", ".db-shm"]) == ["lock", "metrics", "store.db", "watermark"]
        result = mf("verify", "--data", name, cwd=work)
        assert result.returncode == 0, result


def wrong_usage_ends_with_2_and_one_sentence(work):
    for args in [(), ("jump",), ("run", "now"), ("state",), ("state", "--doc"), ("state", "--doc", "d", "--colour"), ("run", "--doc", "d"),
                 ("docs", "--limit", "1"), ("log", "--doc", "d", "--since", "x"), ("log", "--doc", "d", "--limit", "-1"), ("run", "--acks", "some"),
                 ("run", "--acks"), ("state", "--doc", ""), ("plugin",), ("plugin", "jump"), ("state", "--digest=yes", "--doc", "d"), ("--colour",),
                 ("log", "--doc", "d", "--since", "99999999999999999999"), ("help", "nosuch"), ("help", "run", "now"), ("nosuch", "--help"),
                 ("docs", "--accept-loss"), ("verify", "--accept-loss=yes"), ("help", "plugin", "jump"), ("help", "plugin", "list", "now")]:
        result = mf(*args, config=None, cwd=work)
        assert result.returncode == 2 and result.stdout == b"", (args, result)
        assert result.stderr.startswith(b"mf: MF_ERR_INVALID: ") and result.stderr.count(b"\n") == 1, (args, result)


def wrong_words_are_named_and_the_right_ones_told(work):
    for args, words in [(("run", "extra"), b"one word too many: 'extra'"), (("state", "--doc", "d", "d"), b"one word too many: 'd'"),
                        (("plugin",), b"did you mean 'mf plugin list'"), (("plugin", "lst"), b"did you mean 'mf plugin list'"),
                        (("plugin", "list", "all"), b"one word too many: 'all'"), (("help", "nosuch"), b"no such command: 'nosuch'"),
                        (("help", "run", "extra"), b"one word too many: 'extra'"), (("jump",), b"no such command: 'jump'; see"),
                        (("rn",), b"no such command: 'rn'; did you mean 'mf run'?"), (("plugn", "list"), b"'plugn list'; did you mean 'mf plugin list'?"),
                        (("stat", "--doc", "d"), b"did you mean 'mf state'?"), (("docs", "--dat", "x"), b"no such option: '--dat'; did you mean '--data'?"),
                        (("docs", "--dta=x"), b"'--dta=x'; did you mean '--data'?"), (("docs", "--colour"), b"no such option: '--colour'; see")]:
        result = mf(*args, config=None, cwd=work)
        assert result.returncode == 2 and words in result.stderr, (args, result)


def only_run_has_a_commit_mode(work):
    run(work / "s", [tr(insert("a"))])
    for command in ["state --doc d", "recover", "log --doc d", "snapshots", "docs", "verify", "compact", "plugin list"]:
        result = mf(*command.split(), "--data", work / "s", "--mode", "memory")
        assert result.returncode == 2 and result.stdout == b"" and b"does not take '--mode'" in result.stderr, result
        name = command.split(" --")[0]
        assert b"--mode" not in mf("help", *name.split(), config=None).stdout
    assert b"--mode" in mf("help", "run", config=None).stdout


def help_and_version_are_there(work):
    for args in [("help",), ("--help",), ("run", "--help"), ("help", "state"), ("-h",), ("help", "plugin", "list"), ("plugin", "list", "--help")]:
        result = mf(*args, config=None, cwd=work)
        assert result.returncode == 0 and b"usage: mf" in result.stdout and result.stderr == b"", result
    text = mf("help", config=None).stdout.decode()
    for word in ["run", "state", "recover", "log", "snapshots", "docs", "verify", "compact", "plugin list", "--config", "--data"]:
        assert word in text
    for command, option in [("run", "--mode"), ("run", "--input"), ("verify", "--accept-loss"), ("state", "--at-lsn"), ("log", "--since"), ("docs", "--data")]:
        assert option in mf("help", command, config=None).stdout.decode()
    assert re.fullmatch(rb"mf \d+\.\d+\.\d+\n", mf("--version", config=None).stdout)


def what_cannot_be_written_ends_with_1_and_a_sentence(work):
    for args in [("--version",), ("help",), ("help", "run"), ("help", "--man"), ("help", "--json"), ("help", "--completion", "bash")]:
        for where, why in [(">&-", b"Bad file descriptor"), (">/dev/full", b"No space left on device")]:
            result = subprocess.run(["sh", "-c", f'exec "$@" {where}', "sh", MF, *args], capture_output=True, timeout=60, check=False, cwd=work)
            assert (result.returncode, result.stderr) == (1, b"mf: MF_ERR_IO: standard output: " + why + b"\n"), (args, where, result)


def a_locale_without_utf_8_gets_only_ascii_on_standard_error(work):
    for locale, shown in [("C", rb"d\u00fc\u6f22"), ("C.UTF-8", "dü漢".encode())]:
        result = mf("state", "--doc", "dü漢", "--data", work / "none", "dü漢", env={**os.environ, "LC_ALL": locale})
        assert result.returncode == 2 and b"'" + shown + b"'" in result.stderr, (locale, result)


def options_may_stand_anywhere_and_have_an_equals_sign(work):
    result = subprocess.run([MF, f"--config={CONFIG}", f"--data={work / 's'}", "run"], input=encode([tr(insert("a"))]), capture_output=True, check=True)
    assert objects(result)[0]["lsn"] == 1


def a_wrong_configuration_ends_with_2_a_pointer_and_nothing_made(work):
    def broken(change):
        path = config_with(work)
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config))
        return path
    subscriber = 3
    changes = [
        (lambda c: c.update(colour=1), "/colour"),
        (lambda c: c["plugins"][subscriber]["config"].update(colour=1), f"/plugins/{subscriber}/config/colour"),
        (lambda c: c["plugins"][subscriber]["config"].update(keep_snapshots="2"), f"/plugins/{subscriber}/config/keep_snapshots"),
        (lambda c: c["plugins"][subscriber]["config"]["store"].update(dirr="x"), f"/plugins/{subscriber}/config/store/dirr"),
        (lambda c: c["plugins"][subscriber]["config"].update(commit_mode="fast"), f"/plugins/{subscriber}/config/commit_mode"),
        (lambda c: c["plugins"][subscriber]["config"]["store"].update(backend="memory"), f"plugins.json: /plugins/{subscriber}/config/store/backend: a store"),
        (lambda c: c["plugins"][subscriber]["config"].update(default_doc_id=""), f"plugins.json: /plugins/{subscriber}/config/default_doc_id: a document"),
    ]
    for change, pointer in changes:
        result = mf("run", "--data", work / "s", config=broken(change), stdin=[tr(insert("a"))])
        assert result.returncode == 2 and result.stdout == b"" and pointer.encode() in result.stderr, (pointer, result)
        assert result.stderr.count(b"\n") == 1
    (work / "plugins.json").write_text("{")
    for config in [work / "plugins.json", work / "absent.json", work]:
        result = mf("run", "--data", work / "s", config=config, stdin=[tr(insert("a"))])
        assert result.returncode == 2 and result.stderr.startswith(b"mf: MF_ERR_"), result
    assert not (work / "s").exists()


def a_configuration_without_a_committer_is_refused(work):
    path = config_with(work)
    config = json.loads(path.read_text())
    config["plugins"] = config["plugins"][:3]
    path.write_text(json.dumps(config))
    result = mf("run", config=path, cwd=work)
    assert result.returncode == 2 and b"committer" in result.stderr and os.listdir(work) == ["plugins.json"]
    listed = mf("plugin", "list", config=path, cwd=work)
    assert (listed.returncode, listed.stderr) == (2, result.stderr), (listed, "which overrides what nobody asked for")
    result = mf("run", "--data", "s", config=path, cwd=work)
    assert result.returncode == 2 and b"--data" in result.stderr and b"snapshot_subscriber" in result.stderr and os.listdir(work) == ["plugins.json"]


def the_configuration_is_looked_for_here_and_then_beside_the_program(work):
    if (Path(MF).resolve().parent / "plugins.json").resolve() == Path(CONFIG).resolve():
        assert objects(mf("run", "--data", "s", config=None, cwd=work, stdin=[tr(insert("a"))]))[0]["lsn"] == 1
    config_with(work, default_doc_id="mine")
    assert objects(mf("run", "--data", "t", config=None, cwd=work, stdin=[{"steps": [insert("a")]}]))[0]["doc"] == "mine"


def a_missing_store_is_told_and_not_made(work):
    for args in [("state", "--doc", "d"), ("recover",), ("log", "--doc", "d"), ("docs",), ("snapshots",), ("verify",), ("verify", "--accept-loss"),
                 ("compact",), ("compact", "--doc", "d")]:
        result = mf(*args, "--data", work / "none")
        assert result.returncode == 1 and result.stdout == b"" and result.stderr.startswith(b"mf: MF_ERR_NOT_FOUND: there is no store in"), result
        (work / "empty").mkdir(exist_ok=True)
        assert mf(*args, "--data", work / "empty").returncode == 1
    result = mf("docs", cwd=work)
    assert result.returncode == 1 and b"there is no store in" in result.stderr and b"--data DIR" in result.stderr and result.stderr.count(b"\n") == 1, result
    assert os.listdir(work) == ["empty"] and os.listdir(work / "empty") == []


def documents_are_let_go_and_recovered_when_many_are_in_use(work):
    config = config_with(work, top={"max_loaded_documents": 3, "recover_at_open": "all"})
    for part in range(2):
        answers = run(work / "s", [tr(update(n=n), doc=f"d{n % 20}", key=f"{part}-{n}") for n in range(400)], config=config)
        assert [a["lsn"] for a in answers] == list(range(part * 400 + 1, part * 400 + 401))
    assert all(state(work / "s", f"d{n}")["root"]["attrs"]["n"] == 380 + n for n in range(20))


def nothing_but_errors_is_written_to_a_standard_error_that_is_no_terminal(work):
    result = mf("run", "--data", work / "s", "--acks", "none", stdin=[tr(update(n=n)) for n in range(20000)], timeout=300)
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def verify_ends_although_a_damaged_row_number_leads_back(work):
    run(work / "s", [line for n in range(3) for line in (tr(insert(str(n))), {"doc": "d", "op": "snapshot"})], config=config_with(work, keep_snapshots=3))
    db = sqlite3.connect(work / "s" / "store.db")
    root, size = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'snapshots'").fetchone()[0], db.execute("PRAGMA page_size").fetchone()[0]
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    file = bytearray((work / "s" / "store.db").read_bytes())
    page = (root - 1) * size
    assert file[page] == 0x0D and file[page + 3:page + 5] == b"\0\3"  # a leaf of three rows
    cell = page + int.from_bytes(file[page + 10:page + 12], "big")
    while file[cell] & 0x80:  # the length of the second row
        cell += 1
    assert file[cell + 1] == 2
    file[cell + 1] = 100  # its number: between the first row and the third
    (work / "s" / "store.db").write_bytes(file)
    result = mf("verify", "--data", work / "s", timeout=60)
    assert result.returncode == 1 and b"out of order" in result.stdout, result


def closed_standard_streams_are_not_taken_for_files_of_the_store(work):
    for name, closed, code in [("in", "<&-", 2), ("out", ">&-", 1), ("out and err", ">&- 2>&-", 1), ("err", "2>&-", 0)]:
        lines = [] if name == "in" else [tr(insert(str(n))) for n in range(50)]
        result = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", MF, "run", "--data", work / name, "--config", CONFIG],
                                input=encode(lines), capture_output=True, timeout=120, check=False)
        assert result.returncode == code, (name, result)
        assert (work / name / "lock").read_bytes() == b"", name
        ask("verify", work / name)


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    main(tests_of(dict(globals())))
