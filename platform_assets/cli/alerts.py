"""``platform-assets alerts``: what is wrong, who was told, and what a person does about it.

Belongs here: arguments and output. Does not belong here: what follows from them (``alerts``).
"""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from platform_assets.cli.console import EXIT_PARTIAL, Json, console, errors, explained
from platform_assets.errors import SettingsError

if TYPE_CHECKING:
    from platform_assets.alerts.attempts import Unsent
    from platform_assets.alerts.book import Book
    from platform_assets.alerts.incidents import Incident, Problem
    from platform_assets.alerts.matching import Match
    from platform_assets.alerts.routing import Policy
    from platform_assets.alerts.signals import Kind

alerts_app = typer.Typer(no_args_is_help=True, help="What is wrong, and who was told of it.")

IncidentArgument = Annotated[
    str, typer.Argument(help="The incident's id; its beginning is enough.")
]
Reason = Annotated[str, typer.Option(help="Why.")]
By = Annotated[str | None, typer.Option("--by", help="Who says so; default: your login.")]
SHOWN_PROBLEMS = 20
SHOWN = "%Y-%m-%d %H:%M"


@alerts_app.command("list")
@explained
def list_incidents(
    everything: Annotated[bool, typer.Option("--all", help="Also what is over.")] = False,
    as_json: Json = False,
) -> None:
    """Show what is wrong, what is silenced, and what could not be told; exit 1 where any is.

    Ends with 0 where nothing is wrong and every message was sent.
    """
    now, book = _opened()
    policy = _policy_if_sound()
    incidents = book.incidents(only_open=not everything)
    problems: dict[str, list[Problem]] = {each.id: [] for each in incidents}
    for problem in book.problems(of_open=not everything):
        # One that has begun since is in the next list.
        if problem.incident in problems:
            problems[problem.incident].append(problem)
    unsent = book.unsent()
    silences = book.silences(now)
    if as_json:
        told = {
            "incidents": [_as_json(each, problems[each.id], policy) for each in incidents],
            "silences": [vars(each) | {"match": vars(each.match)} for each in silences],
            "unsent": [_unsent_json(each) for each in unsent],
        }
        typer.echo(json.dumps(told, indent=2, default=str))
    else:
        if incidents:
            console.print(_table(incidents, problems, policy, now))
        else:
            console.print("nothing is wrong" if not everything else "nothing was ever wrong")
        for silence in silences:
            console.print(
                f"silenced until {silence.until:{SHOWN}} UTC by {escape(silence.author)}: "
                f"{escape(_meant(silence.match))}: {escape(silence.reason)} ({silence.id})"
            )
        for each in unsent:
            _print_unsent(each)
    if any(each.is_open for each in incidents) or unsent:
        raise typer.Exit(EXIT_PARTIAL)


@alerts_app.command("show")
@explained
def show_incident(incident: IncidentArgument, as_json: Json = False) -> None:
    """Show one incident: its problems, and every message about it."""
    _, book = _opened()
    policy = _policy_if_sound()
    found = book.incident(incident)
    problems = book.problems(incident=found.id)
    messages = book.messages(incident=found.id)
    deliveries = book.deliveries([each.id for each in messages])
    if as_json:
        told = _as_json(found, problems, policy)
        told["messages"] = [{"id": e.id, "route": e.route, **e.facts} for e in messages]
        told["deliveries"] = [vars(each) for each in deliveries]
        typer.echo(json.dumps(told, indent=2, default=str))
        return
    for name, value in _as_json(found, problems, policy).items():
        if name != "problems" and value not in (None, "", [], 0, False):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            console.print(f"{name.replace('_', ' ')}: {escape(str(shown))}")
    for problem in problems[:SHOWN_PROBLEMS]:
        signal = problem.signal
        state = "there" if problem.over_at is None else f"over {problem.over_at:{SHOWN}} UTC"
        where = " ".join(filter(None, (signal.subject, signal.part, signal.partition)))
        console.print(
            f"- {escape(where)} {signal.kind.replace('_', ' ')}, {signal.severity}, "
            f"since {problem.since:{SHOWN}} UTC, {state}, seen {problem.seen:,} times"
        )
        # What could be a value of a row or a key is taken out of messages, and so it is here.
        for line in _redacted(signal.detail).splitlines():
            console.print(f"    {escape(line)}", highlight=False)
    if len(problems) > SHOWN_PROBLEMS:
        console.print(f"… and {len(problems) - SHOWN_PROBLEMS:,} more problems: --json has all")
    for message in messages:
        console.print(f"{message.at:{SHOWN}} UTC to {message.route}: {escape(message.title)}")
    for each in deliveries:
        came = "sent" if each.succeeded else f"not sent: {each.error}"
        console.print(f"{each.at:{SHOWN}} UTC by {each.route}: {escape(came)}")


@alerts_app.command("ack")
@explained
def acknowledge(incident: IncidentArgument, reason: Reason, by: By = None) -> None:
    """Take an incident on: it is neither repeated nor escalated until it is over."""
    now, book = _opened()
    found = book.ack(incident, by=by or getpass.getuser(), reason=reason, now=now)
    console.print(f"{found.id} is taken on: it is said again only when it is over, or worse")


@alerts_app.command("silence")
@explained
def silence(
    until: Annotated[str, typer.Option("--for", help="How long: 30m, 2h or 7d.")],
    reason: Reason,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Of this dataset; * and ? stand for any.")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Of this kind; repeatable.")] = None,
    subject: Annotated[
        list[str] | None, typer.Option(help="Of this asset, source or sensor; * and ? too.")
    ] = None,
    partition: Annotated[list[str] | None, typer.Option(help="Of this partition.")] = None,
    layer: Annotated[list[str] | None, typer.Option(help="In this layer.")] = None,
    owner: Annotated[list[str] | None, typer.Option(help="Of this owner.")] = None,
    by: By = None,
) -> None:
    """Say nothing of some problems for a while; what is then still there is said after it."""
    from platform_assets.alerts.matching import Match

    match = Match(
        kinds=[_kind(each) for each in kind or ()],
        owners=owner or (),
        datasets=dataset or (),
        layers=layer or (),
        subjects=subject or (),
        partitions=partition or (),
    )
    if not any((dataset, kind, subject, partition, layer, owner)):
        raise SettingsError(
            "Everything would be silenced",
            where="options of silence",
            expected="which problems: --dataset, --kind, --subject, --partition, --layer, --owner",
            found="none of them",
            fix="say which; --subject '*' is everything",
        )
    now, book = _opened()
    made = book.silence(
        match, until=now + _span(until), author=by or getpass.getuser(), reason=reason, now=now
    )
    console.print(f"silenced until {made.until:{SHOWN}} UTC: {escape(_meant(match))} ({made.id})")


@alerts_app.command("unsilence")
@explained
def unsilence(
    silence_id: Annotated[
        str, typer.Argument(metavar="SILENCE", help="The silence's id; its beginning is enough.")
    ],
) -> None:
    """End a silence before its time."""
    now, book = _opened()
    ended = book.unsilence(silence_id, now)
    console.print(f"no longer silenced: {escape(_meant(ended.match))}")


@alerts_app.command("discard")
@explained
def discard(
    message: Annotated[str, typer.Argument(help="The message's id, as `list` shows it.")],
) -> None:
    """Give up a message that no route takes, because there is nobody to read it any more."""
    _, book = _opened()
    book.discard(message)
    console.print(f"{message} is not sent any more")


@alerts_app.command("test")
@explained
def try_route(route: Annotated[str, typer.Argument(help="The route's name.")]) -> None:
    """Send a message through a route that says that nothing is wrong; exit 1 where it fails."""
    from platform_assets.alerts.message import trial
    from platform_assets.alerts.senders import send_safely

    policy = _policy()
    now = datetime.now(UTC)
    found = policy.route(route)
    if found is None:
        raise SettingsError(
            "There is no such route",
            where=f"argument {route}",
            expected="one of " + ", ".join(each.name for each in policy.routes),
            found=route,
            fix="correct the name",
        )
    outcome = send_safely(found.target, trial(route, now), (), now)
    if outcome.error:
        console.print(f"[red]not sent[/] by {route} ({escape(found.target.shown)})")
        console.print(f"  {escape(outcome.error)}", highlight=False)
        raise typer.Exit(EXIT_PARTIAL)
    console.print(f"sent by {route} ({escape(found.target.shown)})")


def _opened() -> tuple[datetime, Book]:
    from platform_assets.alerts.book import Book
    from platform_assets.alerts.database import Database
    from platform_assets.settings import load_settings

    settings = load_settings()
    return datetime.now(UTC), Book(Database(settings.watch), settings.ui_url)


def _policy() -> Policy:
    from platform_assets.alerts.policy import load_policy
    from platform_assets.settings import load_settings

    settings = load_settings()
    return load_policy(settings.alerts, settings.data_dir)


def _policy_if_sound() -> Policy | None:
    """The policy; a mistake in it is told, and keeps nobody from seeing what is wrong."""
    try:
        return _policy()
    except SettingsError as error:
        errors.print(f"[yellow]the policy is not in force:[/] {escape(str(error))}")
        return None


def _as_json(
    incident: Incident, problems: Sequence[Problem], policy: Policy | None
) -> dict[str, Any]:
    root = _root(incident, problems)
    return {
        "incident": incident.id,
        "severity": str(incident.severity),
        "kind": root.signal.kind if root else "",
        "subject": root.signal.subject if root else "",
        "title": _redacted(root.signal.title) if root else "",
        "since": incident.since,
        "over_at": incident.over_at,
        "problems": len(problems),
        "partitions": sorted({p.signal.partition for p in problems if p.signal.partition}),
        "owners": list(root.signal.owners) if root else [],
        "told": _told(incident, problems, policy),
        "acknowledged_by": incident.ack.by if incident.ack else None,
        "acknowledged_because": incident.ack.reason if incident.ack else None,
        "silenced": bool(incident.silence),
        "reopened": incident.reopened,
        "signals": incident.signals,
        "command": _redacted(root.signal.command) if root else "",
    }


def _told(incident: Incident, problems: Sequence[Problem], policy: Policy | None) -> list[str]:
    """The routes that were told; where none was and none will be, that is said."""
    if incident.told or policy is None:
        return list(incident.told)
    wanted = any(policy.routes_of(each.signal) for each in problems)
    return [] if wanted else ["nobody: no route takes it"]


def _root(incident: Incident, problems: Sequence[Problem]) -> Problem | None:
    return next((p for p in problems if p.key == incident.root), next(iter(problems), None))


def _table(
    incidents: Sequence[Incident],
    problems: Mapping[str, Sequence[Problem]],
    policy: Policy | None,
    now: datetime,
) -> Table:
    from platform_assets.alerts.message import lasted

    table = Table(title=f"{len(incidents):,} incidents")
    for name in ("id", "severity", "since", "lasts", "what", "problems", "told", "state"):
        table.add_column(name, overflow="fold")
    for each in incidents:
        own = problems[each.id]
        root = _root(each, own)
        what = f"{root.signal.subject}: {root.signal.title or root.signal.kind}" if root else ""
        state = "over" if not each.is_open else "silenced" if each.silence else "open"
        state = f"taken on by {each.ack.by}" if each.is_open and each.ack else state
        table.add_row(
            each.id[:8],
            str(each.severity),
            f"{each.since:{SHOWN}}",
            lasted(((each.over_at or now) - each.since).total_seconds()),
            escape(_redacted(what)),
            f"{len(own):,}",
            escape(", ".join(_told(each, own, policy))),
            escape(state),
        )
    return table


def _unsent_json(unsent: Unsent) -> dict[str, Any]:
    message = unsent.message
    told = {name: value for name, value in vars(unsent).items() if name != "message"}
    return {"id": message.id, "route": message.route, "title": message.title, **told}


def _print_unsent(unsent: Unsent) -> None:
    message = unsent.message
    state = "no route takes it" if unsent.stuck else "not sent yet"
    failed = f", tried {unsent.attempts:,} times: {unsent.error}" if unsent.attempts else ""
    console.print(
        f"[{'red' if unsent.stuck else 'yellow'}]{state}[/] {message.id} to {message.route}, "
        f"since {message.at:{SHOWN}} UTC{escape(failed)}\n  {escape(message.title)}",
        highlight=False,
    )


def _meant(match: Match) -> str:
    given = {
        name: value if isinstance(value, str) else ", ".join(value)
        for name, value in vars(match).items()
    }
    return "; ".join(f"{n} {v}" for n, v in given.items() if v and (n, v) != ("severity", "info"))


def _kind(text: str) -> Kind:
    import difflib

    from platform_assets.alerts.signals import Kind

    known = [each.value for each in Kind]
    if text in known:
        return Kind(text)
    near = difflib.get_close_matches(text, known, n=1)
    raise SettingsError(
        "An option is not a kind of problem",
        where=f"option --kind {text}",
        expected=", ".join(known),
        found=text,
        fix=f"write {near[0]}" if near else "correct the option",
    )


def _span(text: str) -> timedelta:
    from platform_assets.alerts.policy_options import span

    try:
        found = span(text)
    except ValueError as error:
        raise SettingsError(
            "An option is not a time span",
            where=f"option --for {text}",
            expected=str(error),
            found=text,
            fix="correct the option",
        ) from None
    return found


def _redacted(text: str) -> str:
    from platform_assets.alerts.redaction import redacted

    return redacted(text)
