"""The input of a benchmark: the demo shop's files, made where they are missing.

Belongs here: making one shop. Does not belong here: which shops are needed (``cases``).
"""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from platform_assets.demo import generate


def main() -> None:
    """Deliver a shop's files."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--days", type=int, required=True)
    parser.add_argument("--orders-per-day", type=int, required=True)
    options = parser.parse_args()
    generate(
        options.root,
        start=date(2025, 1, 1),
        days=options.days,
        orders_per_day=options.orders_per_day,
        seed=7,
    )


if __name__ == "__main__":
    main()
