"""Settings: from the environment and .env, and errors that name the setting and never its value."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_assets.errors import SettingsError
from platform_assets.settings import load_settings

SECRET = "sixteen characters or more"  # no secret of anything


def test_defaults(bare_environment: Path) -> None:
    settings = load_settings()
    assert settings.catalog == Path("data/lake/catalog.sqlite")
    assert settings.files == Path("data/lake/files")
    assert settings.shop == Path("data/shop")
    assert settings.scratch == Path("data/scratch")
    assert settings.batch_bytes == 256_000_000
    assert settings.pii_key_bytes is None


def test_the_environment_goes_before_the_file(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(".env").write_text(
        "# a comment\nPLATFORM_ASSETS_BATCH_MB=5\nexport PLATFORM_ASSETS_DATA_DIR=/from/file\n"
        "PLATFORM_ASSETS_PII_KEY=\nOTHER=1\n"
    )
    monkeypatch.setenv("PLATFORM_ASSETS_BATCH_MB", "7")
    monkeypatch.setenv("PLATFORM_ASSETS_LAKE_CATALOG", "/elsewhere/c.sqlite")
    settings = load_settings()
    assert settings.batch_bytes == 7_000_000
    assert settings.data_dir == Path("/from/file")
    assert settings.catalog == Path("/elsewhere/c.sqlite")
    assert settings.pii_key_bytes is None


@pytest.mark.parametrize("where", ["environment", "file"])
@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("PLATFORM_ASSETS_DATADIR", "rename it to PLATFORM_ASSETS_DATA_DIR"),
        ("PLATFORM_ASSETS_" + "Q" * 40, "remove PLATFORM_ASSETS_" + "Q" * 40),
    ],
)
def test_an_unknown_setting_is_an_error(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch, where: str, name: str, fix: str
) -> None:
    if where == "file":
        Path(".env").write_text(f"{name}={SECRET}\n")
    else:
        monkeypatch.setenv(name, SECRET)
    with pytest.raises(SettingsError, match="Unknown setting") as caught:
        load_settings()
    assert name in caught.value.where
    assert "PLATFORM_ASSETS_DATA_DIR" in caught.value.expected
    assert caught.value.found == name
    assert caught.value.fix == fix
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("BATCH_MB", "many-of-them", "valid integer"),
        ("BATCH_MB", "0", "greater than or equal to 1"),
        ("THREADS", "-1-of-them", "valid integer"),
        ("MEMORY_LIMIT", "a-lot-of-it", "match pattern"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(f"PLATFORM_ASSETS_{name}", value)
    with pytest.raises(SettingsError, match="wrong form") as caught:
        load_settings()
    assert f"PLATFORM_ASSETS_{name}" in caught.value.where
    assert expected in caught.value.expected
    assert "not shown" in caught.value.found
    assert f"correct PLATFORM_ASSETS_{name}" in caught.value.fix
    assert len(value) < 3 or value not in str(caught.value)


def test_a_key_has_to_be_long_enough_and_is_never_shown(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_ASSETS_PII_KEY", "short-secret")
    with pytest.raises(SettingsError, match="too short") as caught:
        load_settings()
    assert "short-secret" not in str(caught.value)
    assert caught.value.found == "12 characters"
    monkeypatch.setenv("PLATFORM_ASSETS_PII_KEY", SECRET)
    settings = load_settings()
    assert settings.pii_key_bytes == SECRET.encode()
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


def test_settings_are_read_once(bare_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_settings()
    monkeypatch.setenv("PLATFORM_ASSETS_BATCH_MB", "1")
    assert load_settings() is first
