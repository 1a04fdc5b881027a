"""``python -m bench``: measures everything side by side and writes ``bench/RESULTS.md``.

Belongs here: arguments, and what is written. Does not belong here: what is measured (``cases``).
"""

from __future__ import annotations

import argparse
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench import cases, machine
from bench.measure import ROOT, BenchError
from bench.plan import DAYS, ORDERS_PER_DAY, STOCK_DAYS, Plan
from bench.results import document

# Fewer pairs than this are a quick look, not a result.
MINIMUM_PAIRS = 3
RESULTS = Path(__file__).with_name("RESULTS.md")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--input", type=Path, help="a shop's folder; default: generated")
    parser.add_argument("--work", type=Path, default=ROOT / "data" / "bench")
    parser.add_argument("--only", nargs="+", choices=cases.CASES, default=list(cases.CASES))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--orders-per-day", type=int, default=ORDERS_PER_DAY)
    parser.add_argument("--next-days", type=int, default=7)
    parser.add_argument("--stock-days", type=int, default=STOCK_DAYS)
    parser.add_argument("--scale", type=int, default=1, help="divide the histories by this")
    parser.add_argument("--without-aggregates", action="store_true")
    parser.add_argument("--output", type=Path, help="default: bench/RESULTS.md for a full run")
    return parser.parse_args()


def main() -> int:
    """Run the cases; a part of them, or other sizes, are not written over the full results."""
    options = _arguments()
    # So that SIGTERM, as Ctrl-C, also ends the process that is being measured.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    plan = Plan(
        work=options.work.absolute(),
        input=options.input and options.input.absolute(),
        days=options.days,
        orders_per_day=options.orders_per_day,
        pairs=options.pairs,
        next_days=options.next_days,
        scale=options.scale,
        stock_days=options.stock_days,
        aggregates=not options.without_aggregates,
    )
    full = Plan(work=plan.work, input=plan.input, pairs=max(plan.pairs, MINIMUM_PAIRS))
    whole = list(options.only) == list(cases.CASES) and plan == full
    plan.work.mkdir(parents=True, exist_ok=True)
    started, load = datetime.now(UTC), machine.load_average()
    sections = []
    for name in options.only:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            sections.append(cases.CASES[name](plan))
        except BenchError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(sections[-1].markdown() + "\n", file=sys.stderr, flush=True)
    circumstances = [
        f"Begun {started:%Y-%m-%d %H:%M} UTC, ended {datetime.now(UTC):%H:%M}. Load average of "
        f"the machine before it began: {load}."
    ]
    text = document(sections, machine.describe(), circumstances)
    output = options.output or (RESULTS if whole else None)
    if output is None:
        print(text)
        print("not written: not a full run (name a file with --output)", file=sys.stderr)
    else:
        output.write_text(text, encoding="utf-8")
        print(f"wrote {output}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
