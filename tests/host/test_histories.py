#!/usr/bin/env python3
"""Real histories, where they are at hand beside the source tree (shared/data): git's own list of files, a recorded text.

usage: test_histories.py MF CONFIG
"""
import gzip

from cli import *

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def _history(name):
    path = DATA / f"{name}.jsonl.gz"
    if not path.exists():
        raise Skip(f"no {name} here")
    return gzip.decompress(path.read_bytes())


def _feed(work, name, *args):
    lines = _history(name)
    answers = run(work / "s", lines, *args)
    assert [a["lsn"] for a in answers] == list(range(1, len(lines.splitlines()) + 1))
    return lines


def _files(node):
    if node["type"] == "file":
        yield "\t".join(node["attrs"][name] for name in ("path", "mode", "blob"))
    for child in node["children"]:
        yield from _files(child)


def _check_jansson(data):
    expected = gzip.open(DATA / "jansson-history.expected.tsv.gz", "rt").read().splitlines()
    assert sorted(_files(state(data, "repo")["root"])) == sorted(expected)


def a_git_history_gives_the_files_of_its_last_commit(work):
    lines = _feed(work, "jansson-history", "--mode", "sync")
    _check_jansson(work / "s")
    again = run(work / "s", lines)  # nothing happens twice
    assert {(a["status"], a["same"]) for a in again} == {("duplicate", True)}
    _check_jansson(work / "s")


def a_git_history_can_be_undone_to_nothing_and_redone(work):
    lines = _feed(work, "jansson-history")
    count = len(lines.splitlines())
    digests = [digest(work / "s", "repo")]
    run(work / "s", [{"doc": "repo", "op": "undo"}] * count, "--acks", "none")
    assert state(work / "s", "repo")["root"]["children"] == []
    run(work / "s", [{"doc": "repo", "op": "redo"}] * count, "--acks", "none")
    assert digest(work / "s", "repo") == digests[0]
    _check_jansson(work / "s")


def keystrokes_give_the_final_text_also_after_compaction(work):
    _feed(work, "sveltecomponent")
    expected = gzip.open(DATA / "sveltecomponent.expected.txt.gz", "rb").read().decode()
    assert state(work / "s", "text")["root"]["children"][0]["attrs"]["text"] == expected
    ask("compact", work / "s")
    assert state(work / "s", "text")["root"]["children"][0]["attrs"]["text"] == expected
    assert ask("verify", work / "s")[-1]["status"] == "ok"


def _with_snapshots_and_compaction(lines):
    """The lines, a snapshot every 100 of them, compaction every 1,000 and at the end."""
    docs = {}
    for number, line in enumerate(lines, 1):
        yield line
        docs[json.loads(line).get("doc", "default_doc")] = True
        if number % 100 == 0:
            yield from ({"doc": doc, "op": "snapshot"} for doc in docs)
        if number % 1000 == 0 or number == len(lines):
            yield from ({"doc": doc, "op": "compact"} for doc in docs)


def _same_digest_whatever_the_policy(work, name, doc):
    lines = _history(name).splitlines()
    plain, often, adaptive = work / "plain", work / "often", work / "adaptive"
    for place in (plain, often, adaptive):
        place.mkdir()
    off = {"snapshot_every_n_events": 0, "snapshot_every_bytes": 0, "snapshot_every_ms": 0}
    run(plain / "s", lines, config=config_with(plain, **off), timeout=300)
    expected = digest(plain / "s", doc)
    run(often / "s", list(_with_snapshots_and_compaction(lines)), config=config_with(often, **off), timeout=300)
    run(adaptive / "s", lines, config=config_with(adaptive, strategy="adaptive"), timeout=300)
    for place in (often, adaptive):
        assert digest(place / "s", doc) == expected
        assert ask("verify", place / "s")[-1]["status"] == "ok"
        [recovered] = [r for r in ask("recover", place / "s") if r["doc"] == doc]
        assert recovered["digest"] == expected and (recovered["snapshot_lsn"] > 0 or place == adaptive)  # in the background: maybe not yet
    assert len(ask("snapshots", often / "s", "--doc", doc)) == 2
    assert ask("log", often / "s", "--doc", doc, "--limit", 1)[0]["lsn"] == len(lines) // 100 * 100 - 99  # compaction took the first ones


def a_git_history_has_the_same_digest_with_snapshots_compaction_and_adaptive_limits(work):
    _same_digest_whatever_the_policy(work, "jansson-history", "repo")


def keystrokes_have_the_same_digest_with_snapshots_compaction_and_adaptive_limits(work):
    _same_digest_whatever_the_policy(work, "sveltecomponent", "text")


if __name__ == "__main__":
    main(tests_of(dict(globals())))
