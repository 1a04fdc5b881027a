"""The status page as an asset, and what a page needs to know of Dagster's asset graph.

Belongs here: the asset, its schedule, the graph in the page's own terms, and from where a page's
facts come. Does not belong here: what is on the page (``report``).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from platform_assets.assets.column_lineage import column_lineage
from platform_assets.assets.freshness import promised_of
from platform_assets.dataset import Dataset
from platform_assets.observability.column_lineage import ROWS, ColumnLineage
from platform_assets.pipeline.freshness import evaluate
from platform_assets.report.model import Asset, ColumnTold
from platform_assets.resources import breakers_left_alone, lake_config
from platform_assets.settings import Settings, load_settings
from platform_assets.warehouse.lake import Connection, connect
from platform_assets.warehouse.tables import ensure_platform_tables

if TYPE_CHECKING:
    from platform_assets.report.facts import Sources

KEY = dg.AssetKey(["report", "status_page"])
SCHEDULE = "status_page"
EVERY_15_MINUTES = "*/15 * * * *"
_RAW_SQL = "#### Raw SQL"
"""dagster-dbt appends the model's text to its description."""


@dataclass(frozen=True)
class Written:
    """A page that was written.

    Attributes:
        path: Where it is.
        bytes: Its size.
        seconds: What it took.
        states: Datasets and aggregates by state.
        need_somebody: How many of them somebody has to look at.
    """

    path: Path
    bytes: int
    seconds: float
    states: Mapping[str, int]
    need_somebody: int

    @property
    def metadata(self) -> dict[str, Any]:
        """What Dagster's UI shows of it."""
        return {
            "path": dg.MetadataValue.path(str(self.path)),
            "bytes": self.bytes,
            "seconds": round(self.seconds, 2),
            "need_somebody": self.need_somebody,
            **{f"state_{state.replace(' ', '_')}": n for state, n in self.states.items()},
        }


def default_target(settings: Settings) -> Path:
    """Where the page is unless somebody says otherwise."""
    return settings.data_dir / "report.html"


def write_status_page(
    datasets: Sequence[Dataset],
    definitions: dg.Definitions,
    settings: Settings,
    target: Path | None = None,
    *,
    now: datetime | None = None,
) -> Written:
    """Find out how everything stands, and put a page of it into its place.

    Args:
        datasets: All datasets, those that others refer to first.
        definitions: The code location.
        settings: Where the lake and the UI are.
        target: Where the page goes; None: ``report.html`` in the data folder.
        now: The moment (with a time zone); None: the present one.

    Returns:
        What was written.
    """
    # A fifth of a second, which loading the code location has no use for.
    from platform_assets.report.facts import gather
    from platform_assets.report.page import render, write
    from platform_assets.report.states import judge

    began = time.perf_counter()
    facts = gather(_sources(datasets, definitions, settings), now or datetime.now(UTC))
    html = render(facts)
    path = (target or default_target(settings)).absolute()
    write(html, path)
    standings = judge(facts)
    states: dict[str, int] = {}
    for each in standings:
        states[each.state] = states.get(each.state, 0) + 1
    return Written(
        path=path,
        bytes=len(html.encode()),
        seconds=time.perf_counter() - began,
        states=states,
        need_somebody=sum(each.needs_somebody for each in standings),
    )


def _sources(
    datasets: Sequence[Dataset], definitions: dg.Definitions, settings: Settings
) -> "Sources":
    from platform_assets.report.facts import Sources
    from platform_assets.report.watched import read as read_watch

    return Sources(
        datasets=datasets,
        assets=assets_of(definitions.resolve_asset_graph()),
        ui_url=settings.ui_url,
        lake=partial(_lake, settings),
        freshness=lambda lake, now: evaluate(
            lake, promised_of(definitions), now, left_alone=breakers_left_alone()
        ),
        watch=lambda now: read_watch(settings.watch, now),
        lineage=lambda: _made_from(column_lineage(definitions, datasets)),
    )


def _made_from(lineage: ColumnLineage) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """The columns that each column's values are made from; what only decides over rows is not."""
    return {
        (table.asset, name): sorted(
            {
                (each.source.asset, each.source.column)
                for each in inputs
                if each.how.is_direct and each.source.column != ROWS
            }
        )
        for table in lineage.tables.values()
        for name, inputs in table.columns.items()
        if inputs
    }


@contextmanager
def _lake(settings: Settings) -> Iterator[Connection]:
    with connect(lake_config(settings)) as lake:
        ensure_platform_tables(lake)
        yield lake


def assets_of(graph: AssetGraph) -> list[Asset]:
    """The asset graph in the page's terms, without the page itself.

    Args:
        graph: All assets.
    """
    return [_asset(graph.get(key)) for key in graph.get_all_asset_keys() if key != KEY]


def _asset(node: Any) -> Asset:  # noqa: ANN401 # Dagster exports no type of a graph's node
    key = node.key.to_user_string()
    return Asset(
        key=key,
        layer=node.tags.get("layer") or node.group_name or "",
        dataset=node.tags.get("dataset", ""),
        made_from=tuple(sorted(parent.to_user_string() for parent in node.parent_keys)),
        description=(node.description or "").partition(_RAW_SQL)[0].strip(),
        owners=tuple(node.owners),
        columns=_columns(node.metadata.get("dagster/column_schema")),
    )


def _columns(told: object) -> tuple[ColumnTold, ...]:
    schema = getattr(told, "value", told)
    if not isinstance(schema, dg.TableSchema):
        return ()
    return tuple(
        ColumnTold(
            name=column.name,
            type=column.type,
            description=column.description or "",
            rules=tuple(column.constraints.other),
            nullable=column.constraints.nullable,
        )
        for column in schema.columns
    )


def build_status_page(
    datasets: Sequence[Dataset], definitions: Callable[[], dg.Definitions]
) -> dg.Definitions:
    """The page as an asset, and the schedule that makes it anew.

    The schedule makes the page in its own tick, and tells Dagster of it: a run would take seconds
    to start, and 96 runs a day would bury those that publish rows. It is on by itself, as a page
    that stays as it was looks as if all were well.

    Args:
        datasets: All datasets, those that others refer to first.
        definitions: The code location that the page tells of, asked when a page is made: the page
            is a part of it.
    """

    def write_page() -> Written:
        return write_status_page(datasets, definitions(), load_settings())

    @dg.asset(
        key=KEY,
        group_name="report",
        kinds={"html"},
        description="How every dataset and aggregate stands, as one file that needs no network.",
    )
    def status_page(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        written = write_page()
        context.log.info(f"wrote {written.path}")
        return dg.MaterializeResult(metadata=written.metadata)

    @dg.schedule(
        name=SCHEDULE,
        cron_schedule=EVERY_15_MINUTES,
        target=dg.AssetSelection.assets(KEY),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Makes the status page anew, without a run.",
    )
    def refresh(context: dg.ScheduleEvaluationContext) -> dg.SkipReason:
        written = write_page()
        context.instance.report_runless_asset_event(
            dg.AssetMaterialization(KEY, metadata=written.metadata)
        )
        return dg.SkipReason(f"wrote {written.path} in {written.seconds:.1f} s; no run is needed")

    return dg.Definitions(assets=[status_page], schedules=[refresh])
