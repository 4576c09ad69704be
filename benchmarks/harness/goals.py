"""The goals that the results are held to, and what was measured of each."""

from __future__ import annotations

from collections.abc import Iterator

from .rounds import FLOOR, NODE, Rounds, Section

OURS = (
    "ours-bare",
    "ours",
    "ours-email",
    "ours-again",
    "ours-mongodb",
    "ours-redis",
    "ours-memory",
)
NODE_AS_SHIPPED, NODE_INDEXED = ("node", "node-2"), ("node-index", "node-index-2")
STORES = (("mongodb", "MongoDB"), ("redis", "Redis"), ("memory", "memory"))
# What is to be measured, if it was, and the multiple that is wanted.
Goal = tuple[str, float | str | None, float]


def goals(results: Section) -> list[tuple[str, str, str, str]]:
    """Return the goals that the results can be held to."""
    rows = [
        (goal, f"at least {least:g}", f"{value:.2f}", _yes(value >= least))
        for goal, value, least in [
            *_of_throughput(Rounds(results.get("throughput", {}))),
            *_of_sizes(results),
            *_of_peers(results),
        ]
        if isinstance(value, float)
    ]
    points = results.get("growth", {}).get("targets", {}).get("ours", {}).get("points")
    if points:
        grown = points[-1]["verify_ms"] / points[0]["verify_ms"]
        goal = f"verify at {points[-1]['sessions']:,} sessions over verify at none"
        rows.append((goal, "at most 1.2", f"{grown:.2f}", _yes(grown <= 1.2)))
    return rows


def _of_throughput(rounds: Rounds) -> Iterator[Goal]:
    yield (
        "accounts protected, of the floor whose verdict is journaled",
        rounds.times("ours", "floor-journal"),
        0.80,
    )
    yield (
        "accounts protected, of that floor with accounts that keep the same promises",
        rounds.times("ours", "floor-accounts"),
        0.85,
    )
    shipped = rounds.fastest(*NODE_AS_SHIPPED)
    yield (
        "accounts protected, of the Node plugin's as shipped",
        shipped and rounds.times("ours", shipped),
        1.0,
    )
    for name, store in STORES:
        yield (
            f"all defaults in {store}, of that floor with the same rules of Flask-Limiter",
            rounds.times(f"ours-{name}", f"floor-{name}"),
            0.80,
        )


def _of_sizes(results: Section) -> Iterator[Goal]:
    sizes = results.get("stored", {}).get("sizes", ())
    for size, times in zip(sizes, (4.0, 20.0), strict=False):
        yield (
            f"with {size['sessions']:,} sessions stored, of the Node plugin's as shipped",
            Rounds(size).times("ours", NODE),
            times,
        )


def _of_peers(results: Section) -> Iterator[Goal]:
    replica_set = Rounds(results.get("replica_set", {}))
    yield (
        "accounts protected, on a replica set, of the floor's",
        replica_set.times("ours", FLOOR),
        0.80,
    )
    rounds = Rounds(results.get("throughput", {}))
    peer = rounds.fastest(*(name for name in rounds.targets if _is_peer(name)))
    yield (
        "accounts protected, by e-mail, of the fastest other peer's",
        peer and rounds.times("ours-email", peer),
        2.0,
    )


def _is_peer(name: str) -> bool:
    others = (*OURS, *NODE_AS_SHIPPED, *NODE_INDEXED)
    return name not in others and not name.startswith(FLOOR)


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"
