"""Pinned contracts: made once, the same until somebody asks, and only for what they are of."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_assets.contracts import Key
from platform_assets.declared import Entry, pins
from platform_assets.errors import ContractError, SettingsError
from platform_assets_tests.unit.declared.support import MINIMAL, load

INFERRED = MINIMAL.replace("{columns: {thing_id: str}}", "infer")


def pinned(folder: Path, columns: str, text: str = INFERRED) -> Entry:
    (entry,) = load(folder, text).entries
    wanted = pins.identity(entry.options.kind, entry.options.connection, entry.arguments)
    entry.pin.parent.mkdir(exist_ok=True)
    entry.pin.write_text(f"source: {wanted}\ncolumns:\n{columns}")
    return entry


def test_a_pinned_contract_is_the_dataset_s(tmp_path: Path) -> None:
    entry = pinned(tmp_path, "  thing_id: {type: str, key: true}\n  n: {type: int, ge: 0}\n")
    assert entry.pin == tmp_path / "contracts" / "things.yaml"
    compiled = entry.dataset().compiled
    assert compiled.key == ("thing_id",)
    assert [rule.name for rule in compiled.rules] == [
        "thing_id__not_null",
        "n__castable",
        "n__not_null",
        "n__ge",
    ]


def test_what_the_entry_says_counts_more_than_the_guess(tmp_path: Path) -> None:
    text = INFERRED + "    key: [n]\n    cursor: at\n"
    columns = (
        "  thing_id: {type: str, key: true}\n  n: {type: int, nullable: true}\n"
        "  at: {type: datetime, event_time: true}\n"
    )
    compiled = pinned(tmp_path, columns, text).dataset().compiled
    assert compiled.key == ("n",)
    assert not compiled.column("n").nullable
    assert compiled.cursor == compiled.event_time == compiled.column("at")


def test_a_pin_of_another_source_is_refused(tmp_path: Path) -> None:
    pinned(tmp_path, "  thing_id: str\n")
    (entry,) = load(tmp_path, INFERRED.replace("path: things/", "path: other/")).entries
    with pytest.raises(ContractError, match="pinned for another source") as caught:
        entry.dataset()
    assert caught.value.fix.endswith("platform-assets datasets infer things")
    entry.pin.write_text("columns: {thing_id: str}\n")
    with pytest.raises(ContractError, match="pinned for another source") as caught:
        entry.dataset()
    assert caught.value.found == "no source"


def test_a_description_does_not_unpin(tmp_path: Path) -> None:
    pinned(tmp_path, "  thing_id: str\n")
    (entry,) = load(tmp_path, INFERRED + "    description: Things.\n    key: thing_id\n").entries
    assert entry.dataset().compiled.key == ("thing_id",)


def test_a_mistake_in_a_pin_is_pointed_at_there(tmp_path: Path) -> None:
    entry = pinned(tmp_path, "  thing_id: {type: strr}\n")
    with pytest.raises(ContractError, match="not one that a contract knows") as caught:
        entry.dataset()
    assert caught.value.where.startswith(f"{entry.pin}, line 3, column 20")
    entry.pin.write_text("a: [\n")
    with pytest.raises(SettingsError, match="not YAML"):
        entry.dataset()


def test_a_key_in_code_is_the_same_as_a_key_in_a_pin(tmp_path: Path) -> None:
    field = pinned(tmp_path, "  thing_id: {type: str, key: true}\n").dataset().contract.__fields__
    assert type(field["thing_id"][1]) is type(Key())
