"""The living shop: a source system that goes on, one simulated day at a time.

Belongs here: a database, a REST API, a change log and daily files of one business, the truth
about them, and their misbehaviour. Does not belong here: anything about how the platform reads
them; nothing of the platform but its errors is used.
"""

from platform_assets.demo.live.injections import NAMES as INJECTIONS
from platform_assets.demo.live.injections import Injection
from platform_assets.demo.live.parameters import LIVE_RATES, LiveParameters
from platform_assets.demo.live.server import ApiServer, serving
from platform_assets.demo.live.shop import DayReport, LiveShop
from platform_assets.demo.live.truth import DayOrders, Effect, LiveTruth

__all__ = [
    "INJECTIONS",
    "LIVE_RATES",
    "ApiServer",
    "DayOrders",
    "DayReport",
    "Effect",
    "Injection",
    "LiveParameters",
    "LiveShop",
    "LiveTruth",
    "serving",
]
