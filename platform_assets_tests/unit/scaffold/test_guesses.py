"""What is guessed from a sample: types, roles, rules, personal data; and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_assets.contracts import Contract, Field, Key
from platform_assets.scaffold import Known
from platform_assets.scaffold.propose import contract_names, singular
from platform_assets_tests.support import things
from platform_assets_tests.unit.scaffold.support import proposed

# Numbers that card schemes and banks publish for tests.
CARDS = ["4111 1111 1111 1111", "5500-0000-0000-0004", "340000000000009"]
IBANS = ["GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "FR1420041010050500013M02606"]


@pytest.mark.parametrize(
    ("values", "type_", "told"),
    [
        (["1", "-2"], "int", "int: all 2 values"),
        (["1.0", "17850.0"], "int", "int: all"),
        (["10.00", "3.5"], "Decimal", "at most 2 digits before the point and 1 after it"),
        (["1e5", "2.5"], "float", "float: all"),
        (["true", "false"], "bool", "bool: all"),
        (["Y", "N"], "bool", "bool: all"),
        (["no", "no"], "str", "1 different among 2 values"),
        (["0", "1"], "int", "int: all"),
        (["007", "123"], "str", "1 of 2 values begin with a zero"),
        (["99999999999999999999", "1"], "str", "more than 64 bits"),
        (["2025-01-31", "2024-02-29"], "date", "date: all"),
        (["2025-01-31 10:00", "2025-01-31T10:00:00Z"], "datetime", "datetime: all"),
        (["31/01/2025", "01/02/2025"], "date", "as %d/%m/%Y"),
        (["12/31/2025 10:30", "01/02/2025 00:00"], "datetime", "as %m/%d/%Y %H:%M"),
        (["01/02/2025", "03/04/2025"], "str", "%d/%m/%Y and %m/%d/%Y"),
        (["1", *["2"] * 18, "two"], "str", "19 of 20 values read as int"),
        ([None, None], "str", "no value in the sample tells the type"),
    ],
)
def test_types(tmp_path: Path, values: list[str | None], type_: str, told: str) -> None:
    rows = [str(n) for n in range(len(values))]
    found = proposed(tmp_path, {"row": rows, "thing": values})["thing"]
    assert found.type == type_
    assert told in "; ".join(found.evidence)
    assert found.nullable == (None in values)


def test_a_name_can_say_that_zero_and_one_are_a_flag(tmp_path: Path) -> None:
    found = proposed(tmp_path, {"is_open": ["0", "1"], "latitude": ["51.5", "-0.1"]})
    assert found["is_open"].type == "bool"
    assert (found["latitude"].type, found["latitude"].checks) == ("float", {"ge": -90, "le": 90})


def test_roles(tmp_path: Path) -> None:
    found = proposed(
        tmp_path,
        {
            "order_id": ["1", "2", "3"],
            "line": ["1", "2", "1"],
            "updated_at": ["2025-01-01 10:00:00"] * 3,
            "ordered_at": ["2025-01-01 09:00:00"] * 3,
        },
        "orders",
    )
    assert {name: column.role for name, column in found.items() if column.role} == {
        "order_id": "key",
        "updated_at": "cursor",
        "ordered_at": "event_time",
    }
    assert "key: 3 rows, each with its own" in found["order_id"].evidence


def test_two_columns_may_be_the_key_together(tmp_path: Path) -> None:
    table = {"order_id": ["1", "1", "2"], "line_no": ["1", "2", "1"], "n": ["5", "5", "5"]}
    found = proposed(tmp_path, table, "lines")
    assert [name for name, column in found.items() if column.role == "key"] == [
        "order_id",
        "line_no",
    ]


def test_versions_of_a_row_in_several_files_do_not_hide_the_key(tmp_path: Path) -> None:
    from platform_assets.scaffold import propose
    from platform_assets_tests.unit.scaffold.support import sample_of, write_csv

    for day in ("2025-01-01", "2025-01-02"):
        write_csv(tmp_path / "orders" / f"{day}.csv", {"order_id": ["1", "2"], "n": ["5", "6"]})
    with sample_of(tmp_path, "orders/{partition}.csv", "orders") as sample:
        proposal = propose(sample, "orders")
    assert proposal.columns[0].role == "key"
    assert "2 different in 4 rows; 2 come again" in "; ".join(proposal.columns[0].evidence)
    assert str(proposal.partitions) == "Daily(start=datetime.date(2025, 1, 1), end=None)"


def test_what_is_called_like_the_key_and_is_none_is_told(tmp_path: Path) -> None:
    found = proposed(tmp_path, {"order_id": ["1", "2", None], "n": ["5", "6", "7"]}, "orders")
    assert found["order_id"].role == ""
    assert "called like the key" in "; ".join(found["order_id"].evidence)


def test_rules(tmp_path: Path) -> None:
    rows = 60
    found = proposed(
        tmp_path,
        {
            "row": [str(n) for n in range(rows)],
            "channel": ["web", "app", "shop"] * 20,
            "rare": ["web"] * 59 + ["app"],
            "sku": [f"AB-{n:04}" for n in range(rows)],
            "path": [f"ab/{'c' * (n % 7 + 1)}{n}" for n in range(rows)],
            "hash": [f"{n:02}é{n:02}" for n in range(rows)],
            "amount": [f"{n}.50" for n in range(rows)],
            "balance": [f"{n - 5}.50" for n in range(rows)],
            "tax_rate": ["0.2", "0.05", "0.0"] * 20,
        },
    )
    checks = {name: dict(column.checks) for name, column in found.items()}
    assert checks == {
        "row": {"ge": 0},
        "channel": {"isin": ["app", "shop", "web"]},
        "rare": {},
        "sku": {"str_matches": "[A-Z]{2}-[0-9]{4}$"},
        "path": {"str_matches": "[a-z]+/[a-z]+[0-9]+$"},
        "hash": {"str_length": {"min_value": 5, "max_value": 5}},
        "amount": {"ge": 0},
        "balance": {},
        "tax_rate": {"ge": 0, "le": 1},
    }
    assert "from -5.50 to 54.50" in found["balance"].evidence


@pytest.mark.parametrize(
    ("name", "values", "pii", "told"),
    [
        ("contact", ["a@b.de", "c@d.fr"], "hash", "2 of 2 values look like an e-mail address"),
        ("eMail", ["none", "known"], "hash", "called like an e-mail address"),
        ("origin", ["10.0.0.1", "192.168.1.20"], "hash", "look like an IP address"),
        ("origin", ["2001:db8::1", "::1"], "hash", "look like an IP address"),
        ("paid_from", IBANS, "hash", "3 of 3 values look like an IBAN"),
        ("paid_with", CARDS, "drop", "3 of 3 values look like a payment card's number"),
        ("reach", ["+44 20 7946 0018", "(020) 7946-0234"], "mask", "look like a telephone number"),
        ("mobile", ["12", "13"], "mask", "called like a telephone number"),
        ("first_name", ["Ann", "Bob"], "drop", "called like a person's name"),
        ("delivery_address", ["1 High St", "2 Low St"], "drop", "called like a postal address"),
        ("date_of_birth", ["1990-01-31", "1980-01-31"], "drop", "called like a date of birth"),
        ("ssn", ["1", "2"], "hash", "called like a national identity number"),
        ("api_key", ["x", "y"], "drop", "called like a secret"),
    ],
)
def test_personal_data(tmp_path: Path, name: str, values: list[str], pii: str, told: str) -> None:
    (column,) = proposed(tmp_path, {name: values}).values()
    assert column.pii == pii
    assert told in "; ".join(column.evidence)
    assert column.role == ""
    assert not set(column.checks) - {"str_matches"}
    assert not any(value in "; ".join(column.evidence) for value in values if len(value) > 3)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("started", ["12:30:45", "23:59:59"]),
        ("order_no", ["1111111111111", "1111111111112"]),
        ("day", ["2025-01-31", "2025-02-28"]),
        ("amount", ["1234567.50", "2.25"]),
        ("email_sent_at", ["2025-01-31 10:00", "2025-02-28 11:00"]),
        ("name", ["Chair", "Table"]),
        ("account", ["GB82 WEST 1234 5698 7654 33", "DE89370400440532013001"]),
    ],
)
def test_what_only_looks_personal(tmp_path: Path, name: str, values: list[str]) -> None:
    (column,) = proposed(tmp_path, {name: values}).values()
    assert column.pii is None


def test_in_a_dataset_of_persons_a_name_is_theirs(tmp_path: Path) -> None:
    assert proposed(tmp_path, {"name": ["Ann", "Bob"]}, "customers")["name"].pii == "drop"


def test_a_personal_key_can_still_tell_rows_apart(tmp_path: Path) -> None:
    (column,) = proposed(tmp_path, {"user_id": CARDS}, "users").values()
    assert (column.role, column.pii) == ("key", "hash")


class Customer(Contract):
    """Who is referred to."""

    customer_id: int = Key()
    email: str = Field(pii="hash")


@pytest.mark.parametrize(
    ("values", "reference", "told"),
    [
        (["1", "2", None], "customers.customer_id", "2 of 2 values are in customers.customer_id"),
        (["1", "9"], None, "1 of 2 values are in customers.customer_id"),
    ],
)
def test_references(
    tmp_path: Path, values: list[str | None], reference: str | None, told: str
) -> None:
    customers = things("customers", contract=Customer)
    relation = "(SELECT unnest([1, 2, 3]) AS customer_id)"
    known = Known([customers], lambda name: relation if name == "customers" else None)
    rows = [str(n) for n in range(len(values))]
    found = proposed(tmp_path, {"order_id": rows, "customer_id": values}, "orders", known)
    assert found["customer_id"].references == reference
    assert told in found["customer_id"].evidence


def test_a_reference_is_not_proposed_unseen(tmp_path: Path) -> None:
    known = Known([things("customers", contract=Customer)])
    found = proposed(tmp_path, {"customer_id": ["1", "1"]}, "orders", known)
    assert found["customer_id"].references is None
    assert "not compared" in "; ".join(found["customer_id"].evidence)


def test_names_are_made_of_what_the_source_says() -> None:
    sources = ["Order ID", "orderId", "order_id", "1st", "Straße", "class", "validate", "int", "€"]
    assert list(contract_names(sources).values()) == [
        "order_id", "order_id_2", "order_id_3", "column_1st", "stra_e", "class_", "validate_",
        "int_", "column",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("many", "one"),
    [("orders", "order"), ("categories", "category"), ("addresses", "address"), ("boxes", "box"),
     ("news", "new"), ("staff", "staff"), ("address", "address")],
)  # fmt: skip
def test_one_of_many(many: str, one: str) -> None:
    assert singular(many) == one


class Order(Contract):
    """Refers to customers."""

    order_id: int = Key()
    customer_id: int = Field(references="customers.customer_id")


def test_a_reference_back_would_be_a_circle(tmp_path: Path) -> None:
    orders = things("orders", contract=Order)
    relation = "(SELECT 1 AS order_id)"
    known = Known([things("customers", contract=Customer), orders], lambda _: relation)
    table = {"customer_id": ["1", "2"], "order_id": ["1", "1"]}
    assert proposed(tmp_path, table, "customers", known)["order_id"].references is None
    assert proposed(tmp_path, table, "others", known)["order_id"].references == "orders.order_id"


def test_a_key_refers_to_nothing(tmp_path: Path) -> None:
    known = Known([things("orders", contract=Order)], lambda _: "(SELECT 1 AS order_id)")
    (column,) = proposed(tmp_path, {"order_id": ["1"]}, "copies", known).values()
    assert (column.role, column.references) == ("key", None)
