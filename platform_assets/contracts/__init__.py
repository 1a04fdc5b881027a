"""Contracts: a pandera model in, rules and SQL out.

Belongs here: everything that follows from the description of a dataset's columns.
Does not belong here: Dagster, the warehouse, or where rows come from.
"""

from platform_assets.contracts.columns import Column
from platform_assets.contracts.comparisons import EMAIL, Compare
from platform_assets.contracts.compile import CompiledContract, compile_contract
from platform_assets.contracts.drift import DriftPolicy
from platform_assets.contracts.fields import EventTime, Field, Key
from platform_assets.contracts.model import Contract
from platform_assets.contracts.pii import pii_session_variables
from platform_assets.contracts.policies import RulePolicy
from platform_assets.contracts.rules import Rule
from platform_assets.sql import quote_identifier

__all__ = [
    "EMAIL",
    "Column",
    "Compare",
    "CompiledContract",
    "Contract",
    "DriftPolicy",
    "EventTime",
    "Field",
    "Key",
    "Rule",
    "RulePolicy",
    "compile_contract",
    "pii_session_variables",
    "quote_identifier",
]
