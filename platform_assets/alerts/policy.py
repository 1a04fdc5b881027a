"""``alerts.yaml`` read: which problems are told to whom, how, and when.

Belongs here: from the file to ``routing.Policy``, and every refusal of what cannot be meant. Does
not belong here: what the policy does (``engine``), where a route leads (``targets``).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

from dotenv import dotenv_values

from platform_assets.alerts import policy_options as options
from platform_assets.alerts.matching import Match
from platform_assets.alerts.routing import (
    Escalation,
    Means,
    Policy,
    Route,
    Storm,
    Target,
    Thresholds,
)
from platform_assets.alerts.targets import target_of
from platform_assets.documents.checking import checked, mapping_at
from platform_assets.documents.document import Document, Place, read_document, shown
from platform_assets.errors import SettingsError

__all__ = ["Policy", "default_policy", "load_policy"]

ALERTS_FILE = "alerts.jsonl"
NOTHING = "none"
"""What a route takes that is only fallen back on or escalated to."""


def default_policy(data_dir: Path) -> Policy:
    """What holds where there is no ``alerts.yaml``: the console and a file of JSON lines.

    Args:
        data_dir: The installation's folder of everything generated.
    """
    file = str(data_dir / ALERTS_FILE)
    return Policy(
        routes=(
            Route("console", Target(Means.CONSOLE, shown="console")),
            Route("file", Target(Means.FILE, file, shown=file)),
        )
    )


def load_policy(
    path: Path, data_dir: Path = Path("data"), environment: Mapping[str, str] | None = None
) -> Policy:
    """Read the policy.

    Args:
        path: The file; where there is none, the default policy holds.
        data_dir: The installation's folder of everything generated.
        environment: What ``${NAME}`` is looked up in; None: the environment, then ``.env``.

    Raises:
        SettingsError: The file is not of the right form, or a variable that it names is not set.
    """
    if not path.exists():
        return default_policy(data_dir)
    document = read_document(path)
    mapping_at(document, (), "The file of alerts")
    top = checked(document, (), options.Top)
    known = _names(document, top)
    usual = (top.repeat_after, top.group_wait)
    variables = _environment() if environment is None else environment
    routes = tuple(
        _route(document, number, each, usual, variables) for number, each in enumerate(top.routes)
    )
    for number, each in enumerate(top.routes):
        _examine_name(document, ("routes", number, "fallback"), each.fallback, known)
    _refuse_loops(document, routes)
    _examine_name(document, ("otherwise",), top.otherwise, known)
    policy = Policy(
        routes=routes,
        escalations=tuple(
            _escalation(document, number, each, known) for number, each in enumerate(top.escalate)
        ),
        otherwise=top.otherwise or "",
        storm=Storm(top.storm.messages, top.storm.within),
        fall_over=top.fall_over.build(),
        thresholds=_thresholds(top.thresholds),
        reopen_within=top.reopen_within,
        retention=top.retention,
    )
    _refuse_unused(document, policy)
    return policy


def _environment() -> dict[str, str]:
    # Dagster gives `.env` to the code location; a command has to read it itself.
    given = dotenv_values(".env") if Path(".env").is_file() else {}
    return {**{name: value for name, value in given.items() if value}, **os.environ}


def _names(document: Document, top: options.Top) -> list[str]:
    names: list[str] = []
    for number, each in enumerate(top.routes):
        if each.name in names:
            raise document.error(
                SettingsError,
                "Two routes have one name",
                ("routes", number, "name"),
                expected="a name of its own",
                found=each.name,
                fix="rename one of the two",
            )
        names.append(each.name)
    if not names:
        raise document.error(
            SettingsError,
            "There is no route: nobody would be told of anything",
            ("routes",) if "routes" in mapping_at(document, (), "The file of alerts") else (),
            expected="routes, with one or more of them",
            found="none",
            fix="declare a route, such as `- {name: screen, to: console}`",
        )
    return names


def _route(
    document: Document,
    number: int,
    given: options.RouteOptions,
    usual: tuple[timedelta, timedelta],
    environment: Mapping[str, str],
) -> Route:
    place: Place = ("routes", number)
    said = given.model_fields_set
    repeat = given.repeat_after if "repeat_after" in said else usual[0]
    return Route(
        name=given.name,
        target=target_of(document, (*place, "to"), environment),
        match=_match(document, (*place, "match"), given),
        quiet_hours=None
        if given.quiet_hours is None
        else given.quiet_hours.build(document, (*place, "quiet_hours")),
        business_days=None
        if given.business_days is None
        else given.business_days.build(document, (*place, "business_days")),
        fallback=given.fallback or "",
        # Nothing is said anew each moment: no time between means not at all.
        repeat_after=repeat or None,
        group_wait=given.group_wait if "group_wait" in said else usual[1],
    )


def _match(document: Document, place: Place, given: options.RouteOptions) -> Match | None:
    if "match" not in given.model_fields_set:
        return Match()
    if given.match == NOTHING:
        return None
    if not isinstance(given.match, dict):
        raise document.error(
            SettingsError,
            "A route does not say what it takes",
            place,
            expected=f"a mapping such as {{severity: error}}, or {NOTHING}",
            found=shown(given.match),
            fix="correct it, or take it out: the route takes everything then",
        )
    return checked(document, place, options.MatchOptions).build()


def _escalation(
    document: Document, number: int, given: options.EscalationOptions, known: Collection[str]
) -> Escalation:
    place: Place = ("escalate", number)
    _examine_name(document, (*place, "to"), given.to, known)
    if (given.failures is None) == (given.unacknowledged is None):
        raise document.error(
            SettingsError,
            "An escalation does not say when",
            place,
            expected="either failures (with within), or unacknowledged",
            found="neither" if given.failures is None else "both",
            fix="write `failures: 3` and `within: 1h`, or `unacknowledged: 30m`",
        )
    if given.failures is None and "within" in given.model_fields_set:
        raise document.error(
            SettingsError,
            "An escalation has a time that says nothing",
            (*place, "within"),
            expected="within beside failures",
            found="within beside unacknowledged",
            fix="take it out",
            key=True,
        )
    return Escalation(
        to=given.to,
        match=given.match.build(),
        failures=given.failures,
        within=given.within,
        unacknowledged=given.unacknowledged,
    )


def _thresholds(given: options.ThresholdOptions) -> Thresholds:
    usual = given.build(Thresholds())
    return Thresholds(
        **{
            **vars(usual),
            "datasets": {name: each.build(usual) for name, each in given.datasets.items()},
        }
    )


def _examine_name(
    document: Document, place: Place, name: str | None, known: Collection[str]
) -> None:
    if name is not None and name not in known:
        raise document.unknown(
            SettingsError, "There is no such route", place, list(known), key=False
        )


def _refuse_loops(document: Document, routes: Collection[Route]) -> None:
    by_name = {each.name: each for each in routes}
    for number, route in enumerate(routes):
        seen = [route.name]
        while (following := by_name[seen[-1]].fallback) and following not in seen:
            seen.append(following)
        if following == route.name:
            raise document.error(
                SettingsError,
                "Fallbacks lead round in a circle",
                ("routes", number, "fallback"),
                expected="a last route that has none",
                found=" -> ".join([*seen, following]),
                fix="take one of these fallbacks out; the last route is tried again until it works",
            )


def _refuse_unused(document: Document, policy: Policy) -> None:
    """A route that nothing leads to is a mistake: somebody believes that he is told."""
    named = {each.fallback for each in policy.routes} | {each.to for each in policy.escalations}
    for number, route in enumerate(policy.routes):
        if route.match is None and route.name not in named | {policy.otherwise}:
            raise document.error(
                SettingsError,
                "Nothing ever reaches a route",
                ("routes", number, "match"),
                expected="a match, or an escalation, fallback or otherwise that names the route",
                found=f"match: {NOTHING}, and no name",
                fix="say what it takes, or take the route out",
            )
