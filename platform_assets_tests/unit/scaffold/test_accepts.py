"""A proposed contract accepts the very sample that it was made from, whatever the table is."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.contracts import compile_contract
from platform_assets.declared.contract import contract_class
from platform_assets.documents.document import parse_document
from platform_assets.scaffold import propose, render_pinned
from platform_assets_tests.unit.scaffold.support import (
    judge,
    load_dataset,
    module_text,
    sample_of,
    write_csv,
)

RUFF = Path(sys.executable).with_name("ruff")
# A line end in a field is the CSV reader's own matter; NUL ends in its refusal.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=12)
WORDS = st.sampled_from(["web", "app", 'say "so"', "it's", "back\\slash", "no", "null", "ä"])
VALUES: dict[str, st.SearchStrategy[str]] = {
    "int": st.integers(-(2**70), 2**70).map(str),
    "small": st.integers(-5, 40).map(str),
    "zeros": st.integers(0, 999).map(lambda n: f"{n:05}"),
    "decimal": st.decimals(-1000, 1000, places=3).map(str),
    "money": st.decimals(0, 1000, places=2).map(str),
    "float": st.floats(allow_nan=True, allow_infinity=True).map(str),
    "bool": st.sampled_from(["true", "False", "t", "no", "1", "0", "Y"]),
    "date": st.dates(date(1, 1, 1), date(9999, 12, 31)).map(str),
    "slashed": st.dates(date(1000, 1, 1)).map(lambda d: f"{d.day:02}/{d.month:02}/{d.year}"),
    "datetime": st.datetimes(datetime(1900, 1, 1)).map(str),
    "zoned": st.datetimes(datetime(1900, 1, 1)).map(lambda d: f"{d.isoformat()}+02:00"),
    "text": TEXT,
    "word": WORDS,
    "code": st.from_regex(r"[A-Z]{2}-[0-9]{4}", fullmatch=True),
    "email": st.from_regex(r"[a-z]{1,8}@[a-z]{1,8}\.com", fullmatch=True),
    "phone": st.from_regex(r"\+44 [0-9]{9}", fullmatch=True),
    "card": st.from_regex(r"[0-9]{16}", fullmatch=True),
    "ip": st.tuples(*[st.integers(0, 255)] * 4).map(lambda octets: ".".join(map(str, octets))),
}
NAMES = st.sampled_from(
    [
        "id", "thing_id", "updated_at", "created_at", "date", "name", "class", "validate", "int",
        "Total (GBP)", "e mail", "Straße", "lat", "is_open", "share", "customer_id", "1st",
        "Config", "no", "phone", "ip", "version", "A", "a b", "a-b", "back\\slash", 'quo"te',
    ]
)  # fmt: skip


@st.composite
def tables(draw: Any) -> dict[str, list[str | None]]:
    """A table of columns of one kind each, some with nulls and dirt."""
    rows = draw(st.integers(0, 70))
    names = draw(st.lists(NAMES, max_size=5, unique_by=str.lower))
    table: dict[str, list[str | None]] = {"row": [str(n) for n in range(rows)]}
    for name in names:
        value = VALUES[draw(st.sampled_from(sorted(VALUES)))]
        few = draw(st.booleans())
        pool = draw(st.lists(value, min_size=1, max_size=3)) if few else None
        cell: st.SearchStrategy[str | None] = st.sampled_from(pool) if pool else value
        if draw(st.booleans()):
            cell = st.one_of(cell, cell, cell, st.none(), TEXT)
        table[name] = draw(st.lists(cell, min_size=rows, max_size=rows))
    return table


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=tables())
def test_a_proposal_accepts_its_sample(table: dict[str, list[str | None]]) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_csv(folder / "things.csv", table)
        with sample_of(folder, "things.csv") as sample:
            proposal = propose(sample, "things")
            text = module_text(proposal, "things.csv")
            dataset = load_dataset(text, folder)
            verdict = judge(sample, dataset.compiled)
            assert verdict.rows == len(table["row"])
            assert verdict.broken == ()
        assert [column.source for column in dataset.compiled.columns] == list(table)

        # The pinned contract demands the very same.
        pinned = parse_document(render_pinned(proposal, "1"), folder / "things.yaml")
        contract = contract_class(pinned, (), "things")
        assert compile_contract(contract, "things").version == dataset.compiled.version

        formatted = subprocess.run(
            [RUFF, "format", "--line-length", "100", "-"],
            input=text, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert formatted.stdout == text


def test_a_proposal_is_of_exact_types() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        table = {"price": ["1.50", "20.255"], "share": ["0.25", "1"]}
        write_csv(folder / "things.csv", table)
        with sample_of(folder, "things.csv") as sample:
            dataset = load_dataset(module_text(propose(sample, "things"), "things.csv"), folder)
    price, share = dataset.compiled.columns
    assert (price.sql_type, price.type.python) == ("DECIMAL(18,3)", Decimal)
    assert share.sql_type == "DECIMAL(18,2)"
