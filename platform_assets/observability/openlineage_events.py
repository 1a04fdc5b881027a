"""OpenLineage events of a job's run: plain values in, events out.

Belongs here: which facet says what. Does not belong here: where the values come from
(``assets.lineage_events``), and sending (``openlineage_sending``).

A run is one step of one of Dagster's runs; of dbt's step, each model. It begins with START and ends
with COMPLETE, FAIL or ABORT. A step of which some partitions were published and some were not ends
with COMPLETE, which tells of what was published; beside it stands a run of the same job for the
others, which ends with FAIL. Messages hold no row's value: they are the ledger's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import duckdb
from openlineage.client.event_v2 import (
    InputDataset,
    Job,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    set_producer,
)
from openlineage.client.facet_v2 import (
    DatasetFacet,
    InputDatasetFacet,
    JobFacet,
    OutputDatasetFacet,
    RunFacet,
    column_lineage_dataset,
    data_quality_assertions_dataset,
    data_quality_metrics_dataset,
    documentation_dataset,
    documentation_job,
    error_message_run,
    input_statistics_input_dataset,
    job_type_job,
    nominal_time_run,
    output_statistics_output_dataset,
    ownership_dataset,
    ownership_job,
    parent_run,
    processing_engine_run,
    schema_dataset,
    source_code_location_job,
    sql_job,
)

from platform_assets import __version__
from platform_assets.observability.column_lineage import Input, TableLineage
from platform_assets.observability.openlineage_names import Named

PRODUCER = f"urn:platform_assets:{__version__}"
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:platform_assets:openlineage")

Ending = Literal["COMPLETE", "FAIL", "ABORT"]


def run_id(dagster_run: str, job: str, *, attempt: int = 0, failed: bool = False) -> str:
    """The run's id: the same whoever asks, so that whoever finds a run dead can end it.

    Args:
        dagster_run: Dagster's run.
        job: The job's name.
        attempt: Which retry of the step it is; 0: the first attempt.
        failed: Whether it is the run that tells of the partitions that were not published.
    """
    parts = [
        dagster_run,
        job,
        *([str(attempt)] if attempt else []),
        *(["failed"] if failed else []),
    ]
    return str(uuid.uuid5(_RUNS, "/".join(parts)))


@dataclass(frozen=True)
class Asserted:
    """What a rule came to.

    Attributes:
        rule: Its name.
        broken: Rows that break it.
        column: The column that it is of; None: of several.
        severity: error, warn or info.
        description: What it says.
    """

    rule: str
    broken: int
    column: str | None = None
    severity: str = "error"
    description: str | None = None


@dataclass(frozen=True)
class Table:
    """A data set that is read or written.

    Attributes:
        named: Its name.
        columns: Name, type and description of each.
        description: What it holds.
        owners: Who answers for it.
        rows: Rows that were read or written; None: that is not known.
        bytes: Their size at the source; None: that is not known.
        standing: Rows of the run's partitions as they are now; None: that is not known.
        asserted: What rules came to: over rows that were read, or written.
        nulls: By column the rows that stand without a value; empty: that is not known.
        lineage: Of what is written: what it is made from.
    """

    named: Named
    columns: tuple[tuple[str, str, str], ...] = ()
    description: str = ""
    owners: tuple[str, ...] = ()
    rows: int | None = None
    bytes: int | None = None
    standing: int | None = None
    asserted: tuple[Asserted, ...] = ()
    nulls: Mapping[str, int] = field(default_factory=dict)
    lineage: TableLineage | None = None


@dataclass(frozen=True)
class Work:
    """A run of a job.

    Attributes:
        dagster_run: Dagster's run.
        dagster_job: The job that Dagster ran.
        namespace: Of jobs.
        job: The job's name.
        attempt: Which retry of the step it is.
        inputs: What it reads.
        outputs: What it writes.
        partitions: The days that it is about; empty: it is not cut into days.
        description: What the job does.
        owners: Who answers for it.
        sql: What it runs, where it is SQL.
        path: The file that declares it.
        kind: ``ASSET`` or ``MODEL``.
        names: Names of assets that the lineage of outputs names.
        message: What went wrong; never a row's value.
    """

    dagster_run: str
    dagster_job: str
    namespace: str
    job: str
    attempt: int = 0
    inputs: tuple[Table, ...] = ()
    outputs: tuple[Table, ...] = ()
    partitions: tuple[str, ...] = ()
    description: str = ""
    owners: tuple[str, ...] = ()
    sql: str = ""
    path: str = ""
    kind: str = "ASSET"
    names: Mapping[str, Named] | None = None
    message: str = ""


def started(work: Work, at: datetime | None = None) -> RunEvent:
    """The event that a run begins with.

    Args:
        work: The run.
        at: When; None: now.
    """
    return _event(work, RunState.START, at)


def ended(work: Work, ending: Ending, at: datetime | None = None) -> RunEvent:
    """The event that a run ends with.

    Args:
        work: The run.
        ending: How it ended.
        at: When; None: now.
    """
    return _event(work, RunState(ending), at)


def failed_beside(work: Work) -> list[RunEvent]:
    """The run that tells of partitions that were not published, where others of the step were.

    Args:
        work: What became of them, and why.
    """
    states = (RunState.START, RunState.FAIL)
    return [_event(work, state, None, failed=True) for state in states]


def _event(work: Work, state: RunState, at: datetime | None, *, failed: bool = False) -> RunEvent:
    set_producer(PRODUCER)
    is_end = state is not RunState.START
    run = Run(
        run_id(work.dagster_run, work.job, attempt=work.attempt, failed=failed),
        facets=_run_facets(work, is_end=is_end),
    )
    return RunEvent(
        eventTime=(at or datetime.now(UTC)).isoformat(),
        eventType=state,
        run=run,
        job=Job(work.namespace, work.job, facets=_job_facets(work)),
        inputs=[_input(table, is_end=is_end) for table in work.inputs],
        outputs=[_output(table, work, is_end=is_end) for table in work.outputs],
        producer=PRODUCER,
    )


def _run_facets(work: Work, *, is_end: bool) -> dict[str, RunFacet]:
    facets: dict[str, RunFacet] = {
        "parent": parent_run.ParentRunFacet(
            run=parent_run.Run(work.dagster_run),
            job=parent_run.Job(work.namespace, work.dagster_job),
        ),
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=duckdb.__version__, name="DuckDB", openlineageAdapterVersion=__version__
        ),
    }
    days = sorted(filter(None, map(_day, work.partitions)))
    if days:
        facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(
            _midnight(days[0]), _midnight(days[-1] + timedelta(days=1))
        )
    if is_end and work.message:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(work.message, "Python")
    return facets


def _day(partition: str) -> date | None:
    try:
        return date.fromisoformat(partition)
    except ValueError:
        return None


def _midnight(day: date) -> str:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat()


def _job_facets(work: Work) -> dict[str, JobFacet]:
    facets: dict[str, JobFacet] = {
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "DAGSTER", work.kind),
    }
    if work.description:
        facets["documentation"] = documentation_job.DocumentationJobFacet(work.description)
    if work.owners:
        owners = [ownership_job.Owner(name, "OWNER") for name in work.owners]
        facets["ownership"] = ownership_job.OwnershipJobFacet(owners)
    if work.sql:
        facets["sql"] = sql_job.SQLJobFacet(work.sql, "duckdb")
    if work.path:
        facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            "file", f"file://{work.path}", path=work.path
        )
    return facets


def _facets(table: Table) -> dict[str, DatasetFacet]:
    facets: dict[str, DatasetFacet] = {}
    if table.columns:
        facets["schema"] = schema_dataset.SchemaDatasetFacet(
            [
                schema_dataset.SchemaDatasetFacetFields(name, kind or None, text or None, number)
                for number, (name, kind, text) in enumerate(table.columns, 1)
            ]
        )
    if table.description:
        facets["documentation"] = documentation_dataset.DocumentationDatasetFacet(table.description)
    if table.owners:
        owners = [ownership_dataset.Owner(name, "OWNER") for name in table.owners]
        facets["ownership"] = ownership_dataset.OwnershipDatasetFacet(owners)
    return facets


def _input(table: Table, *, is_end: bool) -> InputDataset:
    facets: dict[str, InputDatasetFacet] = {}
    if is_end and (table.rows is not None or table.bytes is not None):
        facets["inputStatistics"] = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            rowCount=table.rows, size=table.bytes
        )
    if is_end and table.asserted:
        facets["dataQualityAssertions"] = _assertions(table)
    named = table.named
    return InputDataset(named.namespace, named.name, facets=_facets(table), inputFacets=facets)


def _assertions(table: Table) -> data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet:
    return data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
        [
            data_quality_assertions_dataset.Assertion(
                assertion=each.rule,
                name=each.rule,
                success=not each.broken,
                column=each.column,
                severity=each.severity,
                description=each.description,
                expected="0",
                actual=str(each.broken),
            )
            for each in table.asserted
        ]
    )


def _output(table: Table, work: Work, *, is_end: bool) -> OutputDataset:
    facets: dict[str, DatasetFacet] = _facets(table)
    if table.lineage is not None:
        facets["columnLineage"] = _column_lineage(table.lineage, work.names or {})
    written: dict[str, OutputDatasetFacet] = {}
    if is_end and table.standing is not None:
        facets["dataQualityMetrics"] = data_quality_metrics_dataset.DataQualityMetricsDatasetFacet(
            columnMetrics={
                name: data_quality_metrics_dataset.ColumnMetrics(nullCount=rows)
                for name, rows in table.nulls.items()
            },
            rowCount=table.standing,
        )
    if is_end and table.rows is not None:
        written["outputStatistics"] = (
            output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=table.rows)
        )
    if is_end and table.asserted:
        # The specification has them on inputs, of which a test is a job; here they are of the step.
        facets["dataQualityAssertions"] = _assertions(table)  # type: ignore[assignment] # as above
    named = table.named
    return OutputDataset(named.namespace, named.name, facets=facets, outputFacets=written)


def _column_lineage(
    lineage: TableLineage, names: Mapping[str, Named]
) -> column_lineage_dataset.ColumnLineageDatasetFacet:
    """What is known; a column of which it is not is left out."""
    return column_lineage_dataset.ColumnLineageDatasetFacet(
        fields={
            name: column_lineage_dataset.Fields(_fields(inputs, names))
            for name, inputs in lineage.columns.items()
            if inputs
        },
        dataset=_fields(lineage.rows, names),
    )


def _fields(
    inputs: Iterable[Input], names: Mapping[str, Named]
) -> list[column_lineage_dataset.InputField]:
    by_source: dict[tuple[Named, str], list[Input]] = {}
    for each in sorted(inputs):
        named = names.get(each.source.asset)
        if named is not None:
            by_source.setdefault((named, each.source.column), []).append(each)
    return [
        column_lineage_dataset.InputField(
            named.namespace,
            named.name,
            column,
            [
                column_lineage_dataset.Transformation(
                    type="DIRECT" if each.how.is_direct else "INDIRECT",
                    subtype=each.how.value.upper(),
                    masking=each.masking,
                )
                for each in every
            ],
        )
        for (named, column), every in by_source.items()
    ]
