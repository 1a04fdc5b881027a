"""Jobs on the quarantine: what the commands do, from the UI.

Belongs here: the jobs, what they can be told, and when old content is erased by itself. Does not
belong here: doing it, which commands and jobs share (``replays``, ``warehouse``).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import dagster as dg
from pydantic import Field

from platform_assets.assets import replays
from platform_assets.assets.datasets import LAKE_KEY
from platform_assets.assets.replays import Lake, Replayed, Site
from platform_assets.dataset import Dataset
from platform_assets.errors import PlatformError, SettingsError
from platform_assets.resources import LakeResource
from platform_assets.sensors.dead_runs import end_dead_runs
from platform_assets.warehouse import tables
from platform_assets.warehouse.edited_rows import examine_ending
from platform_assets.warehouse.lake import Connection
from platform_assets.warehouse.picking import picked_by
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets.warehouse.quarantine_export import export
from platform_assets.warehouse.quarantine_retention import expire
from platform_assets.warehouse.quarantine_work import Picked, count, resolve
from platform_assets.workers import worker_tags

DAILY = "30 3 * * *"
"""When old content is erased (UTC)."""


class Rows(dg.Config):
    """Which rows of the quarantine; what is left out picks all."""

    ids: list[str] = Field(default=[], description="These; the beginning of an id is enough.")
    dataset: str | None = Field(default=None, description="Of this dataset.")
    partition: str | None = Field(default=None, description="Of this partition.")
    rule: str | None = Field(default=None, description="That break this rule.")
    run: str | None = Field(default=None, description="That this run judged last.")
    older_than: str | None = Field(
        default=None, description="First seen longer ago than 7d, 12h or 30m."
    )
    statuses: list[str] = Field(
        default=[], description="open, blocked, released, resolved; none: open and blocked."
    )


class Act(Rows):
    """Which rows, who says so, and why."""

    reason: str = Field(description="Why; it is kept in the book of actions.")
    author: str = Field(description="Who says so; it is kept in the book of actions.")


class Replay(Act):
    """What is judged again."""

    file: str | None = Field(
        default=None,
        description="A file of edited rows, where the run can read it; it says which rows.",
    )


class Export(Rows):
    """What is written, and where to."""

    file: str = Field(description="The file to write, .csv or .ndjson, where the run can write.")


def build_quarantine_jobs(
    datasets: Sequence[Dataset], definitions: Callable[[], dg.Definitions]
) -> list[dg.JobDefinition]:
    """The jobs ``quarantine_replay``, ``_resolve``, ``_export`` and ``_expire``.

    Args:
        datasets: All datasets.
        definitions: Gives the code location that the jobs are part of, once it is there.
    """

    @dg.op(
        name="replay_rows",
        required_resource_keys={LAKE_KEY},
        description="Judges rows again, publishes what passes, and makes anew what follows.",
    )
    def replay_rows(context: dg.OpExecutionContext, config: Replay) -> None:
        with _explained():
            # Whoever finds this run's process gone can tell that the run is.
            context.instance.add_run_tags(context.run_id, worker_tags())
            end_dead_runs(context.instance)
            site = Site(definitions(), datasets, context.instance, _lake(context))
            said = {"reason": config.reason, "author": config.author}
            if config.file is None:
                done = replays.replay_rows(site, _picked(config, datasets), **said)
            else:
                if not _picked(config, datasets).is_everything or config.statuses:
                    raise replays.file_says_which(f"config file: {config.file}")
                done, taken = replays.replay_file(site, Path(config.file), **said)
                corrected = sum(taken.replay.rows.values())
                context.add_output_metadata({"corrected": corrected, "unchanged": taken.unchanged})
        _tell(context, done)

    @dg.op(
        name="resolve_rows",
        required_resource_keys={LAKE_KEY},
        description="Closes rows: they stay out, and no longer stop their partitions.",
    )
    def resolve_rows(context: dg.OpExecutionContext, config: Act) -> None:
        with _explained(), context.resources.lake.get_connection() as lake:
            tables.ensure_platform_tables(lake)
            picked = _picked(config, datasets)
            blocked = count(lake, replace(picked, statuses=(RowStatus.BLOCKED,)))
            done = resolve(lake, picked, reason=config.reason, author=config.author)
        metadata: dict[str, dg.RawMetadataValue] = {"resolved": sum(done.values())}
        if blocked:
            listed = "\n".join(replays.rerun_commands(blocked, datasets))
            metadata["to_run_again"] = dg.MetadataValue.md(f"```\n{listed}\n```")
        context.add_output_metadata(metadata)

    @dg.op(
        name="export_rows",
        required_resource_keys={LAKE_KEY},
        description="Writes rows to a file, personal data masked.",
    )
    def export_rows(context: dg.OpExecutionContext, config: Export) -> None:
        with _explained():
            to = Path(config.file)
            examine_ending(to, "config file:")
            dataset = _named(datasets, config.dataset)
            to.parent.mkdir(parents=True, exist_ok=True)
            with context.resources.lake.get_connection() as lake:
                tables.ensure_platform_tables(lake)
                visible = dataset.compiled.shown_columns
                rows = export(lake, dataset.name, _picked(config, datasets), to, visible)
        context.add_output_metadata({"rows": rows, "file": dg.MetadataValue.path(str(to))})

    @dg.op(
        name="expire_rows",
        required_resource_keys={LAKE_KEY},
        description="Erases the content of closed rows that are over their quarantine_retention.",
    )
    def expire_rows(context: dg.OpExecutionContext) -> None:
        ages = {
            each.name: each.quarantine_retention
            for each in datasets
            if each.quarantine_retention is not None
        }
        with _explained(), context.resources.lake.get_connection() as lake:
            tables.ensure_platform_tables(lake)
            found = expire(lake, ages)
        context.add_output_metadata(
            {
                "rows": sum(each.rows for each in found.values()),
                "corrections": sum(each.corrections for each in found.values()),
                "as_old_and_open": sum(each.waiting for each in found.values()),
            }
        )

    return [
        _job("quarantine_replay", replay_rows),
        _job("quarantine_resolve", resolve_rows),
        _job("quarantine_export", export_rows),
        _job("quarantine_expire", expire_rows),
    ]


def build_retention_schedule(
    datasets: Sequence[Dataset], jobs: Sequence[dg.JobDefinition]
) -> dg.ScheduleDefinition | None:
    """The daily erasure; None where every dataset keeps its rows for ever.

    It is on by itself: who has declared a retention has said that older content is to go.

    Args:
        datasets: All datasets.
        jobs: From ``build_quarantine_jobs``.
    """
    if all(each.quarantine_retention is None for each in datasets):
        return None
    (job,) = (each for each in jobs if each.name == "quarantine_expire")
    return dg.ScheduleDefinition(
        name="quarantine_retention",
        job=job,
        cron_schedule=DAILY,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Erases the content of closed rows that are over their retention.",
    )


def _job(name: str, op: dg.OpDefinition) -> dg.JobDefinition:
    graph = dg.GraphDefinition(name=name, node_defs=[op], description=op.description)
    return graph.to_job(executor_def=dg.in_process_executor)


def _lake(context: dg.OpExecutionContext) -> Lake:
    """How a replay opens the lake: closed again at once, so that its runs can open it.

    Two connections of a process get in each other's way: where one is closed, the operating system
    takes the other's locks too.
    """
    resource: LakeResource = getattr(context.resources, LAKE_KEY)

    @contextmanager
    def opened() -> Iterator[Connection]:
        try:
            with resource.get_connection() as connection:
                yield connection
        finally:
            resource.release()

    return opened


def _picked(config: Rows, datasets: Sequence[Dataset]) -> Picked:
    if config.dataset is not None:
        _named(datasets, config.dataset)
    return picked_by(
        ids=config.ids,
        dataset=config.dataset,
        partition=config.partition,
        rule=config.rule,
        run=config.run,
        older_than=config.older_than,
        statuses=config.statuses,
    )


def _named(datasets: Sequence[Dataset], name: str | None) -> Dataset:
    found = next((each for each in datasets if each.name == name), None)
    if found is None:
        raise SettingsError(
            "There is no such dataset",
            where=f"config dataset: {name}",
            expected=", ".join(sorted(each.name for each in datasets)),
            found=name or "none",
            fix="correct the name",
        )
    return found


@contextmanager
def _explained() -> Iterator[None]:
    """Fail with a platform error's own words, and not again: the same input has the same fault."""
    try:
        yield
    except PlatformError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def _tell(context: dg.OpExecutionContext, done: Replayed | None) -> None:
    if done is None:
        context.log.info("no row of the quarantine fits")
        context.add_output_metadata(Replayed().counts)
        return
    context.log.info(done.summary)
    context.add_output_metadata(
        {
            **done.counts,
            "changed": dg.MetadataValue.json(done.changed),
            "runs": dg.MetadataValue.json(done.runs),
        }
    )
    if done.failures:
        raise dg.Failure(description="\n\n".join(done.failures), allow_retries=False)
