#!/usr/bin/env python3
"""What the program tells of a store's work and health: mf metrics, mf health.

usage: test_watch.py MF CONFIG
"""
import re
import sqlite3
import time

from cli import *

# ---- mf metrics ----


def _metrics(data, **kwargs):
    [found] = objects(mf("metrics", "--data", data, "--format", "json", **kwargs))
    return found


def _worked(data, events=20):
    run(data, [tr(update(n=n), key=f"k{n}") for n in range(events)] + [tr(update(n=0), key="k0"), {"doc": "d", "op": "snapshot"}])


def the_report_begins_as_the_seeds_does(work):
    _worked(work / "s")
    result = mf("metrics", "--data", work / "s")
    assert result.returncode == 0 and not result.stderr, result
    assert re.match(r"=== Persistence metrics ===\nEvents: 20\nSnapshots: 1\nCompression ratio: \d+\.\d\d% \(stored/raw\)\n"
                    r"Mean write latency: \d+\.\d\dms\nRecovery time: \d+\.\d\dms\nMean event size: \d+ bytes\nMean snapshot size: \d+ bytes\n"
                    r"--- counters: saved, ", result.stdout.decode()), result.stdout
    assert re.search(r"\n--- these counters are \d+ s old ---\n$", result.stdout.decode()), result.stdout


def json_has_the_counters_of_the_writer_and_the_totals_of_the_store(work):
    begun = time.time() * 1e6
    _worked(work / "s")
    found = _metrics(work / "s")
    assert found["source"] == "saved" and begun <= found["opened_us"] <= found["taken_us"] <= time.time() * 1e6, found
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", found["taken"])
    assert (found["total_events"], found["total_snapshots"], found["documents"], found["last_lsn"]) == (20, 1, 1, 20)
    assert found["commit_us"]["count"] == found["events_measured"] == found["group_events"]["sum"] == 20
    assert found["duplicates"] == 1 and found["snapshot_us"]["count"] == 1
    assert found["commit_us"]["p50"] <= found["commit_us"]["p99"] <= found["commit_us"]["max"]
    assert found["avg_event_size"] * 20 <= found["event_bytes"] and 0 < found["compression_ratio"] <= 1
    assert objects(mf("metrics", "--data", work / "s", "--json")) == [found]


def an_opening_that_commits_nothing_leaves_the_counters(work):
    _worked(work / "s")
    before = _metrics(work / "s")
    assert mf("compact", "--data", work / "s").returncode == 0
    assert _metrics(work / "s")["commit_us"] == before["commit_us"]


def without_saved_counters_sizes_are_sampled_and_latencies_unknown(work):
    _worked(work / "s")
    for damage in [lambda path: path.unlink(), lambda path: path.write_bytes(b"{\"taken_us\":"), lambda path: path.write_bytes(b"\0" * 100000)]:
        damage(work / "s" / "metrics")
        found = _metrics(work / "s")
        assert found["source"] == "none" and found["total_events"] == 20 and found["events_measured"] == 20, found
        assert found["write_latency_ms"] is None and found["commit_us"] is None, found
        assert b"Mean write latency: unknown\n" in mf("metrics", "--data", work / "s").stdout


SAMPLE = re.compile(r'(mf_[a-z_]+)(?:\{([a-z]+)="([^"]*)"\})? (NaN|[0-9.]+)')


def prometheus_lines_are_samples_of_families_told_before(work):
    _worked(work / "s")
    text = mf("metrics", "--data", work / "s", "--format", "prometheus").stdout.decode()
    assert text.endswith("\n")
    types, helped, seen = {}, set(), set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split(" ")[2])
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in helped and name not in types and kind in ("counter", "gauge", "summary"), line
            types[name] = kind
        else:
            name, label, value, number = SAMPLE.fullmatch(line).groups()
            family = name if name in types else re.sub(r"_(sum|count)$", "", name)
            assert (types[family] == "summary") == (name != family or label == "quantile"), line
            assert (name, value) not in seen, line
            seen.add((name, value))
    assert types["mf_commit_latency_seconds"] == "summary" and ("mf_commit_latency_seconds", "0.999") in seen
    assert "mf_events 20\n" in text and 'mf_errors_total{status="MF_ERR_STORAGE_FULL"} 0\n' in text


def counters_are_saved_while_the_writer_works(work):
    with popen("run", "--data", work / "s", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        for n in range(3):
            writer.stdin.write(encode([tr(update(n=n))]))
            assert json.loads(writer.stdout.readline())["status"] == "ok"
        deadline = time.monotonic() + 60
        while (_metrics(work / "s")["commit_us"] or {"count": 0})["count"] < 3:  # null until they are saved first
            assert time.monotonic() < deadline, "the counters were not saved"
        writer.stdin.close()
        assert writer.wait(timeout=60) == 0


def metrics_of_what_is_no_store_or_no_format_are_refused(work):
    assert mf("metrics", "--data", work / "none").returncode == 1
    result = mf("metrics", "--data", work / "s", "--format", "xml")
    assert result.returncode == 2 and b"--format" in result.stderr, result



# ---- what is logged ----


def a_plugin_that_was_skipped_is_a_warning_on_standard_error(work):
    plugins = json.loads(Path(CONFIG).read_text())["plugins"]
    config = config_with(work, top={"plugins": [{"name": "no_such_plugin", "required": False}, *plugins]})
    result = mf("run", "--data", work / "s", stdin=[tr(insert("a"))], config=config)
    assert result.returncode == 0 and objects(result)[0]["status"] == "ok", result
    assert result.stderr.startswith(b"mf: warning: a plugin that is not required was skipped: plugin no_such_plugin: "), result
    assert mf("docs", "--data", work / "s").stderr == b""


# ---- mf health ----


def _health(data, *args, code):
    result = mf("health", "--data", data, "--json", *args)
    assert result.returncode == code, result
    [found] = objects(result)
    return found


def _spoil(data, sql):
    db = sqlite3.connect(data / "store.db")
    db.execute(sql)
    db.commit()
    db.close()


def a_store_that_is_well_is_healthy(work):
    _worked(work / "s")
    for args, events in [((), 20), (("--full",), 20)]:
        found = _health(work / "s", *args, code=0)
        assert found["level"] == "healthy" and found["message"] == "" and found["findings"] == [] and found["findings_left_out"] == 0, found
        assert found["events_checked"] == events and found["snapshots_checked"] == 1 and found["free_bytes"] > 0, found
    result = mf("health", "--data", work / "s")
    assert (result.returncode, result.stdout) == (0, b"healthy: 20 events and 1 snapshots checked\n"), result


def it_is_asked_beside_a_writer(work):
    with popen("run", "--data", work / "s", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        writer.stdin.write(encode([tr(insert("a"))]))
        assert json.loads(writer.stdout.readline())["status"] == "ok"
        assert _health(work / "s", code=0)["events_checked"] == 1
        writer.stdin.close()
        assert writer.wait(timeout=60) == 0


def damage_is_critical_and_exits_with_3(work):
    _worked(work / "s")
    _spoil(work / "s", "UPDATE events SET actor = 'someone else' WHERE lsn = 20")
    found = _health(work / "s", code=3)
    assert found["level"] == "critical" and found["findings"][0]["what"] == "integrity" and "LSN 20" in found["message"], found
    full = _health(work / "s", "--full", code=3)
    assert full["level"] == "critical" and full["message"] == full["findings"][0]["message"], full
    result = mf("health", "--data", work / "s")
    assert result.returncode == 3 and result.stdout.startswith(b"critical: ") and b"\ncritical: integrity: data is damaged: " in result.stdout, result


def hostile_ids_do_no_harm_to_a_terminal(work):
    run(work / "s", [tr(insert("a"), doc="\x1b[2J")])
    _spoil(work / "s", "UPDATE events SET actor = 'someone else'")
    assert b"\x1b" not in mf("health", "--data", work / "s").stdout


def a_store_that_lost_events_is_critical_although_it_cannot_be_opened(work):
    with popen("run", "--data", work / "s", "--mode", "sync", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        for n in range(5):
            writer.stdin.write(encode([tr(update(n=n))]))
            assert json.loads(writer.stdout.readline())["status"] == "ok"
        writer.kill()
    (work / "s" / "store.db-wal").unlink()
    found = _health(work / "s", code=3)
    assert found["level"] == "critical" and found["findings"][0]["what"] in ("integrity", "connection"), found


def health_of_what_is_no_store_is_an_error(work):
    result = mf("health", "--data", work / "none")
    assert result.returncode == 1 and b"MF_ERR_NOT_FOUND" in result.stderr and not result.stdout, result


if __name__ == "__main__":
    main(tests_of(dict(globals())))
