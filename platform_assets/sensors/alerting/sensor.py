"""The sensor that runs the alert loop in Dagster's daemon.

Belongs here: from Dagster's context and the settings to one round. Does not belong here: the round
(``loop``).

Where the policy cannot be read, the last one that could be is followed, or else the default, and
that is told too: a mistake in the file must not be what keeps everybody from hearing of anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from platform_assets.alerts.book import Book
from platform_assets.alerts.database import Database
from platform_assets.alerts.policy import default_policy, load_policy
from platform_assets.alerts.routing import Policy
from platform_assets.alerts.signals import Kind, Signal
from platform_assets.dataset import Dataset
from platform_assets.errors import SettingsError
from platform_assets.pipeline.freshness import Promised
from platform_assets.resources import ConnectionResource, LakeResource
from platform_assets.sensors.alerting import (
    backfills,
    breakers,
    checks,
    drifts,
    findings,
    gone,
    lag,
    partitions,
    runs,
)
from platform_assets.sensors.alerting.definitions import LISTS, known_by, names_in
from platform_assets.sensors.alerting.durations import Durations
from platform_assets.sensors.alerting.freshness import Freshness
from platform_assets.sensors.alerting.heartbeats import Heartbeats
from platform_assets.sensors.alerting.loop import INTERVAL, cursor_of, go_round
from platform_assets.sensors.alerting.world import Assets, Collector, World, over
from platform_assets.settings import Settings, load_settings
from platform_assets.sources.breaker import BreakerStore
from platform_assets.sources.change_source import TellsLag

NAME = "alerts"
_POLICY = "policy"


def collectors_of(
    database: Database, promised: Sequence[Promised], place: str
) -> dict[str, Collector]:
    """Everybody who looks, by name, in the order in which they do.

    What follows from something is looked for before it: by then what it follows from is written.

    Args:
        database: Where heartbeats and durations are kept.
        promised: The assets of which freshness is promised.
        place: The code location.
    """
    return {
        "checks": checks.collect,
        "runs": runs.collect,
        "partitions": partitions.collect,
        "drifts": drifts.collect,
        "findings": findings.collect,
        "freshness": Freshness(promised),
        "breakers": breakers.collect,
        "backfills": backfills.collect,
        "heartbeats": Heartbeats(database),
        "durations": Durations(database),
        "lag": lag.collect,
        f"{LISTS}{place}": gone.collect,
    }


@dataclass
class _Loop:
    """What a process keeps from round to round."""

    datasets: Mapping[str, Dataset]
    lake_key: str
    promised: Sequence[Promised]
    clock: Callable[[], datetime]
    policy: Policy | None = None
    assets: Assets | None = None
    names: frozenset[str] = frozenset()

    def once(self, context: dg.SensorEvaluationContext) -> str:
        """One round; gives what it came to, in one line."""
        settings, now = load_settings(), self.clock()
        book = Book(Database(settings.watch), settings.ui_url)
        policy, mistake = self._policy(settings)
        repository = context.repository_def
        assert repository is not None  # a sensor is evaluated in a code location
        place = _place(context, repository)
        if self.assets is None:
            self.assets = Assets(repository.asset_graph)
            self.names = names_in(repository, repository.asset_graph, self.datasets.values())
        lists = cursor_of(LISTS)
        written = {k.removeprefix(lists): text for k, text in book.cursors(lists).items()}
        known = [each.signal for each in book.open_problems()]
        with World(
            instance=context.instance,
            repository=repository,
            assets=self.assets,
            datasets=self.datasets,
            # Asked for where they are used: a secret that is not set keeps one collector from
            # seeing, and not the sensor from telling.
            open_lake=lambda: self._lake(context).get_connection(),
            connection=lambda name: _opened(getattr(context.resources, name, None)),
            breakers=BreakerStore(settings.breakers) if settings.breakers.exists() else None,
            known=known,
            definitions=known_by(place, self.names, written, now),
            thresholds=policy.thresholds,
            now=now,
        ) as world:
            done = go_round(
                world,
                collectors_of(book.database, self.promised, place),
                book,
                policy,
                further=_about_policy(mistake, world),
            )
        return done.text

    def _lake(self, context: dg.SensorEvaluationContext) -> LakeResource:
        lake: LakeResource = getattr(context.resources, self.lake_key)
        return lake

    def _policy(self, settings: Settings) -> tuple[Policy, str]:
        """The policy, and why it is not the one in the file; empty: it is."""
        try:
            self.policy = load_policy(settings.alerts, settings.data_dir)
        except SettingsError as error:
            return self.policy or default_policy(settings.data_dir), str(error)
        return self.policy, ""


def build_alerts_sensor(
    datasets: Sequence[Dataset],
    lake_key: str,
    promised: Sequence[Promised],
    clock: Callable[[], datetime],
) -> dg.SensorDefinition:
    """The sensor that tells of what is wrong.

    Args:
        datasets: All datasets.
        lake_key: The lake's resource key.
        promised: The assets of which freshness is promised.
        clock: The time (with a time zone).
    """
    loop = _Loop({each.name: each for each in datasets}, lake_key, promised, clock)
    keys = {
        lake_key,
        *(each.source.connection for each in datasets if isinstance(each.source, TellsLag)),
    }

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=round(INTERVAL.total_seconds()),
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys=keys,
        description="Tells those who have to know of what is wrong, once, and when it is over.",
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        return dg.SkipReason(loop.once(context))

    return alerts


def _place(context: dg.SensorEvaluationContext, repository: dg.RepositoryDefinition) -> str:
    """The code location, as it is called in the workspace, and the repository in it."""
    origin = context.code_location_origin
    return f"{'' if origin is None else origin.location_name}/{repository.name}"


def _opened(resource: object) -> object | None:
    return resource.connection if isinstance(resource, ConnectionResource) else None


def _about_policy(mistake: str, world: World) -> list[Signal]:
    problem = Signal(
        kind=Kind.HEARTBEAT,
        subject=f"collector/{_POLICY}",
        at=world.now,
        title="the file of alerts cannot be read: what it said before goes on to hold",
        detail=mistake,
        command="platform-assets alerts check",
    )
    known = problem.fingerprint in world.of(Kind.HEARTBEAT)
    if mistake:
        return [] if known else [problem]
    return [over(problem, world.now)] if known else []
