"""What the code location knows that its metrics need.

Belongs here: asking the definitions. Does not belong here: the metrics (``observability.metrics``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import dagster as dg

from platform_assets.declared.catalogue import every_dataset
from platform_assets.observability.metrics import CodeLocation
from platform_assets.observability.metrics.quality import Severities
from platform_assets.observability.metrics.streams import Streams
from platform_assets.pipeline.freshness import Promised
from platform_assets.resources import ConnectionResource, shared_guard
from platform_assets.sources.change_source import TellsLag


def code_location() -> CodeLocation:
    """What this installation's definitions know, asked for when it is needed."""
    return CodeLocation(severities=_severities, promised=_promised, streams=_streams)


@cache
def _definitions() -> dg.Definitions:
    # Loading it takes seconds: only who needs it does.
    from platform_assets.definitions import defs

    return defs


def _severities() -> Severities:
    return {
        dataset.name: {rule.name: rule.severity for rule in dataset.compiled.rules}
        for dataset in every_dataset()
    }


def _promised() -> Sequence[Promised]:
    from platform_assets.assets.freshness import promised_of

    return promised_of(_definitions())


def _streams() -> Streams:
    watched = [each for each in every_dataset() if isinstance(each.source, TellsLag)]
    return Streams(watched, _connection, shared_guard())


@contextmanager
def _connection(name: str) -> Iterator[object | None]:
    """What a connection leads to, with its secrets from the environment."""
    resources = _definitions().resources or {}
    if not isinstance(resources.get(name), ConnectionResource):
        yield None
        return
    with dg.build_resources({name: resources[name]}) as built:
        opened: ConnectionResource = getattr(built, name)
        yield opened.connection
