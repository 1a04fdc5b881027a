"""The catalogue: every incident that the drill knows, by family."""

from __future__ import annotations

from platform_assets.drill.incident import Incident
from platform_assets.drill.incidents import (
    controls,
    files,
    keys,
    systems,
    times,
    values,
    vocabulary,
    volume,
)

CATALOGUE: tuple[Incident, ...] = (
    *volume.INCIDENTS,
    *files.INCIDENTS,
    *values.INCIDENTS,
    *vocabulary.INCIDENTS,
    *times.INCIDENTS,
    *keys.INCIDENTS,
    *systems.INCIDENTS,
    *controls.INCIDENTS,
)
BY_NAME = {incident.name: incident for incident in CATALOGUE}
