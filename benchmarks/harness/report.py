"""The results as Markdown: tables with the ratios side by side, and the goals below them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .goals import goals
from .rounds import FLOOR, NODE, Rounds, Section

REPLICA_SET = (
    "One mongod again, as a replica set of one: the writes of every row wait for the journal, as "
    "they do in production since MongoDB 5.0."
)


def write(results: Section) -> str:
    """Return the whole report; a part that was not measured is left out."""
    blocks = ["# Results", _machine(results.get("machine", {})), _commits(results)]
    if "throughput" in results:
        blocks += ["## Throughput", "![Logins a second](throughput.svg)"]
        blocks += throughput(results["throughput"])
    if "replica_set" in results:
        blocks += ["## Throughput on a replica set", REPLICA_SET]
        blocks += throughput(results["replica_set"])
    if "stored" in results:
        blocks += ["## Throughput with sessions stored", *stored(results["stored"])]
    if "growth" in results:
        blocks += ["## Growth", "![Latency over sessions stored](growth.svg)"]
        blocks += growth(results["growth"])
    if "profile" in results:
        blocks += ["## Where the time goes", *profile(results["profile"])]
        blocks += ["## What each safety costs", *safeties(results["profile"])]
    if "startup" in results:
        blocks += ["## Start-up", startup(results["startup"])]
    found = goals(results)
    if found:
        blocks += ["## Goals", table(("goal", "wanted", "measured", "reached"), found)]
    return "\n\n".join(blocks) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is set to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ratio(value: float, base: float | None) -> str:
    """Return *value* as a multiple of *base*."""
    return f"{value / base:.2f}" if base else ""


def _machine(machine: Section) -> str:
    return "; ".join(f"{name}: {value}" for name, value in machine.items()) + "."


def _commits(results: Section) -> str:
    by_commit: dict[str, list[str]] = {}
    for name, commit in results.get("commits", {}).items():
        by_commit.setdefault(commit, []).append(name.replace("_", " "))
    told = (f"{', '.join(names)} at {commit}" for commit, names in by_commit.items())
    return f"Measured: {'; '.join(told)}."


def throughput(section: Section) -> list[str]:
    """Return the table of whole logins a second and CPU time."""
    rounds = Rounds(section)
    rows = [
        (
            found["title"],
            f"{found['logins_per_second']:.0f}",
            rounds.spread(name),
            rounds.told(name, FLOOR),
            rounds.told(name, NODE),
            f"{found['server_cpu_us']:.0f}",
            rounds.told(name, FLOOR, "server_cpu_us"),
            f"{found['mongod_cpu_us']:.0f}",
            f"{found['redis_cpu_us']:.0f}" if found["redis_cpu_us"] else "",
            f"{found['initiate_ms']['p50']:.1f} / {found['initiate_ms']['p99']:.1f}",
            f"{found['verify_ms']['p50']:.1f} / {found['verify_ms']['p99']:.1f}",
            f"{found['client_cpu_us']:.0f}",
        )
        for name, found in rounds.targets.items()
        if "logins_per_second" in found
    ]
    head = (
        "app",
        "logins/s",
        "lowest - highest",
        "of the floor",
        "of Node as shipped",
        "app CPU us",
        "of the floor",
        "mongod CPU us",
        "Redis CPU us",
        "initiate ms, p50 / p99",
        "verify ms, p50 / p99",
        "client CPU us",
    )
    settings = section["settings"]
    note = (
        f"Medians of {settings['rounds']} alternating rounds, ratios within a round; a run is "
        f"{settings['logins']} logins or {settings['seconds']:g} s over {settings['connections']} "
        f"connections, from an empty collection, after {settings['warm_up']} logins to warm up. "
        "CPU time is per login, of all processes of the app together, the HTTP server included."
    )
    return [note, table(head, rows), *_skipped(section)]


def stored(section: Section) -> list[str]:
    """Return the table of whole logins a second with sessions in the collection."""
    rows = []
    for size in section["sizes"]:
        rounds = Rounds(size)
        rows += [
            (
                f"{found['title']}, {size['sessions']:,} sessions",
                f"{found['logins_per_second']:.1f}",
                rounds.spread(name),
                rounds.told(name, NODE),
            )
            for name, found in rounds.targets.items()
        ]
    note = f"Medians of {section['settings']['rounds']} alternating rounds, as above."
    head = ("app", "logins/s", "lowest - highest", "of Node as shipped")
    return [note, table(head, rows), *_skipped(section)]


def growth(section: Section) -> list[str]:
    """Return the table of latencies over sizes."""
    targets: Section = section["targets"]
    sizes = [point["sessions"] for point in next(iter(targets.values()))["points"]]
    head = ["median ms", *(f"{size:,} sessions" for size in sizes), "last : first"]
    rows = []
    for found in targets.values():
        for step in ("initiate", "verify"):
            values = [point[f"{step}_ms"] for point in found["points"]]
            cells = [f"{value:.2f}" for value in values]
            rows.append([f"{found['title']}: {step}", *cells, ratio(values[-1], values[0])])
    return ["One login at a time on one connection.", table(head, rows), *_skipped(section)]


def profile(section: Section) -> list[str]:
    """Return the table of CPU time by part of the program."""
    profiles: Section = section["profiles"]
    names = sorted(
        {part for found in profiles.values() for part in found["parts"]},
        key=lambda part: -max(found["parts"].get(part, 0) for found in profiles.values()),
    )
    rows = [
        [part, *(f"{found['parts'].get(part, 0):.0f}" for found in profiles.values())]
        for part in names
    ]
    rows.append(["**whole login**", *(f"{found['cpu_us']:.0f}" for found in profiles.values())])
    note = (
        "CPU microseconds of a login in one process that calls the WSGI app directly, without an "
        "HTTP server, against the same mongod; divided by sampling the stack on the CPU clock "
        f"({', '.join(str(found['ticks']) for found in profiles.values())} samples)."
    )
    head = ["part", *(found["title"] for found in profiles.values())]
    return [note, table(head, rows)]


def safeties(section: Section) -> list[str]:
    """Return the table of variants."""
    variants: Section = section["variants"]
    base = variants.get("accounts", {}).get("cpu_us")
    rows = [
        (
            found["title"],
            f"{found['cpu_us']:.0f}",
            f"{found['cpu_us'] - base:+.0f}" if base else "",
            f"{found['mongod_cpu_us']:.0f}",
            f"{found['redis_cpu_us']:.0f}" if found["redis_cpu_us"] else "",
            f"{sum(found['commands'].values()):.1f}",
        )
        for found in variants.values()
    ]
    head = (
        "app",
        "app CPU us",
        "against accounts protected",
        "mongod CPU us",
        "Redis CPU us",
        "MongoDB commands",
    )
    return [
        "Per login, measured as above without the sampling.",
        table(head, rows),
        *_skipped(section),
    ]


def startup(section: Section) -> str:
    """Return what a process pays once."""
    optional = ", ".join(section["optional"]) or "none"
    rows = [
        ("import of the libraries it needs", f"{section['needed_ms']:.0f} ms"),
        ("`from flask_otp_auth import FlaskOtpAuth` after them", f"{section['import_ms']:.1f} ms"),
        ("the same from nothing", f"{section['cold_import_ms']:.0f} ms"),
        ("modules that it adds to them", f"{section['modules']}"),
        ("of which its own", f"{section['own_modules']}"),
        ("`init_app`", f"{section['init_ms']:.1f} ms"),
        ("sockets that `init_app` opens", f"{section['new_sockets']}"),
        ("threads after it", f"{section['threads']}"),
        ("optional packages imported", optional),
    ]
    return table(("start-up", ""), rows)


def _skipped(section: Section) -> list[str]:
    return [
        f"Not measured: {name} ({_last_line(why)})." for name, why in section["skipped"].items()
    ]


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1][:200]
