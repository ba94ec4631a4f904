#!/usr/bin/env python3
"""kill -9 while the store works in the background: compaction, snapshots, backups, followers.

A round is a store of its own. The same input is fed to `mf run` again and again; each time something in particular
is waited for (a compaction under way, a snapshot whose chunks are not all there, a backup that is being written, an
audit file that grows, a follower's checkpoint); then, a random moment later, the writer is killed, the backup beside
it, or both. After each kill:
- `mf verify` finds nothing; every document is at a state that an undisturbed run went through, by digest; what was
  acknowledged is there;
- what can be restored of the backup is such a store too, and its file is there only when it can;
- the audit file has the first events in order, each once;
- a follower with a checkpoint in the store has heard of each event, of some again, and of none before the one before it.
At the end everything is as if nothing had happened.

usage: test_kill_background.py MF CONFIG
MF_ROUNDS sets the number of rounds (default 4), of four kills at most; MF_SEED=S MF_ROUND=N repeats one of them.
"""
import collections
import contextlib
import random
import sqlite3
import time

from killing import *

ROUNDS = int(os.environ.get("MF_ROUNDS", "4"))
SEED = int(os.environ.get("MF_SEED", str(random.randrange(1 << 30))))
ONLY = os.environ.get("MF_ROUND")
KILLS = 4
LINES = 700
PATIENCE = 10  # seconds for which a phase is waited for; a run that ends first ends it too
PHASES = ["compaction", "snapshot", "backup", "audit", "checkpoint", "any"]


# ---- what an undisturbed run gives ----
class Reference:
    """A store that keeps every event: the digest of every document after every LSN, asked for once."""

    def __init__(self, work, lines):
        self.data = work / "whole"
        changes = [line for line in lines if line.get("op") not in ("snapshot", "compact")]
        answers = run(self.data, changes)
        self.lsn_of = {line["key"]: answer["lsn"] for line, answer in zip(changes, answers, strict=True)}
        self.key_of = {lsn: key for key, lsn in self.lsn_of.items()}
        self.doc_of = {self.lsn_of[line["key"]]: line["doc"] for line in changes}
        self.digests = {}

    def digest(self, doc, lsn):
        if (doc, lsn) not in self.digests:
            result = mf("state", "--data", self.data, "--doc", doc, "--at-lsn", lsn, "--digest")
            assert result.returncode == 0, result
            self.digests[doc, lsn] = result.stdout.decode().strip()
        return self.digests[doc, lsn]

    def newest(self, doc, lsn):
        """The document's newest event up to lsn, 0 if there is none."""
        return max((at for at, of in self.doc_of.items() if of == doc and at <= lsn), default=0)

    def check(self, data, config):
        """Every document is at its newest event up to the store's last; that LSN."""
        reports = objects(mf("recover", "--data", data, config=config))
        last = max((report["lsn"] for report in reports), default=0)
        assert {r["doc"]: r["lsn"] for r in reports} == {doc: lsn for doc in DOCS if (lsn := self.newest(doc, last))}, (reports, last)
        for report in reports:
            assert report["digest"] == self.digest(report["doc"], report["lsn"]), report
        return last


# ---- what to wait for ----
def _count(data, sql):
    """A number out of the database, as another program sees it; 0 while there is none."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(f"file:{data}/store.db?mode=ro", uri=True, timeout=0)) as db:
        return db.execute(sql).fetchone()[0] or 0
    return 0


COMPACTIONS_UNDER_WAY = "SELECT count(*) FROM compactions WHERE done = 0"
LOOSE_CHUNKS = """SELECT count(*) FROM snapshot_chunks c WHERE NOT EXISTS
    (SELECT 1 FROM snapshots s WHERE s.doc_id = c.doc_id AND s.upto_lsn = c.upto_lsn AND s.take = c.take)"""


CHECKPOINT = "SELECT max(lsn) FROM followers WHERE name = 'notebook'"


class Round:
    def __init__(self, work, number, seen):
        self.seen = seen
        self.rng = random.Random(f"{SEED}-{number}")
        self.work = work
        self.data, self.backups, self.audit, self.notes = work / "s", work / "backups", work / "audit.jsonl", work / "notes"
        self.backups.mkdir()
        self.mode = self.rng.choice(["async", "sync"])
        self.config = self._config()
        self.lines = self._lines()
        self.text = work / "in"
        self.text.write_bytes(encode(self.lines))
        self.known, self.backup, self.made = {}, None, 0

    def _config(self):
        path = config_with(self.work, snapshot_every_n_events=self.rng.randrange(3, 40), full_snapshot_every=3, keep_snapshots=self.rng.choice([1, 2]))
        config = json.loads(path.read_text())
        config["plugins"] += [{"name": "audit_log", "config": {"path": str(self.audit)}},
                              {"name": "notebook", "path": str(Path(CONFIG).parent / "tests/host/notebook.so"), "config": {"path": str(self.notes)}}]
        path.write_text(json.dumps(config))
        return path

    def _lines(self):
        """One document is large, so that its snapshots arrive in several chunks."""
        lines = history(LINES, self.rng, snapshots=0.04)
        big = "".join(f"{self.rng.randrange(1 << 32):08x}" for _ in range(600000))
        return [tr(insert("big", attrs={"x": big}), doc="c", key="big"), *lines]

    # ---- killing ----
    def _start_backup(self):
        self.made += 1
        file = self.backups / f"{self.made}.mfb"
        self.backup = file, popen("backup", file, "--data", self.data, config=self.config, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def _is_at(self, phase):
        if phase == "compaction":
            return _count(self.data, COMPACTIONS_UNDER_WAY) > 0
        if phase == "snapshot":
            return _count(self.data, LOOSE_CHUNKS) > 0
        if phase == "checkpoint":
            return _count(self.data, CHECKPOINT) > self.checkpoint
        if phase == "audit":
            return self.audit.exists() and self.audit.stat().st_size > self.audit_size
        return any(self.backups.iterdir()) and self.backup and self.backup[1].poll() is None

    def _wait(self, process, phase):
        """Until the phase is there, or the run is over; then a moment more."""
        until = time.monotonic() + PATIENCE
        self.audit_size = self.audit.stat().st_size if self.audit.exists() else 0
        self.checkpoint = _count(self.data, CHECKPOINT)
        if phase == "any":
            time.sleep(self.rng.random() * 0.6)
        while phase != "any" and process.poll() is None and time.monotonic() < until and not self._is_at(phase):
            if phase == "backup" and _count(self.data, "SELECT count(*) FROM events") > 0 and (not self.backup or self.backup[1].poll() is not None):
                self._end_backup(kill=False)
                self._start_backup()
        time.sleep(self.rng.random() * self.rng.choice([0, 0.001, 0.01]))
        if self.kind == "the backup first":
            self.seen["backup"] += bool(self._end_backup(kill=True))

    def _end_backup(self, kill):
        """Killed, or left to its end; what it left is looked at."""
        if not self.backup:
            return None
        file, process = self.backup
        under_way = process.poll() is None
        if kill:
            process.kill()
        process.stdout.read()
        code = process.wait()
        process.stdout.close()
        self.backup = None
        self._check_backup(file, code)
        return under_way

    def kill(self, phase):
        seen, kinds = self.seen, ["the writer", "the backup first", "both"]
        self.kind = self.rng.choice(kinds)
        answers, ended = feed_and_kill(self.data, self.text, self.mode, self.config, lambda process: self._wait(process, phase))
        check_answers(self.lines, answers, self.known)
        seen["kills"] += not ended
        seen["compaction"] += not ended and _count(self.data, COMPACTIONS_UNDER_WAY) > 0
        seen["snapshot"] += not ended and _count(self.data, LOOSE_CHUNKS) > 0
        seen["audit"] += not ended and len(self._audited()) < _count(self.data, "SELECT max(lsn) FROM events")
        seen["checkpoint"] += not ended and _count(self.data, CHECKPOINT) < max(self._noted(), default=0)
        seen["backup"] += bool(self._end_backup(kill=self.kind == "both")) and not ended
        return ended

    # ---- the oracle ----
    def _check_backup(self, file, code):
        """What can be restored is whole, under whatever name a kill left it; the file itself is there only when it is."""
        restored = self.work / "restored"
        assert code in (0, -9, 1) and (file.exists() or code != 0), code
        for left in self.backups.iterdir():
            shutil.rmtree(restored, ignore_errors=True)
            result = mf("restore", left, "--data", restored, config=self.config)
            if result.returncode == 0:
                assert is_clean(restored, {})
                self.reference.check(restored, self.config)
            else:
                assert left != file and not restored.exists(), (left, result)
            self.seen["backups whole" if result.returncode == 0 else "backups refused"] += 1
            shutil.rmtree(left) if left.is_dir() else left.unlink()

    def _audited(self):
        """The whole lines of the audit file."""
        text = self.audit.read_bytes() if self.audit.exists() else b""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]

    def _noted(self):
        text = self.notes.read_text() if self.notes.exists() else ""
        return [int(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def check_notes(self, last):
        """A follower with a checkpoint may hear of an event again, never not at all; and its checkpoint is never ahead of it."""
        heard = 0
        for lsn in self._noted():
            assert 0 < lsn <= heard + 1, (lsn, heard)
            heard = max(heard, lsn)
        assert _count(self.data, CHECKPOINT) <= heard <= last, (heard, last)

    def check_audit(self, last):
        entries = self._audited()
        assert [entry["lsn"] for entry in entries] == list(range(1, len(entries) + 1)), [entry["lsn"] for entry in entries]
        assert len(entries) <= last, (len(entries), last)
        for entry in entries:
            assert (entry["key"], entry["doc"]) == (self.reference.key_of[entry["lsn"]], self.reference.doc_of[entry["lsn"]]), entry

    def check(self):
        if is_clean(self.data, self.known):
            last = self.reference.check(self.data, self.config)
            assert last >= max(self.known.values(), default=0), (last, max(self.known.values()))
            self.check_audit(last)
            self.check_notes(last)

    def end(self):
        run(self.data, self.lines, "--acks", "none", "--mode", self.mode, config=self.config, code=None)
        everything_known_is_there(self.data, self.lines, self.reference.lsn_of, self.config)
        self.check()
        assert len(self._audited()) == max(self._noted()) == len(self.reference.lsn_of)

    def go(self):
        self.reference = Reference(self.work, self.lines)
        for _ in range(KILLS):
            ended = self.kill(self.rng.choice(PHASES))
            self.check()
            if ended:
                break
        self.end()


def p2_background_work_is_killed_at_any_moment_and_nothing_is_lost_or_told_twice(work):
    seen = collections.Counter()
    for number in [int(ONLY)] if ONLY else range(ROUNDS):
        folder = work / str(number)
        folder.mkdir()
        try:
            Round(folder, number, seen).go()
        except BaseException:
            print(f"# failed: MF_SEED={SEED} MF_ROUND={number} repeats it")
            raise
        shutil.rmtree(folder)
    print("# kills and what they met: " + ", ".join(f"{what} {count}" for what, count in seen.items()))


if __name__ == "__main__":
    print(f"# MF_SEED={SEED} MF_ROUNDS={ROUNDS}")
    main(tests_of(dict(globals())))
