"""Freshness in Dagster: what assets tell of their promise, and a check for each that has one.

Belongs here: from a declaration to an asset's spec and back, Dagster's own policy, and the check.
Does not belong here: judging (``quality.freshness``, ``pipeline.freshness``), and doing so all the
time (``sensors.freshness``).

The check has no partitions: it speaks of the asset, whose newest partition may be one that is not
there. All checks are one step, which a run of their assets has too: some 20 ms, once a run. Where
that step is skipped, as another asset of the run failed, the sensor says what it would have said.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from platform_assets.assets import evaluations
from platform_assets.partitions import Daily, Partitions, Unpartitioned
from platform_assets.pipeline.freshness import Promised, evaluate
from platform_assets.pipeline.lateness import Made
from platform_assets.quality.freshness import FreshnessState, Level
from platform_assets.quality.promise import CHECK, Freshness
from platform_assets.quality.promise_values import read, told
from platform_assets.resources import breakers_left_alone

PROMISE = "platform_assets/freshness"
"""Metadata of an asset's spec: what is promised of it, as ``quality.promise_values`` has it."""
MADE_FROM = "platform_assets/made_from"
"""Metadata of an asset that the ledger tells of: the assets whose gate it heeds, and its source."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The moment that it is now."""
    return datetime.now(UTC)


def made_from(*upstream: str, connection: str = "") -> dict[str, Any]:
    """Metadata that tells what an asset is made from.

    Args:
        upstream: Keys of the assets whose gate it heeds.
        connection: The connection that it is loaded through.
    """
    found: dict[str, Any] = {"upstream": list(upstream)}
    return {MADE_FROM: {**found, "connection": connection} if connection else found}


def with_promise(spec: dg.AssetSpec, promise: Freshness | None) -> dg.AssetSpec:
    """A spec that tells what is promised of its asset, to us and to Dagster.

    Args:
        spec: The spec.
        promise: What is promised; None: nothing.
    """
    if promise is None:
        return spec
    metadata = {**spec.metadata, PROMISE: told(promise)}
    return spec.replace_attributes(metadata=metadata, freshness_policy=policy(promise))


def policy(promise: Freshness) -> dg.FreshnessPolicy:
    """Dagster's own freshness that comes nearest; it knows neither holidays nor partitions.

    Args:
        promise: What is promised.
    """
    if promise.within is not None:
        return dg.FreshnessPolicy.time_window(fail_window=promise.within, warn_window=promise.warn)
    assert promise.by is not None  # one of the two is promised
    hour, minute = promise.by.split(":")
    days = "1-5" if promise.days == "business" else "*"
    return dg.FreshnessPolicy.cron(
        deadline_cron=f"{int(minute)} {int(hour)} * * {days}",
        lower_bound_delta=timedelta(days=1),
        timezone=promise.timezone,
    )


@dataclass(frozen=True)
class _Node:
    """What is known of an asset, from its definition or from a graph."""

    key: dg.AssetKey
    parents: frozenset[dg.AssetKey]
    metadata: Mapping[str, Any]
    tags: Mapping[str, str]
    owners: tuple[str, ...]
    partitions: dg.PartitionsDefinition[str] | None

    def told(self, name: str) -> Any:  # noqa: ANN401 # whatever the metadata holds
        """A metadata value as it was given."""
        value = self.metadata.get(name)
        return value.value if isinstance(value, dg.MetadataValue) else value


def promised_of(location: dg.Definitions | Iterable[dg.AssetsDefinition]) -> list[Promised]:
    """The assets whose freshness is promised, and what each is made from, in order of their keys.

    Args:
        location: A code location, or the assets that it is going to have.
    """
    nodes = {node.key: node for node in _nodes(location)}
    found = []
    for key in sorted(nodes, key=str):
        node = nodes[key]
        promise = node.told(PROMISE)
        if promise is None:
            continue
        own = _made(node)
        found.append(
            Promised(
                asset=own.asset,
                promise=read(promise, own.asset),
                partitions=_partitions(node.partitions),
                upstream=own.upstream,
                owners=node.owners,
                dataset=node.tags.get("dataset", ""),
                layer=node.tags.get("layer", ""),
                ancestors=tuple(_ancestors(nodes, own)),
            )
        )
    return found


def _nodes(location: dg.Definitions | Iterable[dg.AssetsDefinition]) -> Iterator[_Node]:
    if isinstance(location, dg.Definitions):
        for node in location.resolve_asset_graph().asset_nodes:
            parents, owners = frozenset(node.parent_keys), tuple(node.owners)
            cut = node.partitions_def
            yield _Node(node.key, parents, node.metadata, node.tags, owners, cut)
        return
    for assets in location:
        for spec in assets.specs:
            parents, owners = frozenset(assets.asset_deps[spec.key]), tuple(spec.owners)
            cut = spec.partitions_def
            yield _Node(spec.key, parents, spec.metadata, spec.tags, owners, cut)


def _made(node: _Node) -> Made:
    found = node.told(MADE_FROM)
    cut = node.partitions is not None
    asset = node.key.to_user_string()
    if found is None:
        parents = sorted(parent.to_user_string() for parent in node.parents)
        return Made(asset, tuple(parents), is_cut=cut, is_kept=False)
    return Made(asset, tuple(found["upstream"]), str(found.get("connection", "")), is_cut=cut)


def _ancestors(nodes: Mapping[dg.AssetKey, _Node], own: Made) -> Iterator[Made]:
    seen, waiting = {own.asset}, list(own.upstream)
    while waiting:
        asset = waiting.pop()
        node = nodes.get(dg.AssetKey(asset.split("/")))
        if asset in seen or node is None:
            continue
        seen.add(asset)
        made = _made(node)
        waiting += made.upstream
        yield made


def _partitions(cut: dg.PartitionsDefinition[str] | None) -> Partitions:
    """How an asset is cut, from Dagster's definition of it."""
    if not isinstance(cut, dg.TimeWindowPartitionsDefinition):
        return Unpartitioned()
    end = None if cut.end is None else cut.end.date() - timedelta(days=1)
    return Daily(start=cut.start.date(), end=end)


def build_freshness_checks(
    promised: Sequence[Promised], lake_key: str, clock: Clock = utc_now
) -> list[dg.AssetChecksDefinition]:
    """The check of each asset whose freshness is promised; one step judges those that are asked.

    Args:
        promised: The assets.
        lake_key: The lake's resource key.
        clock: Tells what time it is.
    """
    if not promised:
        return []
    by_key = {check_key(each.asset): each for each in promised}

    @dg.multi_asset_check(
        name=CHECK,
        specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=key.asset_key,
                description=f"Promised is {each.promise.in_words}.",
                metadata={"layer": CHECK},
            )
            for key, each in by_key.items()
        ],
        can_subset=True,
        required_resource_keys={lake_key},
    )
    def freshness(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        asked = [each for key, each in by_key.items() if key in context.selected_asset_check_keys]
        with getattr(context.resources, lake_key).get_connection() as lake:
            states = evaluate(lake, asked, clock(), left_alone=breakers_left_alone())
        for asset, state in states.items():
            verdict = verdict_of(state)
            yield dg.AssetCheckResult(
                asset_key=check_key(asset).asset_key,
                check_name=CHECK,
                passed=verdict.passed,
                severity=verdict.severity,
                description=verdict.description,
                metadata=verdict.metadata,
            )

    return [freshness]


def check_key(asset: str) -> dg.AssetCheckKey:
    """The key of an asset's check.

    Args:
        asset: The asset's key.
    """
    return dg.AssetCheckKey(dg.AssetKey(asset.split("/")), CHECK)


def verdict_of(state: FreshnessState) -> evaluations.Verdict:
    """What the check says of a state."""
    late = state.level is Level.LATE
    moments = ("newest_event", "published_at", "deadline", "since")
    metadata: dict[str, Any] = {"level": str(state.level)}
    metadata |= {n: v for n in ("expected", "newest") if (v := getattr(state, n)) is not None}
    metadata |= {
        name: dg.MetadataValue.timestamp(value)
        for name in moments
        if (value := getattr(state, name)) is not None
    }
    if state.late_because:
        metadata["late_because"] = ", ".join(state.late_because)
    return evaluations.Verdict(
        passed=state.level is Level.FRESH,
        severity=dg.AssetCheckSeverity.ERROR if late else dg.AssetCheckSeverity.WARN,
        description=state.message,
        metadata=metadata,
    )


def tell(instance: dg.DagsterInstance, states: Mapping[str, FreshnessState]) -> list[str]:
    """Have the checks say what states are, where they do not say so already; no run is made.

    Args:
        instance: Dagster's instance.
        states: By asset.

    Returns:
        The assets whose check was told.
    """
    verdicts = {check_key(asset): verdict_of(state) for asset, state in states.items()}
    done = evaluations.tell_without_run(instance, verdicts)
    return [key.asset_key.to_user_string() for key in done.told]
