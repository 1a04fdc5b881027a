"""From a sample to a proposed contract: each column's type, nulls, role, references and rules.

Belongs here: putting the guesses together, and roles: key, event time, cursor, references. Does not
belong here: the guesses about one column alone (``typing_guess``, ``personal``, ``ranges``).
"""

from __future__ import annotations

import itertools
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from platform_assets.contracts import Contract
from platform_assets.dataset import Dataset
from platform_assets.provenance import FILE_COLUMN
from platform_assets.scaffold.personal import Personal, guess_personal
from platform_assets.scaffold.proposal import Proposal, ProposedColumn
from platform_assets.scaffold.ranges import Seen, guess_checks
from platform_assets.scaffold.sample import Sample
from platform_assets.scaffold.typing_guess import Guess, guess_type
from platform_assets.sources.base import SourceColumn
from platform_assets.sql import quote_identifier as q

_TYPES = ("str", "int", "float", "bool")
_IDENTITY = re.compile(r"(^|_)(id|key|no|nr|num|number|code|uuid|guid|sku|ref)$")
_REFERRING = re.compile(r"(^|_)(id|key|uuid|guid)$")
_CURSOR = re.compile(
    r"(^|_)(updated|modified|changed|last_(update|modified|change)d?)($|_)|^version$"
)
_EVENT = (
    re.compile(r"^(event|occurred|happened|ordered|placed|paid|sold|sent)(_|$)|_?event_time$"),
    re.compile(r"^(created|inserted|registered|signed_up|opened|started|booked)(_|$)"),
    re.compile(r"(_at|_on|_time|_date|_day|^date|^day|^timestamp|^time)$"),
)
_GENERIC = {"id", "key", "code", "name", "no", "number"}
REPEATED = 0.02
"""Share of keys that may be there again: a source that sends newer versions of a row does that."""
COMPOUND_COLUMNS = 6


@dataclass(frozen=True)
class Known:
    """What there is besides the source, for references.

    Attributes:
        datasets: The other datasets.
        held: The relation of a dataset's published rows; None: there are none.
    """

    datasets: Sequence[Dataset] = ()
    held: Callable[[str], str | None] = field(default=lambda _: None)


@dataclass(frozen=True)
class _Counts:
    """Figures of one column.

    Attributes:
        filled: Values that are not null.
        distinct: Different ones among them.
        per_file: Sum over the files of the different ones in each.
    """

    filled: int
    distinct: int
    per_file: int


def propose(sample: Sample, dataset: str, known: Known | None = None) -> Proposal:
    """Propose a contract.

    Args:
        sample: Rows of the source.
        dataset: The dataset's name.
        known: What there is besides the source; None: nothing.
    """
    usable = [column for column in sample.columns if not column.name.startswith("_")]
    names = contract_names([column.name for column in usable])
    counts = {column.name: _counts(sample, column) for column in usable}
    types = {column.name: guess_type(sample, column) for column in usable}
    personal = {
        column.name: guess_personal(
            sample, column, dataset, types[column.name].type.python.__name__
        )
        for column in usable
    }
    roles = _roles(sample, dataset, usable, counts, types, personal)
    columns = [
        _column(
            sample,
            column,
            names[column.name],
            types[column.name],
            counts[column.name],
            personal[column.name],
            roles.get(column.name, ("", "")),
            # Two datasets with one key are as often one thing twice as one thing of the other.
            (None, "")
            if roles.get(column.name, ("", ""))[0] == "key"
            else _reference(sample, dataset, column, types[column.name], known or Known()),
        )
        for column in usable
    ]
    left_out = {
        column.name: "a name that begins with an underscore is the platform's"
        for column in sample.columns
        if column.name.startswith("_")
    }
    return Proposal(dataset, tuple(columns), sample.told, left_out, sample.partitions)


def singular(name: str) -> str:
    """One of many: ``orders`` → ``order``, ``categories`` → ``category``."""
    for ending, one in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")):
        if name.endswith(ending):
            return name.removesuffix(ending) + one
    return name.removesuffix("s") if not name.endswith("ss") else name


def contract_names(sources: Sequence[str]) -> dict[str, str]:
    """The contract's name of each of the source's columns: snake case, each once.

    Args:
        sources: The source's names.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for source in sources:
        split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", source)
        name = re.sub(r"[^A-Za-z0-9]+", "_", split).strip("_").lower()
        # What the source wrote stays, where it can.
        name = source if re.fullmatch(r"[a-z][a-z0-9_]*", source) else name
        if not name or not name[0].isalpha():
            name = f"column_{name}".rstrip("_")
        if keyword.iskeyword(name) or name in _TYPES or name in dir(Contract):
            name += "_"
        unique = name
        for number in itertools.count(2):
            if unique not in taken:
                break
            unique = f"{name}_{number}"
        taken.add(unique)
        names[source] = unique
    return names


def _counts(sample: Sample, column: SourceColumn) -> _Counts:
    row = sample.engine.execute(
        f"SELECT coalesce(sum(filled), 0), count(DISTINCT value), count(value) FROM ("
        f"SELECT {q(column.name)} AS value, {FILE_COLUMN}, count({q(column.name)}) AS filled "
        f"FROM {sample.table} GROUP BY 1, 2)"
    ).fetchone()
    assert row is not None
    return _Counts(int(row[0]), int(row[1]), int(row[2]))


def _roles(
    sample: Sample,
    dataset: str,
    columns: Sequence[SourceColumn],
    counts: Mapping[str, _Counts],
    types: Mapping[str, Guess],
    personal: Mapping[str, Personal | None],
) -> dict[str, tuple[str, str]]:
    """Key, cursor and event time by column, each with the evidence."""
    always = [c for c in columns if sample.rows and counts[c.name].filled == sample.rows]
    named = {name for name, found in personal.items() if found is not None and found.named}
    roles = _key(sample, dataset, [c for c in always if c.name not in named], counts, types)
    if not roles:
        for column in columns:
            if column.name.lower() in _own_names(dataset):
                told = "called like the key, but not there in each row, or not different enough"
                roles[column.name] = ("", told)
    open_ = [c for c in columns if c.name not in roles and personal[c.name] is None]
    timed = [c for c in open_ if types[c.name].type.python.__name__ in ("datetime", "date")]
    for column in [*timed, *(c for c in open_ if types[c.name].type.python is int)]:
        if _CURSOR.search(column.name.lower()):
            roles[column.name] = ("cursor", "cursor: called like the time of the last change")
            break
    for pattern in _EVENT:
        for column in timed:
            if column not in always or column.name in roles:
                continue
            if pattern.search(column.name.lower()):
                roles[column.name] = ("event_time", "event time: a time that is always there")
                return roles
    return roles


def _key(
    sample: Sample,
    dataset: str,
    always: Sequence[SourceColumn],
    counts: Mapping[str, _Counts],
    types: Mapping[str, Guess],
) -> dict[str, tuple[str, str]]:
    names = {column.name for column in always}
    if sample.primary_key and set(sample.primary_key) <= names:
        return dict.fromkeys(
            sample.primary_key, ("key", "key: the source's system declares it as primary key")
        )
    own = _own_names(dataset)
    fit = [c for c in always if types[c.name].type.python.__name__ in ("str", "int")]
    ranked = sorted(
        (c for c in fit if c.name.lower() in own or _IDENTITY.search(c.name.lower())),
        key=lambda c: c.name.lower() not in own,
    )
    for column in ranked:
        count = counts[column.name]
        if count.distinct == sample.rows:
            return {column.name: ("key", f"key: {sample.rows:,} rows, each with its own")}
        again = sample.rows - count.distinct
        if column.name.lower() in own and (
            count.per_file == sample.rows or again <= REPEATED * sample.rows
        ):
            told = (
                f"key: {count.distinct:,} different in {sample.rows:,} rows; {again:,} come again"
            )
            return {column.name: ("key", f"{told}, and of these the newest counts")}
    return _compound(sample, ranked)


def _own_names(dataset: str) -> set[str]:
    """What the key of a dataset is called, as a rule."""
    return {"id", f"{singular(dataset)}_id", f"{dataset}_id", f"{singular(dataset)}_no"}


def _compound(sample: Sample, ranked: Sequence[SourceColumn]) -> dict[str, tuple[str, str]]:
    """Two columns that identify a row together."""
    for one, other in itertools.combinations(ranked[:COMPOUND_COLUMNS], 2):
        row = sample.engine.execute(
            f"SELECT count(*) FROM (SELECT DISTINCT {q(one.name)}, {q(other.name)} "
            f"FROM {sample.table})"
        ).fetchone()
        if row == (sample.rows,):
            told = f"key: {sample.rows:,} rows, each with its own pair"
            return {each.name: ("key", told) for each in (one, other)}
    return {}


def _column(
    sample: Sample,
    column: SourceColumn,
    name: str,
    guess: Guess,
    count: _Counts,
    personal: Personal | None,
    role: tuple[str, str],
    reference: tuple[str | None, str],
) -> ProposedColumn:
    empty = sample.rows - count.filled
    nulls = f"{empty:,} of {sample.rows:,} are null" if empty else "never null"
    if not sample.rows:
        nulls = "no row was seen"
    if column.nullable is False:
        nulls += "; the source says it is never null"
    elif not empty and column.nullable:
        nulls += ", though the source allows it"
    evidence = [*guess.evidence, nulls, role[1], reference[1]]
    if personal is not None:
        seen = Seen({"str_matches": personal.pattern} if personal.pattern else {})
        # A key has to tell rows apart, and an event time has to be readable.
        pii = "hash" if role[0] == "key" else personal.pii
        evidence.append(personal.evidence)
    else:
        identity = role[0] == "key" or bool(_REFERRING.search(name) or reference[0])
        seen, pii = guess_checks(sample, column, guess, identity=identity or role[0] != ""), None
        evidence += seen.evidence
    decimal = (guess.type.precision, guess.type.scale) if guess.type.precision else None
    return ProposedColumn(
        name=name,
        source=column.name,
        type=guess.type.python.__name__,
        decimal=decimal,
        format=guess.format,
        nullable=bool(empty or not sample.rows) and column.nullable is not False,
        role=role[0],
        pii=pii,
        references=reference[0],
        checks=seen.checks,
        evidence=tuple(part for part in evidence if part),
    )


def _leads_to(other: Dataset, dataset: str, known: Known) -> bool:
    """Whether a dataset is this one, or refers to it: a reference back would be a circle."""
    by_name = {each.name: each for each in known.datasets}
    seen: set[str] = set()
    waiting = [other.name]
    while waiting:
        name = waiting.pop()
        if name == dataset:
            return True
        if name not in seen and name in by_name:
            waiting += by_name[name].references
        seen.add(name)
    return False


def _reference(
    sample: Sample, dataset: str, column: SourceColumn, guess: Guess, known: Known
) -> tuple[str | None, str]:
    """The dataset that a column refers to, and the evidence; only a comment where it is unsure."""
    name = contract_names([column.name])[column.name]
    for other in known.datasets:
        key = other.compiled.key
        if len(key) != 1 or _leads_to(other, dataset, known):
            continue
        target = other.compiled.column(key[0])
        called = {f"{singular(other.name)}_id", f"{singular(other.name)}_{target.name}"}
        if name not in called | ({target.name} - _GENERIC):
            continue
        if target.pii is not None or target.type.python is not guess.type.python:
            continue
        place = f"{other.name}.{target.name}"
        relation = known.held(other.name)
        if relation is None:
            return None, f"called like {place}; not compared, as nothing of it is in the lake"
        value = guess.value(column)
        row = sample.engine.execute(
            f"SELECT count(*), count(*) FILTER (WHERE value IN (SELECT {q(target.name)} FROM "
            f"{relation})) FROM (SELECT {value} AS value FROM {sample.table}) "
            "WHERE value IS NOT NULL"
        ).fetchone()
        assert row is not None
        told = f"{row[1]:,} of {row[0]:,} values are in {place}"
        return (place if row[0] and row[0] == row[1] else None), told
    return None, ""
