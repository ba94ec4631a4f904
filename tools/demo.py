#!/usr/bin/env python3
"""What this is for, in half a minute: store a real history, get killed in the middle, lose nothing.

usage: demo.py BUILD
The history is this project's own git log; where that is short (a shallow clone), a generated one.
"""
import json
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import git_history
import harness

KILLS = 5
ROOT = Path(__file__).resolve().parent.parent


def own_history():
    try:
        lines = list(git_history.transactions(str(ROOT), "repo"))
    except (OSError, subprocess.CalledProcessError):
        lines = []
    return lines if len(lines) >= 20 else None


def generated_history(count=400, seed=1):
    """Somebody writes a document: paragraphs come, move, change and go."""
    rng, ids, lines = random.Random(seed), [], []
    for n in range(count):
        if len(ids) < 3 or rng.random() < 0.5:
            ids.append(f"p{n}")
            step = git_history.step("insert_node", parent="root", index=rng.randrange(len(ids)),
                                    node={"id": f"p{n}", "type": "paragraph", "attrs": {"text": f"Paragraph {n}"}})
        else:
            kind, node = rng.choice(("update_attrs", "move_node", "delete_node", "replace_text")), rng.choice(ids)
            if kind == "update_attrs":
                step = git_history.step(kind, id=node, set={"style": rng.choice(("plain", "quote", "code"))})
            elif kind == "move_node":
                step = git_history.step(kind, id=node, parent="root", index=0)
            elif kind == "replace_text":
                step = git_history.step(kind, id=node, pos=0, delete=1, insert="¶ p")
            else:
                ids.remove(node)
                step = git_history.step(kind, id=node)
        lines.append({"doc": "repo", "key": f"edit-{n}", "actor": "ann", "steps": [step]})
    return lines


class Mf:
    def __init__(self, build, data):
        self.command = [str(build / "mf"), "--config", str(build / "plugins.json")]
        self.data = ["--data", str(data)]

    def call(self, *args, **options):
        return subprocess.run([*self.command, *args, *self.data], text=True, capture_output=True, **options)

    def run(self, lines):
        """Feed all lines; the acknowledgements."""
        out = self.call("run", "--mode", "sync", input="".join(lines))
        return [json.loads(a) for a in out.stdout.splitlines()]

    def run_until(self, lines, acks):
        """Feed lines, read so many acknowledgements, then kill -9."""
        process = subprocess.Popen([*self.command, "run", "--mode", "sync", *self.data],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process.stdin.write("".join(lines))
        process.stdin.flush()
        seen = [json.loads(process.stdout.readline()) for _ in range(acks)]
        process.kill()
        seen += [json.loads(line) for line in process.stdout if line.endswith("\n")]
        process.wait()
        return seen

    def digest(self):
        return self.call("state", "--doc", "repo", "--digest").stdout.strip()


def show(mark, text):
    print(f"  {mark}  {text}", flush=True)


def demonstrate(build, work):
    own = own_history()
    history = own or generated_history()
    print(f"\nA history of {len(history)} transactions " + ("(this project's own git log)" if own else "(generated)")
          + f", committed one fsync at a time, killed {KILLS} times.\n")
    lines = [json.dumps(h, ensure_ascii=False) + "\n" for h in history]

    calm = Mf(build, work / "calm")
    calm.run(lines)
    wanted = calm.digest()

    mf, acknowledged = Mf(build, work / "killed"), set()
    for kill in range(1, KILLS + 1):
        part = len(lines) * kill // (KILLS + 1)
        acks = mf.run_until(lines[:part + 3], part)
        lost = sum(1 for a in acks if a["status"] != "duplicate" and a["line"] in acknowledged)
        acknowledged |= {a["line"] for a in acks if a["status"] in ("ok", "duplicate")}
        show("⚡", f"kill -9 number {kill}: {len(acknowledged):4} acknowledged so far, {lost} of the earlier ones lost")

    report = json.loads(mf.call("recover", "--doc", "repo").stdout)
    show("↻", f"recovered to LSN {report['lsn']} in {report['ms']} ms, {report['events_replayed']} events replayed")
    final = mf.run(lines)
    again = {a["line"] for a in final if a["status"] == "duplicate"}
    show("=", f"the whole history fed again: {len(again)} known already, {len(final) - len(again)} new, "
              f"{len(acknowledged - again)} acknowledged ones missing")
    verify = mf.call("verify")
    same = mf.digest() == wanted
    show("#", f"digest {wanted}: {'the same as without any kill' if same else 'DIFFERENT'}")
    undone = mf.run(['{"doc":"repo","op":"undo"}\n', '{"doc":"repo","op":"redo"}\n'])
    kept = [a["status"] for a in undone] == ["ok", "ok"] and mf.digest() == wanted
    show("⤺", f"undo and redo of the last transaction, three processes later: {'as it was' if kept else 'WRONG'}")
    show("✓" if verify.returncode == 0 else "✗", "mf verify: " + ("every event and checksum is right" if verify.returncode == 0 else verify.stdout))
    return same and kept and verify.returncode == 0 and acknowledged <= again


def main():
    build = Path(harness.arguments(__doc__, 1)[0]).resolve()
    work = Path(tempfile.mkdtemp(prefix="moduforge-demo-"))
    try:
        good = demonstrate(build, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("\nNothing acknowledged was lost.\n" if good else "\nSomething is wrong.\n")
    return 0 if good else 1


if __name__ == "__main__":
    harness.run(main)
