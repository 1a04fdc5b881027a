"""A replay: partitions judged again, and what follows from those whose rows have changed.

Belongs here: which assets and partitions a replay materializes, for the command and the job alike.
Does not belong here: picking rows and the books (``warehouse.quarantine_work``), judging
(``pipeline``), and how a run is made (``runs``).

The runs are Dagster's own, on the instance, so that statuses, checks and metadata of partitions are
what a run from the UI would have made them. What follows is asked for exactly where rows are other
ones than before: a partition that failed, or was judged again to the same rows, moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from platform_assets.assets import describe
from platform_assets.assets.runs import run_assets, why_failed
from platform_assets.dataset import Dataset
from platform_assets.errors import SettingsError
from platform_assets.partitions import UNPARTITIONED_KEY, spans
from platform_assets.pipeline import Step
from platform_assets.pipeline.correct import Corrected, correct, dataset_of, withdraw
from platform_assets.pipeline.released import Released, released_by
from platform_assets.sensors.requests import DATASET_TAG, REASON_TAG
from platform_assets.warehouse import ledger, tables
from platform_assets.warehouse.changed import changed_partitions
from platform_assets.warehouse.lake import Connection, current_snapshot
from platform_assets.warehouse.quarantine import RowStatus
from platform_assets.warehouse.quarantine_work import Picked, Replay, begin_replay, outcome

REPLAY_TAG = "platform_assets/replay"
Lake = Callable[[], AbstractContextManager[Connection]]


@dataclass
class Replayed:
    """What came of a replay.

    Attributes:
        rows: Where its rows stand now.
        released_rows: What became of those that are released.
        changed: Partitions whose cleaned rows are other ones now, by dataset.
        runs: The runs that were made.
        failures: What stopped those that failed.
    """

    rows: Mapping[RowStatus, int] = field(default_factory=dict)
    released_rows: Released = field(default_factory=Released)
    changed: dict[str, list[str]] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def released(self) -> int:
        """Rows that break no rule any more."""
        return self.rows.get(RowStatus.RELEASED, 0)

    @property
    def summary(self) -> str:
        """The same in a line."""
        others = {status: count for status, count in self.rows.items() if status != "released"}
        left = ", ".join(f"{count:,} {status}" for status, count in sorted(others.items()))
        became = ", ".join(f"{n:,} {what}" for what, n in vars(self.released_rows).items() if n)
        told = f" ({became})" if became else ""
        return f"{self.released:,} rows released{told}; {left or 'none left'}"

    @property
    def counts(self) -> dict[str, int]:
        """The same as numbers: judged = published + deduplicated + replaced + what is not released.

        Of what is not released, only what there is.
        """
        return {
            "judged": sum(self.rows.values()),
            "released": self.released,
            **vars(self.released_rows),
            **{str(k): n for k, n in self.rows.items() if k is not RowStatus.RELEASED},
        }


@dataclass(frozen=True)
class Site:
    """Where a replay is made.

    Attributes:
        definitions: The code location.
        datasets: All its datasets.
        instance: Dagster's instance.
        lake: Opens the lake; it is closed while runs are made.
    """

    definitions: dg.Definitions
    datasets: Sequence[Dataset]
    instance: dg.DagsterInstance
    lake: Lake


def replay_rows(site: Site, picked: Picked, *, reason: str, author: str) -> Replayed | None:
    """Judge rows again by the contract as it is now.

    Args:
        site: Where.
        picked: Which rows.
        reason: Why they may pass now.
        author: Who says so.

    Returns:
        What came of it; None where no row was picked.

    Raises:
        PartitionError: The reason or the author is empty, or nothing was said of which rows.
    """
    with site.lake() as connection:
        tables.ensure_platform_tables(connection)
        replay = begin_replay(connection, picked, reason=reason, author=author)
    return make_replay(site, replay) if replay.rows else None


def replay_file(site: Site, file: Path, *, reason: str, author: str) -> tuple[Replayed, Corrected]:
    """Judge rows again as a person has corrected them in a file.

    Args:
        site: Where.
        file: A CSV or NDJSON file, as ``quarantine export`` writes it.
        reason: Why the rows are to be read so.
        author: Who says so.

    Returns:
        What came of it, and what was taken from the file.

    Raises:
        PlatformError: The file cannot be taken; nothing of it was.
    """
    with site.lake() as connection:
        tables.ensure_platform_tables(connection)
        name = dataset_of(connection, file)
        dataset = next((each for each in site.datasets if each.name == name), None)
        if dataset is None:
            raise SettingsError(
                "Edited rows are of a dataset that is not there any more",
                where=f"file {file}",
                expected=", ".join(sorted(each.name for each in site.datasets)),
                found=name,
                fix="declare the dataset again",
            )
        step = Step(dataset, connection, run_id="")
        taken = correct(step, file, reason=reason, author=author)
    return make_replay(site, taken.replay), taken


def file_says_which(where: str) -> SettingsError:
    """The refusal of a file together with words on which rows.

    Args:
        where: Where the file was named.
    """
    return SettingsError(
        "A file of edited rows says itself which rows are meant",
        where=where,
        expected="nothing else that picks rows",
        found="something else",
        fix="leave it out, or leave the file out",
    )


def replay_withdrawn(site: Site, picked: Picked, *, reason: str, author: str) -> Replayed | None:
    """Take corrections back, and judge their rows as they came.

    Args:
        site: Where.
        picked: Which rows.
        reason: Why.
        author: Who says so.

    Returns:
        What came of it; None where no row that was picked has a correction.

    Raises:
        PartitionError: The reason or the author is empty, or nothing was said of which rows.
    """
    with site.lake() as connection:
        tables.ensure_platform_tables(connection)
        replay = withdraw(connection, picked, reason=reason, author=author)
    return make_replay(site, replay) if replay.rows else None


def rerun_commands(blocked: Iterable[tuple[str, str]], datasets: Sequence[Dataset]) -> list[str]:
    """The commands that run partitions again which rows had stopped.

    Args:
        blocked: Dataset and partition of the rows.
        datasets: All datasets.
    """
    partitions: dict[str, list[str]] = {}
    for name, key in blocked:
        partitions.setdefault(name, []).append(key)
    commands = []
    for name, keys in sorted(partitions.items()):
        own = f'key:"cleaned/{name}"+ or key:"quarantine/{name}"'
        if any(each.name == name and each.history for each in datasets):
            own += f' or key:"history/{name}"'
        for first, last in spans(keys):
            if first == UNPARTITIONED_KEY:
                commands.append(
                    f"platform-assets quarantine replay --dataset {name} --status resolved "
                    '--reason "run again"'
                )
                continue
            commands.append(f"platform-assets backfill --from {first} --to {last} --select '{own}'")
    return commands


def make_replay(site: Site, replay: Replay) -> Replayed:
    """Judge the partitions of a replay again, then make anew what follows from those that changed.

    Args:
        site: Where.
        replay: What was asked for; it is in the book.
    """
    done = Replayed()
    tags = {REASON_TAG: "quarantine_replay", REPLAY_TAG: replay.action_id}
    waiting = dict(replay.partitions)
    force = replay.forced
    while waiting:
        name = next(iter(waiting))
        keys = waiting.pop(name)
        changed = _judge(site, name, keys, tags, force=force and name in replay.partitions, to=done)
        if changed:
            done.changed[name] = sorted({*done.changed.get(name, []), *changed})
            _follow(site, name, changed, tags, to=done)
            for other, orphaned in _orphans(site, name, changed).items():
                waiting[other] = sorted({*waiting.get(other, []), *orphaned})
    with site.lake() as connection:
        done.rows = outcome(connection, replay)
        for dataset in site.datasets:
            if own := replay.partitions.get(dataset.name):
                step = Step(dataset, connection, run_id="")
                done.released_rows += released_by(step, replay.action_id, own)
    return done


def _own(site: Site, name: str) -> set[dg.AssetKey]:
    """The assets of the step that judges; they are made together."""
    keys = {describe.cleaned_key(name), describe.quarantine_key(name), describe.history_key(name)}
    return keys & site.definitions.resolve_asset_graph().get_all_asset_keys()


def _judge(
    site: Site,
    name: str,
    keys: Sequence[str],
    tags: Mapping[str, str],
    *,
    force: bool,
    to: Replayed,
) -> list[str]:
    """Judge partitions again; those whose cleaned rows are other ones now."""
    with site.lake() as connection:
        before = current_snapshot(connection)
    for span in spans(keys):
        _run(site, _own(site, name), span, {**tags, DATASET_TAG: name}, force=force, to=to)
    with site.lake() as connection:
        return changed_partitions(
            connection, f"cleaned/{name}", tables.cleaned_table(name), keys, since=before
        )


def _follow(
    site: Site, name: str, changed: Sequence[str], tags: Mapping[str, str], *, to: Replayed
) -> None:
    """Make anew what follows from partitions.

    What follows from a table that comes whole is other whole tables; of what is cut into days, the
    rows that it may bring back are asked for by themselves (``_orphans``).
    """
    graph = site.definitions.resolve_asset_graph()
    after = dg.AssetSelection.assets(describe.cleaned_key(name)).downstream().resolve(graph)
    after = {key for key in after - _own(site, name) if graph.get(key).is_executable}
    for span in spans(changed):
        fitting = {key for key in after if _has(graph.get(key).partitions_def, span)}
        if fitting:
            _run(site, fitting, span, tags, force=False, to=to)


def _has(partitions: dg.PartitionsDefinition | None, span: tuple[str, str]) -> bool:
    """Whether an asset has the partitions of a span; one that comes whole has all."""
    return partitions is None or all(partitions.has_partition_key(key) for key in span)


def _orphans(site: Site, name: str, changed: Sequence[str]) -> dict[str, list[str]]:
    """Partitions of other datasets with rows that lack one of a table that comes whole."""
    if list(changed) != [UNPARTITIONED_KEY]:
        return {}
    found: dict[str, list[str]] = {}
    with site.lake() as connection:
        for other in site.datasets:
            rules = [
                rule.name
                for rule in other.compiled.rules
                if rule.references is not None and rule.references[0] == name
            ]
            if not rules:
                continue
            standing = ledger.latest(
                connection,
                f"cleaned/{other.name}",
                None,
                (ledger.Status.PUBLISHED, ledger.Status.FAILED),
            )
            orphaned = [key for key, entry in standing.items() if any(map(entry.broken.get, rules))]
            if orphaned and orphaned != [UNPARTITIONED_KEY]:
                found[other.name] = orphaned
    return found


def _run(
    site: Site,
    assets: set[dg.AssetKey],
    span: tuple[str, str],
    tags: Mapping[str, str],
    *,
    force: bool,
    to: Replayed,
) -> None:
    keys = () if span[0] == UNPARTITIONED_KEY else span
    result = run_assets(
        site.definitions, site.instance, assets, keys, force=force, quiet=True, tags=tags
    )
    to.runs.append(result.run_id)
    to.failures += why_failed(result)
    if not result.success and not why_failed(result):
        to.failures.append(f"run {result.run_id} failed")
