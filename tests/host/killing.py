"""What the kill tests share: a history of several documents, feeding it and killing, the oracle (docs/testing.md)."""
import threading

from cli import *

DOCS = ["a", "b", "c"]


def history(count, rng, snapshots=0.02):
    """Lines with keys; undo and redo only where the stack has something; snapshot and compact now and then."""
    lines, depth, nodes = [], {d: [0, 0] for d in DOCS}, {d: 0 for d in DOCS}
    for n in range(count):
        doc = rng.choice(DOCS)
        kind = rng.random()
        if kind < 0.1 and depth[doc][0] > 0:
            depth[doc] = [depth[doc][0] - 1, depth[doc][1] + 1]
            lines.append({"doc": doc, "op": "undo", "key": f"k{n}"})
        elif kind < 0.15 and depth[doc][1] > 0:
            depth[doc] = [depth[doc][0] + 1, depth[doc][1] - 1]
            lines.append({"doc": doc, "op": "redo", "key": f"k{n}"})
        elif kind < 0.15 + snapshots:
            lines.append({"doc": doc, "op": rng.choice(["snapshot", "compact"])})
        else:
            depth[doc] = [depth[doc][0] + 1, 0]
            nodes[doc] += 1
            steps = [insert(f"n{n}", attrs={"x": "y" * rng.randrange(3000), "text": "t"})]
            if rng.random() < 0.3:
                steps += [update(f"n{n}", z=n), step("replace_text", id=f"n{n}", pos=0, delete=0, insert="\u00e9" * 5)]
            lines.append(tr(*steps, doc=doc, key=f"k{n}"))
    return lines


class _Drain(threading.Thread):
    """Reads a pipe to its end, so that a full one holds nobody up."""

    def __init__(self, pipe):
        super().__init__()
        self.pipe, self.got = pipe, b""
        self.start()

    def run(self):
        while more := self.pipe.read(1 << 16):
            self.got += more

    def all(self):
        self.join()
        return self.got


def feed_and_kill(data, text, mode, config, wait):
    """Feeds the file text, kills when wait(process) returns; the answers that came out, and whether the run had ended by itself."""
    with popen("run", "--data", data, "--mode", mode, config=config, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        feeder = subprocess.Popen(["cat", str(text)], stdout=process.stdin)
        process.stdin.close()
        drain = _Drain(process.stdout)
        wait(process)
        process.kill()
        out = drain.all()
        code = process.wait()
        feeder.wait()
    return [json.loads(line) for line in out.splitlines(keepends=True) if line.endswith(b"\n")], code != -9


def check_answers(lines, answers, known):
    """Each is a success, with the LSN that its key always had; known: LSN of each key that was acknowledged."""
    for answer in answers:
        key = lines[answer["line"] - 1].get("key")
        assert answer["status"] in ("ok", "duplicate") or answer.get("code") == "MF_ERR_NOT_FOUND", answer
        if key:
            assert answer["status"] == "ok" or answer["same"], answer
            assert known.setdefault(key, answer["lsn"]) == answer["lsn"], (answer, known[key])


def is_clean(data, known):
    """Whether there is a store; it must be sound, and there when something was acknowledged."""
    if not (data / "store.db").exists():
        assert not known
        return False
    result = mf("verify", "--data", data)
    if b"there is no store" in result.stderr and not known:
        return False  # killed while the store was being made
    assert result.returncode == 0, result
    return True


def everything_known_is_there(data, lines, known, config):
    """Every acknowledged key is a duplicate of its LSN."""
    wanted = [n for n, line in enumerate(lines) if line.get("key") in known]
    answers = run(data, [lines[n] for n in wanted], config=config)
    for n, answer in zip(wanted, answers, strict=True):
        assert answer == {"line": answer["line"], "status": "duplicate", "doc": lines[n]["doc"], "lsn": known[lines[n]["key"]],
                               "key": lines[n]["key"], "same": True}, answer
