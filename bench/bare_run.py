"""The bare script's process: ``bare.sql``, statement by statement, with a clock.

Belongs here: running it. Does not belong here: anything of the platform's pipeline; the lake is
attached by the same few lines, so that memory, threads and catalog are the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.engine import Clock, lake_config
from platform_assets.warehouse.lake import connect

SCRIPT = Path(__file__).with_name("bare.sql")


def stages(script: str) -> list[tuple[str, list[str]]]:
    """The script's statements by stage.

    Args:
        script: The script's text.
    """
    parts = script.split("-- stage: ")[1:]
    named = (part.partition("\n") for part in parts)
    return [
        (name.strip(), [text.strip() for text in body.split(";\n") if text.strip()])
        for name, _, body in named
    ]


def main() -> None:
    """Run the script into a new lake."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--without-aggregates", action="store_true")
    parser.add_argument("--profile", action="store_true", help="time each statement")
    options = parser.parse_args()
    script = SCRIPT.read_text(encoding="utf-8").replace("$input", str(options.input))
    clock = Clock()
    with connect(lake_config(options.lake, options.threads)) as lake:
        for stage, statements in stages(script):
            if stage in ("aggregates", "tests") and options.without_aggregates:
                continue
            for statement in statements:
                first_line = " ".join(statement.splitlines()[0].split()[:5])
                with clock.stage(f"{stage}: {first_line}" if options.profile else stage):
                    lake.execute(statement).fetchall()
    clock.tell()


if __name__ == "__main__":
    main()
