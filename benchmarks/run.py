"""The one command of the benchmarks: sets up what it needs, measures, and writes the results."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))  # the private mongod, and the extension

from harness.environment import enter_main  # noqa: E402
from harness.targets import TARGETS  # noqa: E402

PARTS = ("throughput", "replica-set", "stored", "growth", "profile", "startup")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--only", help=f"parts, separated by commas: {', '.join(PARTS)}, report")
    add("--peers", help="rows of the throughput part, separated by commas; node* is all of those")
    add("--rounds", type=int, default=5, help="rounds of the throughput part (default 5)")
    add("--logins", type=int, default=1500, help="most logins of a run (default 1500)")
    add("--seconds", type=float, default=20.0, help="most seconds of a run (default 20)")
    add("--connections", type=int, default=16, help="kept-alive connections (default 16)")
    add("--sizes", default="0,1000,10000,100000,1000000", help="sessions of the growth part")
    add("--data", type=Path, help="where mongod keeps its data for the run (default: --work)")
    add("--quick", action="store_true", help="small counts: to see that it works, not to quote")
    add("--list", action="store_true", help="list the rows and stop")
    work = ROOT / "build" / "benchmarks"
    add("--work", type=Path, default=work, help="where things are installed and run")
    add("--out", type=Path, default=HERE / "results", help="where the results are written")
    if parser.parse_args().quick:
        parser.set_defaults(rounds=1, logins=400, seconds=8.0, sizes="0,1000,10000")
    options = parser.parse_args()
    options.parts = options.only.split(",") if options.only else [*PARTS, "report"]
    if unknown := set(options.parts) - {*PARTS, "report"}:
        parser.error(f"no part {', '.join(sorted(unknown))}")
    return options


def main() -> None:
    """Measure the parts that were asked for."""
    options = arguments()
    if options.list:
        for target in TARGETS:
            print(f"{target.name:24} {target.title}")
        return
    options.work.mkdir(parents=True, exist_ok=True)
    options.work = options.work.resolve()
    enter_main(options.work)
    from harness import parts  # needs what the environment brings

    parts.run(options)


if __name__ == "__main__":
    main()
