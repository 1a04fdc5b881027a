"""The page: templates, style and script put into one file that asks nothing of a network.

Belongs here: rendering, and what the browser is allowed to do with it. Does not belong here: what
the page says (``views``, ``catalogue``).
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from platform_assets.report import catalogue, views
from platform_assets.report.books import COST_WINDOW
from platform_assets.report.graph import HEIGHT as BOX_HEIGHT
from platform_assets.report.graph import WIDTH as BOX_WIDTH
from platform_assets.report.graph import draw
from platform_assets.report.model import POINTS, Facts, Unreadable
from platform_assets.report.sparkline import HEIGHT as SPARK_HEIGHT
from platform_assets.report.sparkline import WIDTH as SPARK_WIDTH
from platform_assets.report.states import State, counted, judge

OLD_AFTER_MINUTES = 60
"""From this age on, the page says by itself that it is old."""
FITTING = 1400
"""A graph of at most this width is drawn as wide as the page; of a wider one a part is seen."""
_HERE = Path(__file__).parent
_DAY = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
_BYTES = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND, _MINUTE, _HOUR = 1000, 60, 3600


def render(facts: Facts) -> str:
    """The page as HTML.

    Args:
        facts: What is known.
    """
    standings = judge(facts)
    anchors = views.Anchors()
    drawing = draw({key: asset.made_from for key, asset in facts.assets.items()})
    told = catalogue.entries(facts)
    node_ids = {key: anchors.of("node", key) for key in facts.assets}
    return (
        _environment()
        .get_template("page.html")
        .render(
            facts=facts,
            anchors=anchors,
            headline=views.headline(standings),
            waiting=views.waiting(standings),
            counts=views.counts(standings),
            worst=min((s.state for s in standings), key=lambda s: s.rank, default=State.OK),
            rows=views.rows(facts, standings),
            lake=views.of_lake(facts),
            alerts=views.of_alerts(facts),
            silent_since=views.silent_since(facts),
            drawing=drawing,
            nodes=catalogue.nodes(facts, drawing, standings, told),
            entries=told,
            columns={(entry.key, column.name) for entry in told for column, _ in entry.columns},
            traced=catalogue.traced(facts, node_ids),
            style=_static("page.css"),
            script=_static("page.js"),
            policy=content_policy(),
        )
    )


def write(html: str, target: Path) -> None:
    """Put a page into its place at once: whoever reads meanwhile has the old one, whole.

    Args:
        html: The page.
        target: Where; its folder is made where it is missing.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(html)
            file.flush()
            os.fsync(file.fileno())
        # Others may serve it: `mkstemp` lets only its owner read.
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def content_policy() -> str:
    """What the browser may do: run and apply what is in the page, and load nothing."""
    return "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_digest(_static('page.css'))}'",
            f"script-src '{_digest(_static('page.js'))}'",
            # The icon of the tab is in the page too.
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ]
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _static(name: str) -> Markup:
    # It is ours, and must stand in the page letter by letter: its hash is what allows it.
    return Markup((_HERE / "static" / name).read_text(encoding="utf-8"))  # noqa: S704


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "moment": moment,
        "size": size,
        "duration": duration,
        "slug": slug,
        "days": days,
    }
    made.tests["unreadable"] = lambda value: isinstance(value, Unreadable)
    made.globals |= {
        "box": (BOX_WIDTH, BOX_HEIGHT),
        "spark": (SPARK_WIDTH, SPARK_HEIGHT),
        "points": POINTS,
        "cost_days": COST_WINDOW.days,
        "fitting": FITTING,
        "old_after": OLD_AFTER_MINUTES,
        "states": list(State),
        "asset_url": views.asset_url,
        "counted": counted,
        "is_source": catalogue.is_source,
    }
    return made


def moment(at: datetime | None) -> str:
    """A moment for people, in UTC; nothing for None."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}" if at is not None else ""


def size(number: float) -> str:
    """A number of bytes for people."""
    for unit in _BYTES:
        if number < _THOUSAND or unit == _BYTES[-1]:
            break
        number /= _THOUSAND
    return f"{number:.3g} {unit}"


def duration(seconds: float) -> str:
    """A time for people."""
    if seconds < _MINUTE:
        return f"{seconds:.2g} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE)} s"
    return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"


def days(text: str) -> Markup:
    """A text whose days are not broken at their hyphens."""
    escaped = str(escape(text))
    return Markup(_DAY.sub(r'<span class="num">\g<0></span>', escaped))  # noqa: S704 # escaped


def slug(state: State) -> str:
    """A state as a part of a class name."""
    return str(state).replace(" ", "-")
