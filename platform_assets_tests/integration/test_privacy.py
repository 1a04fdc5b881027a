"""Personal values: never in the cleaned layer, a log, an error, an event or on the terminal.

Each personal value of these files is a sentinel that is looked for, byte by byte, wherever the
platform writes: only the raw rows and the quarantine, which keep what came, may have it.
"""

import hashlib
import hmac
import importlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandera.pandas as pa
import pytest
from typer.testing import CliRunner

from platform_assets.assets.build import build_definitions
from platform_assets.cli import main
from platform_assets.contracts import Contract, Field, Key
from platform_assets.dataset import Dataset
from platform_assets.resources import FolderResource, LakeResource
from platform_assets.settings import load_settings
from platform_assets.warehouse import tables
from platform_assets.warehouse.lake import Connection
from platform_assets_tests.conftest import Installation
from platform_assets_tests.support import D1, D2, D3, DAYS, PII_KEY, Site, things

HASHED, MASKED, DROPPED = "sentinel-mail@example.org", "sentinel-555", "Sentinel Name"
SENTINELS = (b"sentinel", b"Sentinel", PII_KEY.encode(), PII_KEY.encode().hex().encode())


class Person(Contract):
    """A person, whose every column is personal in its own way."""

    person_id: str = Key()
    email: str = Field(pii="hash", str_contains="@")
    phone: str = Field(nullable=True, pii="mask", str_length={"max_value": 20})
    full_name: str = Field(pii="drop")
    age: int = Field(pii="mask", ge=0)


class Nosy(Person):
    """With a check that raises, and says the value."""

    @pa.check("email")
    def loud(cls, values: Any) -> Any:
        """Raises."""
        raise ValueError(f"what is {list(values)}?")


HEADER = "person_id,email,phone,full_name,age"
GOOD = "".join(f"p{n},{HASHED},{MASKED},{DROPPED},30\n" for n in range(3))
FILES = {
    D1: f"{HEADER}\n{GOOD}",
    # Rules broken by personal values, above the limit.
    D2: f"{HEADER}\np1,sentinel-without-at,{MASKED * 3},{DROPPED},sentinel-age\n{GOOD}",
    # Lines that are no records.
    D3: f"{HEADER}\n{GOOD}p4,{HASHED},{MASKED},{DROPPED},30,sentinel-more\n",
    DAYS[3]: f'{HEADER}\n{GOOD}p4,"{HASHED},{MASKED},{DROPPED},30\n',
    DAYS[4]: f'{HEADER}\n{GOOD}p4,"sentinel"{HASHED},{MASKED},{DROPPED},30\n',
    DAYS[5]: f"{HEADER}\n{GOOD}p4,{HASHED},{MASKED},{DROPPED},30\n".replace("l-5", "l\udcff5"),
    # A row in the place of the header.
    DAYS[6]: GOOD,
    DAYS[7]: f"{HEADER}\n{GOOD}".replace("\n", "\r\n", 2),
}


def deliver(folder: Path, name: str, *days: str) -> None:
    (folder / name).mkdir(parents=True)
    for day in days or FILES:
        content = FILES[day]
        (folder / name / f"{day}.csv").write_bytes(content.encode(errors="surrogateescape"))


@dataclass
class Written:
    """What a run wrote, by where."""

    places: dict[str, bytes]


def people(name: str = "people", contract: type[Contract] = Person) -> Dataset:
    return things(name, contract=contract)


@pytest.fixture
def written(
    installation: Installation,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> Written:
    """Everything that a run over all these files wrote, and the commands that show it."""
    caplog.set_level(logging.DEBUG)
    deliver(tmp_path / "delivered", "people")
    deliver(tmp_path / "delivered", "nosy", D1)
    datasets = [people(), people("nosy", Nosy)]
    definitions = build_definitions(
        datasets, resources={"files": FolderResource(path=str(tmp_path / "delivered"))}
    )
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": D1,
            "dagster/asset_partition_range_end": DAYS[7],
        },
        raise_on_error=False,
    )
    assert not result.success
    monkeypatch.setattr("platform_assets.declared.catalogue.every_dataset", lambda: datasets)
    shown = ""
    for arguments in (
        ["quarantine", "list"],
        ["quarantine", "list", "--json"],
        ["summary"],
        ["summary", "--json"],
        ["contracts", "show", "people"],
    ):
        called = CliRunner().invoke(main.app, arguments)
        assert called.exit_code != 2, called.output
        shown += called.output
    with LakeResource().get_connection() as lake:
        ledger = str(lake.execute(f"SELECT * FROM {tables.LEDGER}").fetchall())
        cleaned = str(lake.execute(f"SELECT * FROM {tables.cleaned_table('people')}").fetchall())
    out, err = capfd.readouterr()
    return Written(
        {
            # Dagster's console logger and Python's loggers: either may say a line.
            "terminal and logs": (out + err + caplog.text).encode(),
            "commands": shown.encode(),
            "ledger": ledger.encode(),
            "cleaned": cleaned.encode(),
            "events": b"".join(
                path.read_bytes() for path in (tmp_path / "dagster").rglob("*") if path.is_file()
            ),
        }
    )


def test_no_personal_value_and_no_key_is_anywhere(written: Written) -> None:
    for place, content in written.places.items():
        assert len(content) > 100, place
        for sentinel in SENTINELS:
            assert sentinel not in content, f"{sentinel!r} is in the {place}"
    # It is not for lack of anything said.
    for day in list(FILES)[1:]:
        assert day.encode() in written.places["ledger"]
    assert b"its message is withheld" in written.places["ledger"]
    assert b"email__str_contains" in written.places["events"]
    assert b"***" in written.places["commands"]


def test_a_value_is_hashed_masked_or_dropped(site: Site) -> None:
    for day in (D1,):
        site.deliver(day, FILES[day], "people")
    site.run(people(), [D1])
    digest = hmac.new(PII_KEY.encode(), HASHED.encode(), hashlib.sha256).hexdigest()
    (first, *_) = (
        site.lake.execute(f"SELECT * FROM {tables.cleaned_table('people')} ORDER BY 1")
        .to_arrow_table()
        .to_pylist()
    )
    assert first == {
        "person_id": "p0",
        "email": digest,
        "phone": "***",
        "age": "***",
        "_partition": D1,
        "_source_file": f"people/{D1}.csv",
    }


def test_the_key_is_in_no_statement_and_no_repr(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(tmp_path / "delivered", "people")
    resource = LakeResource()
    said = [repr(resource), str(resource), repr(resource.config), repr(load_settings())]
    statements: list[str] = []

    class Listening:
        """A connection that notes each statement."""

        def __init__(self, inner: Connection) -> None:
            self.inner = inner

        def execute(self, query: str, *values: object) -> Connection:
            statements.append(query)
            return self.inner.execute(query, *values)  # type: ignore[arg-type]

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    with resource.get_connection() as lake:
        Site(Listening(lake), tmp_path / "delivered").run(people(), [D1])  # type: ignore[arg-type]
    padded = list(resource.config.variables.values())
    assert any("getvariable('pii_inner')" in each for each in statements)
    for text in (*said, *statements):
        assert PII_KEY not in text
        for value in padded:
            assert value.hex() not in text
            assert repr(value)[2:20] not in text


def test_an_engine_error_that_may_quote_a_value_is_not_repeated(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(duckdb.ConversionException, match="sentinel") as caught:
        site.lake.execute(f"SELECT CAST('{HASHED}' AS INTEGER)")

    def refuse(*_: object, **__: object) -> None:
        raise caught.value

    for module, layer in (("raw", 0), ("clean", 1)):
        site.deliver(D1, FILES[D1], module)
        with monkeypatch.context() as patch:
            patch.setattr(
                importlib.import_module(f"platform_assets.pipeline.{module}"), "publish", refuse
            )
            failed = site.run(people(module), [D1])[layer].failed[D1]
        assert "ConversionException" in failed.message
        assert "withheld" in failed.message
        assert "sentinel" not in failed.message
        assert f"dataset {module}" in failed.message or layer


def test_without_a_key_nothing_is_hashed_and_the_run_says_so(
    installation: Installation,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PLATFORM_ASSETS_PII_KEY")
    load_settings.cache_clear()
    deliver(tmp_path / "delivered", "people")
    definitions = build_definitions(
        [people()], resources={"files": FolderResource(path=str(tmp_path / "delivered"))}
    )
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance, partition_key=D1, raise_on_error=False
    )
    assert not result.success
    (event,) = (e for e in result.all_events if e.event_type is dg.DagsterEventType.STEP_FAILURE)
    error = event.step_failure_data.error
    assert error is not None
    assert error.cause is not None
    assert "There is no key to hash personal data with" in error.cause.message
    assert "dataset people, column email" in error.cause.message
