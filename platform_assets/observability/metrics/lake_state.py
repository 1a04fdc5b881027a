"""What collectors of the lake share: a lake that did not change is not read again.

Belongs here: keeping what was read of a state. Does not belong here: any metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from platform_assets.observability.metrics.declared import Reading
from platform_assets.warehouse.reader import LakeReader, View


class OncePerState:
    """Reads a lake where it changed; else it says what it read the last time.

    Args:
        reader: The lake.
        read: Reads the metrics of one state.
    """

    def __init__(self, reader: LakeReader, read: Callable[[View], Iterable[Reading]]) -> None:
        self._reader = reader
        self._read = read
        self._state = (0, -1)
        self._readings: Sequence[Reading] = ()

    def readings(self) -> Sequence[Reading]:
        """The metrics of the lake as it is now."""
        with self._reader.look() as view:
            state = (view.opening, view.snapshot)
            if state != self._state:
                self._readings = tuple(self._read(view))
                self._state = state
        return self._readings
