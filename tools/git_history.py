#!/usr/bin/env python3
"""Turn a git history into transactions for `mf run`: one line a commit, a tree of dir and file nodes.

usage: git_history.py REPOSITORY [DOC] > history.jsonl
"""
import json
import subprocess
import sys

SEPARATOR = "\x01"


def git(repository, *args):
    return subprocess.run(["git", "-C", repository, *args], check=True, capture_output=True).stdout.decode("utf-8", "replace")


def commits(repository):
    """(hash, author, time, [(status, mode, blob, path)]) of each first-parent commit, oldest first."""
    out = git(repository, "log", "--first-parent", "--reverse", "-m", "--raw", "--no-renames", "--no-abbrev",
              "--root", "-z", f"--format={SEPARATOR}%H%x00%an%x00%at%x00")
    for block in out.split(SEPARATOR)[1:]:
        fields = [f for f in block.split("\0")]
        commit, author, time, rest = fields[0], fields[1], int(fields[2]), [f.strip("\n") for f in fields[3:]]
        changes, i = [], 0
        while i < len(rest):
            if rest[i].startswith(":"):
                _, mode, _, blob, status = rest[i][1:].split(" ")
                changes.append((status, mode, blob, rest[i + 1]))
                i += 1
            i += 1
        yield commit, author, time, changes


class Tree:
    """Knows which directories exist, so that the first file in one inserts it and the last one removes it."""

    def __init__(self):
        self.files = {"": 0}  # directory -> number of entries

    def enter(self, directory, steps):
        if directory in self.files:
            return "root" if directory == "" else f"d:{directory}"
        parent, _, name = directory.rpartition("/")
        steps.append(step("insert_node", parent=self.enter(parent, steps),
                          node={"id": f"d:{directory}", "type": "dir", "attrs": {"name": name}}))
        self.files[parent] += 1
        self.files[directory] = 0
        return f"d:{directory}"

    def leave(self, directory, steps):
        self.files[directory] -= 1
        if directory and self.files[directory] == 0:
            steps.append(step("delete_node", id=f"d:{directory}"))
            del self.files[directory]
            self.leave(directory.rpartition("/")[0], steps)


def step(type_id, **data):
    return {"type_id": type_id, "data": data}


def steps_of(tree, changes):
    steps = []
    for status, mode, blob, path in changes:
        directory, node = path.rpartition("/")[0], f"f:{path}"
        if status == "A":
            parent = tree.enter(directory, steps)
            tree.files[directory] += 1
            steps.append(step("insert_node", parent=parent,
                              node={"id": node, "type": "file", "attrs": {"path": path, "mode": mode, "blob": blob}}))
        elif status == "D":
            steps.append(step("delete_node", id=node))
            tree.leave(directory, steps)
        else:
            steps.append(step("update_attrs", id=node, set={"mode": mode, "blob": blob}))
    return steps


def transactions(repository, doc):
    tree = Tree()
    for commit, author, time, changes in commits(repository):
        steps = steps_of(tree, changes)
        if steps:
            yield {"doc": doc, "key": commit, "actor": author or "nobody", "meta": {"time": time}, "steps": steps}


def main():
    repository = sys.argv[1]
    doc = sys.argv[2] if len(sys.argv) > 2 else "repo"
    for line in transactions(repository, doc):
        print(json.dumps(line, ensure_ascii=False, separators=(",", ":")))


if __name__ == "__main__":
    main()
