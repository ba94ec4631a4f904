#!/usr/bin/env python3
"""examples/price, copied elsewhere and built against an installation in a prefix of its own: killed in the middle of its work,
started again, and all its prices are there.

usage: test_price.py SOURCE BUILD MESON        MF_ROUNDS kills (default 5), MF_SEED
"""
import json
import random
import resource
import shutil
import signal

from stranger import *

SEED = int(os.environ.get("MF_SEED", random.randrange(1 << 32)))
ROUNDS = int(os.environ.get("MF_ROUNDS", 5))


def _prefix(work):
    return work / "prefix"


def _price(folder, *words, code=0, program="./price", **options):
    run = subprocess.run([program, *words], cwd=folder, text=True, capture_output=True, **options)
    assert run.returncode == code, (words, run.returncode, run.stdout, run.stderr)
    return run


def _store(work, name):
    """A folder with the program, its configuration and no data."""
    folder = work / name
    folder.mkdir()
    for file in ("price", "plugins.json"):
        shutil.copy(work / "price" / file, folder)
    return folder


def _mf(work, folder, *words):
    run = call(_prefix(work) / "bin" / "mf", *words, "--data", folder / "price_data", "--config", folder / "plugins.json")
    return [json.loads(line) for line in run.stdout.splitlines()]


def it_builds_by_pkg_config_alone(work):
    print(f"# MF_SEED={SEED}")
    call(MESON, "setup", work / "build", SOURCE, "-Dtests=disabled", "-Dbuildtype=plain", f"--prefix={_prefix(work)}", "--libdir=lib")
    call(MESON, "compile", "-C", work / "build")
    call(MESON, "install", "-C", work / "build")
    shutil.copytree(SOURCE / "examples" / "price", work / "price")
    call("make", "-C", work / "price", "CFLAGS=-O2 -Wall -Wextra -Werror", env={**os.environ, "PKG_CONFIG_PATH": str(_prefix(work) / "lib" / "pkgconfig")})


def it_stores_prices_and_finds_them_in_the_next_run(work):
    folder = _store(work, "first")
    assert _price(folder, "insert", "steel", "812.50", "t").stderr == ""
    assert _price(folder, "update", "steel", "799.00").stderr == "recovered price_project: 1 price, LSN 1\n"
    _price(folder, "insert", 'a "quoted", id', "0.10", "l")
    _price(folder, "delete", "steel")
    assert _price(folder, "undo").stdout == "undo: stored at LSN 5\n"
    assert _price(folder, "list").stdout == 'steel 799.00 t\na "quoted", id 0.10 l\n'


def a_key_makes_repeating_safe(work):
    folder = _store(work, "keys")
    assert _price(folder, "insert", "a", "1.00", "t", "k1").stdout == "insert: stored at LSN 1\n"
    assert _price(folder, "insert", "a", "1.00", "t", "k1").stdout == "insert: stored before, at LSN 1\n"
    assert "take a new key" in _price(folder, "insert", "b", "1.00", "t", "k1", code=1).stderr
    assert _price(folder, "list").stdout == "a 1.00 t\n"


def what_is_no_price_is_refused(work):
    folder = _store(work, "refused")
    for price in ("", "1e5", "1.", ".5", "-1", "1,5", "0x10", "nan", "1.5 "):
        assert _price(folder, "insert", "a", price, "t", code=1).stderr.startswith("MF_ERR_INVALID: a wrong PRICE or ID; usage: price insert ID ")
    assert _price(folder, "sell", "a", code=1).stderr.startswith("MF_ERR_INVALID: no such command with so many words; usage: price ")
    assert not (folder / "price_data").exists()  # what is wrong is told before a store is made
    for words in ((), ("sell", "a"), ("insert", "a"), ("update", "root", "5"), ("delete", "nobody"), ("list", "k", "k")):
        assert "MF_ERR_INVALID" in _price(folder, *words, code=1).stderr
    assert _price(folder, "list").stdout == ""


def _series(rng, count):
    """Commands, each with a key of its own, and the list that they lead to."""
    prices, before, lines = [], [], []
    for i in range(count):
        verb = rng.choice(["insert", "insert", "update", "delete", "undo"])
        at = rng.randrange(len(prices)) if prices else 0
        if verb == "undo" and before:
            prices = before.pop()
            lines.append(f"undo key{i}")
            continue
        before.append(list(prices))
        price = f"{rng.randrange(1000)}.{rng.randrange(100):02}"
        if verb == "update" and prices:
            prices[at] = (prices[at][0], price, prices[at][2])
            lines.append(f"update {prices[at][0]} {price} key{i}")
        elif verb == "delete" and prices:
            lines.append(f"delete {prices.pop(at)[0]} key{i}")
        else:
            prices.append((f"p{i}", price, "kg"))
            lines.append(f"insert p{i} {price} kg key{i}")
    return lines, "".join(" ".join(p) + "\n" for p in prices)


def killed_in_a_series_it_goes_on_and_nothing_is_lost_or_doubled(work):
    folder, rng = _store(work, "killed"), random.Random(SEED)
    lines, expected = _series(rng, 400)
    (folder / "series").write_text("\n".join(lines) + "\n")
    acknowledged = 0
    for _ in range(ROUNDS):
        with (folder / "series").open() as series, subprocess.Popen(["./price", "-"], cwd=folder, stdin=series, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
            answers = [program.stdout.readline() for _ in range(rng.randrange(1, len(lines)))]
            program.kill()
            assert all(b"stored" in a for a in answers), (answers, program.stderr.read())
        again = sum(b"stored before" in a for a in answers)
        assert again >= min(acknowledged, len(answers)), f"{acknowledged} were acknowledged, {again} found again"
        acknowledged = max(acknowledged, len(answers))
    with (folder / "series").open() as series:
        last = _price(folder, "-", stdin=series)
    assert last.stderr.startswith("recovered price_project: "), last.stderr
    assert len(last.stdout.splitlines()) == len(lines)
    assert _price(folder, "list").stdout == expected
    events = _mf(work, folder, "log", "--doc", "price_project")
    assert [e["key"] for e in events] == [f"key{i}" for i in range(len(lines))]
    assert _mf(work, folder, "verify")[-1]["status"] == "ok"


def _answers_to_failing_syncs(work, folder):
    """What an update printed, for each sync of the log in turn that fails, always on a copy of the same store."""
    answers = []
    while True:
        trial = work / "trial"
        shutil.rmtree(trial, ignore_errors=True)
        shutil.copytree(folder, trial)
        inject = ("-f", "-qq", "-o", "trace", "-P", "price_data/store.db-wal", "-e", "trace=fdatasync",
                  "-e", f"inject=fdatasync:error=EIO:when={len(answers) + 1}")
        run = subprocess.run(["strace", *inject, "./price", "update", "a", "2.00", "key2"], cwd=trial, text=True, capture_output=True)
        if "INJECTED" not in (trial / "trace").read_text():
            return answers
        answers.append(run.stdout)
        assert "stored" in run.stdout or run.returncode == 1, run.stderr
        assert "stored" in _price(trial, "update", "a", "2.00", "key2").stdout
        assert _price(trial, "list").stdout == "a 2.00 t\n"
        assert [e["key"] for e in _mf(work, trial, "log", "--doc", "price_project")] == ["key1", "key2"]


def a_sync_that_fails_is_tried_again_and_stored_once(work):
    if not shutil.which("strace") or subprocess.run(["strace", "-qq", "true"], capture_output=True).returncode != 0:
        raise Skip("needs strace, and that it may trace")
    folder = _store(work, "sync")
    config = json.loads((folder / "plugins.json").read_text())
    config["plugins"][1]["config"]["commit_mode"] = "sync_durable"
    (folder / "plugins.json").write_text(json.dumps(config))
    _price(folder, "insert", "a", "1.00", "t", "key1")
    answers = []
    for _ in range(20): # strace counts for each thread, and either of two may sync the commit: mostly one round is enough
        answers += _answers_to_failing_syncs(work, folder)
        if "update: stored before, at LSN 2\n" in answers: # the commit's own sync
            return
    assert False, answers


def _no_more_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def a_full_disk_is_an_alert_and_reading_goes_on(work):
    folder = _store(work, "full")
    _price(folder, "insert", "a", "1.00", "t")
    lines = "".join(f"insert p{i} 1.00 {'u' * 900}{i} key{i}\n" for i in range(1000))
    full = _price(folder, "-", code=1, input=lines, preexec_fn=_no_more_room, restore_signals=False)
    assert "ALERT: the disk is full" in full.stderr, full.stderr
    stored = len(full.stdout.splitlines())
    assert 0 < stored < 1000
    listed = _price(folder, "list", preexec_fn=_no_more_room, restore_signals=False).stdout
    assert len(listed.splitlines()) == 1 + stored
    answers = _price(folder, "-", input=lines).stdout.splitlines()
    assert len(answers) == 1000 and sum("stored before" in a for a in answers) == stored


def damage_asks_for_a_backup(work):
    folder = _store(work, "damaged")
    for i in range(3):
        _price(folder, "insert", f"p{i}", "1.00", "t", f"a-key-to-be-found-{i}")
    path = folder / "price_data" / "store.db"
    path.write_bytes(path.read_bytes().replace(b"a-key-to-be-found-1", b"a-key-to-be-found-X"))
    assert "restore a backup" in _price(folder, "list", code=1).stderr


def it_builds_and_runs_by_cmake_too(work):
    if not shutil.which("cmake"):
        raise Skip("needs cmake")
    folder = _store(work, "cmake")
    call("cmake", "-S", work / "price", "-B", work / "out", f"-DCMAKE_PREFIX_PATH={_prefix(work)}", "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror")
    call("cmake", "--build", work / "out")
    _price(folder, "insert", "a", "1.00", "t", program=work / "out" / "price")
    assert _price(folder, "list", program=work / "out" / "price").stdout == "a 1.00 t\n"


def it_builds_and_runs_when_the_prefix_was_moved(work):
    moved = work / "elsewhere"
    _prefix(work).rename(moved)
    (work / "price" / "price").unlink()
    call("make", "-C", work / "price", "PKG_CONFIG=pkg-config --define-prefix", env={**os.environ, "PKG_CONFIG_PATH": str(moved / "lib" / "pkgconfig")})
    folder = _store(work, "moved")
    _price(folder, "insert", "a", "1.00", "t")
    assert _price(folder, "list").stdout == "a 1.00 t\n"


if __name__ == "__main__":
    main(globals())
