#!/usr/bin/env python3
"""Every command in every format, from outside; the list of commands is the program's own, so that none is forgotten.

usage: test_formats.py MF CONFIG        to add a command: a line in CASES
"""
import calendar
import fcntl
import itertools
import pty
import re
import select
import signal
import sqlite3
import struct
import termios
import time
import unicodedata

from cli import *

# A call of each command that prints something and ends with 0. Where it says None the command has its own tests below.
CASES = {
    "run": ["--input", "{input}"],
    "compact": [],
    "docs": [],
    "state": ["--doc", "d"],
    "log": ["--doc", "d"],
    "snapshots": [],
    "metrics": [],
    "health": [],
    "verify": [],
    "recover": [],
    "backup": ["{new}"],
    "restore": ["{backup}"],
    "plugin list": [],
    "help": None,
}
NEEDS_NO_STORE = {"run", "plugin list", "help"}
CHANGING = {"ms", "file", "epoch", "free_bytes"}  # members whose value is another each time
NUMBERS = itertools.count()
REPORTS = {"metrics", "health"}  # text everywhere, JSON when asked

HOSTILE = ["\x1b[31mred", "\x1b]0;title\x07", "two\nlines", "\u202eabc\u2066", "tab\there\r", "\x7f", "\u009b31m", "a\\x41\\", "zero\u200bwidth\ufeff",
           "漢字と仮名", "e\u0301", "\U000e0041tag", "x" * 1024, '"quoted", {json}', "-", " "]
COLOURS = re.compile(rb"\x1b\[(?:0|31|32|33)?m")


def _commands():
    result = mf("help", "--json", config=None)
    assert result.returncode == 0 and result.stderr == b"", result
    return {command["name"]: command for command in objects(result)}


def _has_tables():
    return b"no tables" not in mf("docs", "--table", config=None).stderr


def _needs_tables():
    if not _has_tables():
        raise Skip("needs tables, which a build without libsmartcols has not")


def _store(work, docs=("d", "e")):
    data = work / "s"
    lines = [line for doc in docs for n in range(3) for line in (tr(insert(f"n{n}"), update(n=n), update(n=-n), doc=doc, actor="ann"), {"doc": doc, "op": "snapshot"})]
    run(data, lines)
    return data


def _call(name, data, without=()):
    """The whole call. What a command makes is new each time; what it reads is made here."""
    new, backup = str(data.parent / f"new{next(NUMBERS)}"), data.parent / f"{data.name}.backup"
    args = [arg.replace("{input}", "/dev/null").replace("{new}", new).replace("{backup}", str(backup)) for arg in CASES[name] if arg not in without]
    if name == "restore" and not backup.exists():
        mf("backup", backup, "--no-proof", "--data", data)
    return [*name.split(), *args, "--data", new if name == "restore" else data]


def _ask(name, data, *more, env=None):
    return mf(*_call(name, data), *more, env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})})


def _terminal(*args, columns=80, env=None, config=CONFIG):
    """What mf shows on a terminal, and its exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = {**{name: value for name, value in os.environ.items() if name != "NO_COLOR"}, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})}
    command = [MF, *map(str, args)] + (["--config", config] if config else [])
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env=settings) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not piece:
                break
            shown += piece
    os.close(master)
    return shown.replace(b"\r\n", b"\n"), process.returncode


def _width(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def _rows(table):
    """The lines of tables without their headers; every table has one."""
    lines = [line for line in table.decode().splitlines() if line]
    assert lines and re.fullmatch(r"[A-Z ]+", lines[0]), table
    return [line for line in lines if not re.fullmatch(r"[A-Z ]+", line)]


def _is_harmless(text, colours=False):
    if colours:
        text = COLOURS.sub(b"", text)
    return all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp") for c in text.decode())


# ---- every command ----


def every_command_is_in_the_list_of_this_test(work):
    assert set(_commands()) == set(CASES)


def every_command_prints_json_lines_where_there_is_no_terminal(work):
    data = _store(work)
    for name, args in CASES.items():
        if args is None:
            continue
        plain, forced = (_ask(name, data, *more) for more in [("--json",) if name in REPORTS else (), ("--json",)])
        assert plain.returncode == forced.returncode == 0 and plain.stderr == forced.stderr == b"", (name, plain, forced)
        printed, again = ([{k: v for k, v in o.items() if k not in CHANGING} for o in objects(result)] for result in (plain, forced))
        assert printed == again and all(isinstance(o, dict) for o in printed), name
        assert printed or name == "run", name


def every_listing_is_a_table_when_asked_and_a_row_is_an_object(work):
    _needs_tables()
    data = _store(work)
    for name, command in _commands().items():
        if "--table" not in command["options"]:
            result = mf(*name.split(), "--table", *(CASES[name] or []))
            assert result.returncode == 2 and b"does not take '--table'" in result.stderr, result
            continue
        table = _ask(name, data, "--table")
        assert table.returncode == 0 and table.stderr == b"", table
        assert len(_rows(table.stdout)) == len(objects(_ask(name, data, "--json"))), (name, table.stdout)
        assert b"\x1b" not in table.stdout and _is_harmless(table.stdout), table


def every_listing_is_a_table_on_a_terminal_and_fits_it(work):
    _needs_tables()
    data = _store(work, ["d", "a-document-with-a-name-that-is-longer-than-it-need-be-by-far"])
    for name, command in _commands().items():
        if CASES[name] is None:
            continue
        for columns in (60, 80, 200):
            shown, code = _terminal(*_call(name, data), columns=columns)
            assert code == 0, (name, shown)
            if "--table" in command["options"]:
                assert _rows(COLOURS.sub(b"", shown)), (name, shown)
                too_wide = [line for line in COLOURS.sub(b"", shown).decode().splitlines() if _width(line) > columns]
                assert not too_wide, (name, columns, too_wide)
        shown, code = _terminal(*_call(name, data), "--json")
        assert code == 0 and all(isinstance(json.loads(line), dict) for line in shown.splitlines()), (name, shown)


def every_command_ends_with_the_exit_code_that_is_told(work):
    for name, command in _commands().items():
        words = name.split()
        for wrong in [("--nosuch",), ("one", "word", "too", "many"), ("--json=yes",), ("--data",), ("--data=",)]:
            result = mf(*words, *wrong, config=None)
            assert result.returncode == 2 and result.stdout == b"" and result.stderr.count(b"\n") == 1, (name, wrong, result)
        for needed in command["needs"]:
            result = mf(*words, *["x" for operand in command["operands"]], config=None)
            assert result.returncode == 2 and needed.encode() in result.stderr, (name, result)
        if name not in NEEDS_NO_STORE:
            (work / "none").mkdir(exist_ok=True)
            result = _ask(name, work / "none", "--json")
            assert result.returncode == 1 and result.stdout == b"" and b"MF_ERR_NOT_FOUND" in result.stderr, (name, result)
        assert mf(*words, "--help", config=None).returncode == 0


def both_forms_at_once_are_refused(work):
    result = mf("docs", "--json", "--table", config=None)
    assert result.returncode == 2 and b"--json" in result.stderr and b"--table" in result.stderr, result


def every_command_is_explained_in_80_columns(work):
    commands = _commands()
    overview = mf("help", config=None).stdout.decode()
    for name, command in commands.items():
        assert f"\n  {name} " in overview and command["help"].split(",")[0] in overview, name
        text = mf("help", *name.split(), config=None).stdout.decode()
        assert text.startswith(f"usage: mf {name}") and "examples:" in text, text
        for word in command["options"] + [operand["name"] for operand in command["operands"]]:
            assert word in text, (name, word)
        for line in (text + overview).splitlines():
            assert len(line) <= 80, line


def every_command_and_option_is_in_the_document(work):
    text = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text()
    for name, command in _commands().items():
        assert f"`mf {name}" in text or f"## mf {name}" in text, name
        for word in command["options"] + [operand["name"] for operand in command["operands"]]:
            assert word in text, (name, word)
        if "--table" in command["options"]:
            assert re.search(rf"`--table` .*`{name}`", text), name


def times_are_text_and_microseconds_that_agree(work):
    data = _store(work)
    seen = set()
    for name, args in CASES.items():
        for line in [] if args is None else objects(_ask(name, data, "--json")):
            for member, text in line.items():
                if member == "time" or member.endswith("_time"):
                    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text), (name, text)
                    seconds = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
                    assert seconds * 1000000 + int(text[20:26]) in [value for value in line.values() if isinstance(value, int)], (name, line)
                    seen.add(name)
    assert seen >= {"log", "snapshots"}


def a_run_that_waits_for_a_person_says_so(work):
    master, slave = pty.openpty()
    with subprocess.Popen([MF, "run", "--data", work / "s", "--config", CONFIG], stdin=slave, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        shown = b""
        while b"explains them" not in shown:
            shown += os.read(master, 4096)
        os.write(master, encode([tr(insert("a"))]) + b"\x04")
        assert objects(subprocess.CompletedProcess([], 0, process.stdout.read()))[0]["lsn"] == 1
        assert process.wait(timeout=60) == 0
    os.close(master)
    assert shown.startswith(b"mf: ") and b"mf help run" in shown, shown


def what_stands_after_two_dashes_is_no_option(work):
    data = _store(work)
    common = (f"--config={CONFIG}", "--data", data)
    for name in ["--json", "-", "-h"]:
        result = mf("backup", *common, "--", name, config=None, cwd=work)
        assert result.returncode == 0 and (work / name).is_file(), result
    assert mf("backup", *common, "-", config=None, cwd=work).returncode == 1  # which is a word, and there is such a file
    for args in [("--", "docs", "--json"), ("docs", "--", "--json")]:
        result = mf(*common, *args, config=None, cwd=work)
        assert result.returncode == 2 and b"one word too many: '--json'" in result.stderr, result


# ---- hostile text ----


def hostile_ids_stay_harmless_on_a_terminal(work):
    _needs_tables()
    data = _store(work, HOSTILE)
    for locale in ("C.UTF-8", "C"):
        for name, command in _commands().items():
            if name in ("run", "help", "state"):
                continue
            for form in ("--json", "--table") if "--table" in command["options"] else ("--json",):
                shown, code = _terminal(*_call(name, data, ("--doc", "d")), form, env={"LC_ALL": locale})
                assert code == 0 and _is_harmless(shown, colours=True), (name, form, shown)
                assert locale != "C" or form == "--json" or shown.isascii(), shown
                shown, code = _terminal(*_call(name, data, ("--doc", "d")), form, env={"LC_ALL": locale, "NO_COLOR": "1"})
                assert code == 0 and b"\x1b" not in shown and _is_harmless(shown), (name, form, shown)
    for doc in HOSTILE:
        for args in [("state", "--doc", doc), ("log", "--doc", doc), ("snapshots", "--doc", doc), ("state", "--doc", doc + "?"), ("log", "--doc", doc + "?"), (doc,)]:
            shown, code = _terminal(*args, "--data", data)
            assert code in (0, 1, 2) and _is_harmless(shown, colours=True), (args, shown)


def hostile_ids_are_rows_of_one_line_and_come_back_from_the_json(work):
    _needs_tables()
    data = _store(work, HOSTILE)
    assert {line["doc"] for line in ask("docs", data)} == set(HOSTILE)
    table = mf("docs", "--table", "--data", data, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout
    assert len(_rows(table)) == len(HOSTILE) and _is_harmless(table), table
    assert "\\u001b[31mred" in table.decode() and "\\u202eabc" in table.decode() and "two\\nlines" in table.decode() and "漢字" in table.decode()
    shown, _ = _terminal("docs", "--json", "--data", data)
    assert {json.loads(line)["doc"] for line in shown.splitlines()} == set(HOSTILE)


def no_control_and_no_format_character_reaches_a_terminal(work):
    hidden = [chr(code) for code in range(1, 0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Zl", "Zp")]
    docs = ["".join(hidden[at:at + 100]) for at in range(0, len(hidden), 100)]
    run(work / "s", [tr(insert("a"), doc=doc) for doc in docs])
    assert len(hidden) > 200 and {line["doc"] for line in ask("docs", work / "s")} == set(docs)
    for form in ("--json", "--table") if _has_tables() else ("--json",):
        shown, code = _terminal("docs", form, "--data", work / "s")
        assert code == 0 and _is_harmless(shown), shown
        assert form != "--json" or {json.loads(line)["doc"] for line in shown.splitlines()} == set(docs)


def what_is_not_utf_8_is_refused(work):
    for text in [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe6\xbc"]:
        answers = run(work / "s", b'{"doc":"' + text + b'","steps":[]}\n', code=1)
        assert answers[0]["code"] == "MF_ERR_INVALID", answers
        result = mf(b"\xffnosuch".decode(errors="surrogateescape"), config=None)
        assert result.returncode == 2 and "\ufffdnosuch" in result.stderr.decode(), result


def colour_says_what_is_bad_and_only_where_it_may(work):
    _needs_tables()
    data = _store(work)
    assert b"\x1b[32mok" in _terminal("verify", "--data", data)[0]
    with sqlite3.connect(data / "store.db") as db:
        assert db.execute("update events set actor = 'eve' where lsn = 2").rowcount == 1
    db.close()
    shown, code = _terminal("verify", "--data", data)
    assert code == 1 and b"\x1b[31mevent" in shown and b"\x1b[31mdamaged" in shown, shown
    for env in [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}]:
        shown, code = _terminal("verify", "--data", data, env=env)
        assert code == 1 and b"\x1b" not in shown and b"damaged" in shown, (env, shown)
    assert b"\x1b[31m" in _terminal("verify", "--data", data, env={"NO_COLOR": ""})[0]  # by no-color.org: set and not empty
    result = mf("verify", "--data", data, "--table")
    assert result.returncode == 1 and b"\x1b" not in result.stdout and b"damaged" in result.stdout, result


def sizes_are_for_people_in_a_table_and_bytes_in_the_json(work):
    _needs_tables()
    data = work / "s"
    run(data, [tr(*[insert(f"{n}{'x' * 100}", type="p", attrs={"n": str(n * n * 7919)}) for n in range(400)]), {"doc": "d", "op": "snapshot"}])
    size = ask("snapshots", data)[0]["bytes"]
    table = mf("snapshots", "--data", data, "--table").stdout.decode()
    assert size > 2048 and f" {size / 1024:.1f} KiB " in table, (size, table)


# ---- the log, followed ----


def _line(process, seconds=60):
    assert select.select([process.stdout], [], [], seconds)[0], "nothing came"
    return json.loads(process.stdout.readline())


def _follow(data, *args):
    return popen("log", "--follow", "--interval", "10", "--data", data, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def a_followed_log_goes_on_with_what_another_process_commits(work):
    data = _store(work, ["d"])
    for number in (signal.SIGTERM, signal.SIGINT):
        before = ask("log", data)
        with _follow(data) as follower, popen("run", "--data", data, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
            assert [_line(follower) for _ in before] == before
            for n in range(5):
                doc = f"new{number}{n}"
                writer.stdin.write(encode([tr(insert("a"), doc=doc)]))
                lsn = _line(writer)["lsn"]
                event = _line(follower)
                assert (event["lsn"], event["doc"]) == (lsn, doc), event
            writer.stdin.close()
            follower.send_signal(number)
            out, err = follower.communicate(timeout=60)
            assert (follower.returncode, out, err) == (0, b"", b""), (follower.returncode, out, err)
        assert writer.returncode == 0


def a_followed_log_outlives_its_writers(work):
    data = _store(work, ["d"])
    config = config_with(work, keep_snapshots=1)
    with _follow(data, "--since", "3") as follower:
        for n in range(6):
            doc = f"writer{n}"
            with popen("run", "--data", data, "--mode", ["async", "sync"][n % 2], config=config, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
                writer.stdin.write(encode([tr(insert("a"), doc=doc), tr(insert("b"), doc=doc)]))
                lsns = [_line(writer)["lsn"] for _ in range(2)]
                assert [(event["lsn"], event["doc"]) for event in (_line(follower) for _ in range(2))] == [(lsn, doc) for lsn in lsns]
                writer.stdin.write(encode([{"doc": doc, "op": "snapshot"}, {"doc": doc, "op": "compact"}]))
                assert [_line(writer)["status"] for _ in range(2)] == ["ok"] * 2
                if n % 3 == 0:
                    writer.kill()
                else:
                    writer.stdin.close()
                writer.wait(timeout=60)
        follower.terminate()
        assert follower.communicate(timeout=60) == (b"", b"") and follower.returncode == 0
    assert ask("verify", data)[-1]["status"] == "ok"


def a_followed_log_waits_for_a_document_and_ends_at_its_limit(work):
    data = _store(work, ["d"])
    with _follow(data, "--doc", "later", "--limit", "2") as follower:
        run(data, [tr(insert("a")), tr(insert("a"), doc="later"), tr(insert("b")), tr(insert("b"), doc="later"), tr(insert("c"), doc="later")], code=None)
        assert [_line(follower)["doc"] for _ in range(2)] == ["later"] * 2
        assert follower.wait(timeout=60) == 0 and follower.stdout.read() == b""


def a_followed_log_waits_for_a_store(work):
    data = work / "later"
    with _follow(data, "--limit", "2") as follower:
        assert follower.stderr.readline() == f"mf: there is no store in {data}; waiting for it\n".encode()
        run(data, [tr(insert("a")), tr(insert("b"), doc="e")])
        assert [_line(follower)["doc"] for _ in range(2)] == ["d", "e"]
        assert (follower.wait(timeout=60), follower.stderr.read()) == (0, b"")
    for number in [signal.SIGINT, signal.SIGTERM]:
        with _follow(work / "never") as follower:
            follower.stderr.readline()
            follower.send_signal(number)
            assert (follower.wait(timeout=60), follower.stdout.read(), follower.stderr.read()) == (0, b"", b"")
    with _follow(work / "never") as follower:
        follower.stderr.readline()
        follower.stdout.close()
        assert follower.wait(timeout=60) == 1 and follower.stderr.read() == b"" and not (work / "never").exists()


def a_followed_log_ends_when_its_reader_has_gone(work):
    data = _store(work, ["d"])
    with _follow(data) as follower:
        _line(follower)
        follower.stdout.close()
        assert follower.wait(timeout=60) == 1 and follower.stderr.read() == b""


def the_interval_has_bounds(work):
    for interval in ["9", "60001", "x", "-1", ""]:
        result = mf("log", "--follow", "--interval", interval, config=None)
        assert result.returncode == 2 and result.stdout == b"", result


def a_log_without_a_document_is_that_of_all_in_the_order_of_their_lsns(work):
    data = _store(work)
    events = ask("log", data)
    assert [event["lsn"] for event in events] == list(range(1, 7)) and {event["doc"] for event in events} == {"d", "e"}
    assert [event for event in events if event["doc"] == "e"] == ask("log", data, "--doc", "e")
    _needs_tables()
    assert "DOCUMENT" in mf("log", "--table", "--data", data).stdout.decode()
    assert "DOCUMENT" not in mf("log", "--table", "--doc", "d", "--data", data).stdout.decode()
    assert "insert_node, update_attrs(2)" in mf("log", "--table", "--data", data).stdout.decode()


# ---- man page and completion ----


def _tool(name):
    path = shutil.which(name)
    if not path:
        raise Skip(f"needs {name}")
    return path


def the_man_page_names_every_command_and_option(work):
    page = mf("help", "--man", config=None).stdout.decode()
    for name, command in _commands().items():
        assert f"\n.It Cm {name}" in page, name
        for option in command["options"]:
            assert f"\n.It Fl -{option[2:]}" in page, option


def the_man_page_is_clean_for_mandoc(work):
    (work / "mf.1").write_bytes(mf("help", "--man", config=None).stdout)
    result = subprocess.run([_tool("mandoc"), "-Tlint", "-Wwarning", work / "mf.1"], capture_output=True, check=False)
    assert result.returncode == 0 and result.stdout == b"", result.stdout.decode()
    text = subprocess.run([_tool("mandoc"), "-Tascii", work / "mf.1"], capture_output=True, check=True).stdout
    assert "mf run --data shop --input lines.json" in re.sub(r".\x08", "", text.decode())


def every_completion_names_every_command_and_option(work):
    for shell in ("bash", "zsh", "fish"):
        text = mf("help", "--completion", shell, config=None).stdout.decode()
        for name, command in _commands().items():
            for word in name.split() + command["options"]:
                assert re.search(rf"(-l |\b|--){word.lstrip('-')}\b", text), (shell, word)


def _bash(work, *words):
    script = work / "mf.bash"
    script.write_bytes(mf("help", "--completion", "bash", config=None).stdout)
    ask_it = 'source "$1"; shift; complete -p mf >/dev/null || exit 1; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mf; printf "%s\\n" "${COMPREPLY[@]}"'
    result = subprocess.run([_tool("bash"), "--norc", "-uc", ask_it, "bash", script, "mf", *words], capture_output=True, text=True, check=True, cwd=work)
    assert result.stderr == "", result.stderr
    return [word for word in result.stdout.split("\n") if word]


def bash_completes_commands_options_and_values(work):
    commands = _commands()
    (work / "some file").write_text("")
    (work / "some folder").mkdir()
    assert _bash(work, "") == list(dict.fromkeys(name.split()[0] for name in commands))
    assert _bash(work, "plug") == ["plugin"] and _bash(work, "plugin", "") == ["list"]
    for name, command in commands.items():
        assert set(_bash(work, *name.split(), "-")) == {*command["options"], "--help"}, name
        assert set(_bash(work, "--data", "x", *name.split(), "--json", "-")) == {*command["options"], "--help"}, name
        assert set(_bash(work, "--data", "=", "x", *name.split(), "-")) == {*command["options"], "--help"}, name
    assert _bash(work, "run", "--ac") == ["--acks"] and _bash(work, "run", "--acks", "") == ["none", "all"] == _bash(work, "run", "--acks", "=")
    assert _bash(work, "run", "--acks", "=", "a") == ["all"] and _bash(work, "run", "--acks", "all", "--mo") == ["--mode"]
    assert sorted(_bash(work, "run", "--input", "some")) == ["some file", "some folder"] and _bash(work, "docs", "--data", "so") == ["some folder"]
    assert _bash(work, "log", "--doc", "so") == [] == _bash(work, "docs", "so")
    assert _bash(work, "help", "pl") == ["plugin"] and "--version" in _bash(work, "--")


def fish_completes_commands_options_and_values(work):
    script = work / "mf.fish"
    script.write_bytes(mf("help", "--completion", "fish", config=None).stdout)

    def completed(text):
        result = subprocess.run([_tool("fish"), "--no-config", "-c", f'source {script}; complete -C "{text}"'], capture_output=True, text=True, check=True,
                                env={**os.environ, "HOME": str(work)})
        assert result.stderr == "", result.stderr
        return [line.split("\t")[0] for line in result.stdout.splitlines()]
    commands = _commands()
    assert set(completed("mf ")) == {name.split()[0] for name in commands}
    for name, command in commands.items():
        assert set(command["options"]) <= set(completed(f"mf {name} --")), name
    assert completed("mf plugin ") == ["list"] and set(completed("mf run --acks ")) == {"none", "all"}


def zsh_reads_its_completion(work):
    script = work / "_mf"
    script.write_bytes(mf("help", "--completion", "zsh", config=None).stdout)
    subprocess.run([_tool("zsh"), "-n", script], check=True)
    # _arguments is told what it gets: each specification of an option once, for the command of the line
    stub = f"_arguments() {{ print -rl -- $@ }}; _describe() {{ print -rl -- ${{(P)2}} }}; _values() {{ print -rl -- $@ }}; words=($@); CURRENT=$#; source {script}"

    def asked(*words):
        return subprocess.run([_tool("zsh"), "-fc", stub, "zsh", "mf", *words], capture_output=True, text=True, check=True).stdout.splitlines()
    commands = _commands()
    assert [line.split(":")[0] for line in asked("")] == list(dict.fromkeys(name.split()[0] for name in commands))
    for name, command in commands.items():
        options = [re.match(r"--[a-z-]+", line).group() for line in asked(*name.split(), "-") if line.startswith("--")]
        assert sorted(options) == sorted([*command["options"], "--help"]), (name, options)


def a_manual_that_cannot_be_written_is_told_by_the_exit_code(work):
    for what in ["--man", "--json", "--completion=bash", "--completion=zsh", "--completion=fish"]:
        with open("/dev/full", "wb") as full:
            assert subprocess.run([MF, "help", what], stdout=full, check=False).returncode == 1, what


if __name__ == "__main__":
    main(tests_of(dict(globals())))
