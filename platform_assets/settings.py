"""Settings: typed, from the environment and ``.env``, read in this one place.

Belongs here: what differs between two installations of the same code. Does not belong here: what
a dataset is (``datasets/``), or anything that reads a setting and then does something with it.
"""

from __future__ import annotations

import difflib
import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from platform_assets.errors import SettingsError

PREFIX = "PLATFORM_ASSETS_"
MINIMUM_KEY_LENGTH = 16


def _empty_is_unset(value: object) -> object:
    return None if value == "" else value


class Settings(BaseSettings):
    """One installation's settings; each is the environment variable ``PLATFORM_ASSETS_<NAME>``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    data_dir: Path = Field(
        Path("data"), description="Folder of everything generated: lake, sample data, scratch."
    )
    lake_catalog: Path | None = Field(
        None, description="The lake's SQLite catalog file. Default: <data_dir>/lake/catalog.sqlite"
    )
    lake_files: Path | None = Field(
        None, description="Folder of the lake's Parquet files. Default: <data_dir>/lake/files"
    )
    shop_dir: Path | None = Field(
        None, description="Folder that the demo shop delivers to. Default: <data_dir>/shop"
    )
    sources: Path = Field(
        Path("sources.yaml"),
        description="File that declares connections and datasets; it may be absent.",
    )
    alerts: Path = Field(
        Path("alerts.yaml"),
        description="File that says which alerts go to whom; it may be absent.",
    )
    ui_url: str = Field(
        "http://localhost:3000",
        pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$",
        description="Where people reach Dagster's UI: links in messages begin with it.",
    )
    ping_url: Annotated[SecretStr | None, BeforeValidator(_empty_is_unset)] = Field(
        None,
        description="Address outside that the watchdog calls after each healthy round; below it, "
        "/fail after any other.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How logs are written: text, or json: one object a line."
    )
    memory_limit: str = Field(
        "600MB",
        pattern=r"^\d+(\.\d+)?\s*([KMGT]i?B)$",
        description="Memory that the engine may use before it spills to disk.",
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="Threads of the engine. Default: one for what is small, all for the rest.",
    )
    batch_mb: Annotated[int, Field(ge=1)] = Field(
        256, description="Megabytes of source per transaction: what memory is bounded by."
    )
    pii_key: Annotated[SecretStr | None, BeforeValidator(_empty_is_unset)] = Field(
        None, description="Secret key of the keyed hash of personal data, 16 characters or more."
    )

    @property
    def catalog(self) -> Path:
        """The lake's catalog file."""
        return self.lake_catalog or self.data_dir / "lake" / "catalog.sqlite"

    @property
    def files(self) -> Path:
        """The folder of the lake's Parquet files."""
        return self.lake_files or self.data_dir / "lake" / "files"

    @property
    def shop(self) -> Path:
        """The folder that the demo shop delivers to."""
        return self.shop_dir or self.data_dir / "shop"

    @property
    def scratch(self) -> Path:
        """The folder that the engine spills to."""
        return self.data_dir / "scratch"

    @property
    def landing(self) -> Path:
        """The folder that answers of APIs are kept in."""
        return self.data_dir / "landing"

    @property
    def breakers(self) -> Path:
        """The file of the circuit breakers' state."""
        return self.data_dir / "breakers.sqlite"

    @property
    def watch(self) -> Path:
        """The database of alerts and heartbeats."""
        return self.data_dir / "watch.sqlite"

    @property
    def batch_bytes(self) -> int:
        """Bytes of source per transaction."""
        return self.batch_mb * 1_000_000

    @property
    def pii_key_bytes(self) -> bytes | None:
        """The secret of the keyed hash, or None where none is set."""
        return self.pii_key.get_secret_value().encode() if self.pii_key else None


def _names_in(env_file: Path) -> set[str]:
    if not env_file.is_file():
        return set()
    lines = env_file.read_text(encoding="utf-8").splitlines()
    return {line.split("=", 1)[0].strip().removeprefix("export ").strip() for line in lines}


def _refuse_unknown() -> None:
    """A mistyped setting is an error: silently keeping the default would be a wrong answer."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = {name.upper() for name in (*os.environ, *_names_in(Path(".env")))}
    for name in sorted(n for n in given if n.startswith(PREFIX) and n not in known):
        near = difflib.get_close_matches(name, known, n=1)
        raise SettingsError(
            "Unknown setting",
            where=f"environment variable or line of .env: {name}",
            expected="one of " + ", ".join(sorted(known)),
            found=name,
            fix=f"rename it to {near[0]}" if near else f"remove {name}",
        )


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        SettingsError: A setting is unknown or of the wrong form.
    """
    _refuse_unknown()
    try:
        settings = Settings()  # type: ignore[call-arg] # fields come from the environment
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        raise SettingsError(
            "A setting has a value of the wrong form",
            where=f"environment variable or line of .env: {name}",
            expected=first["msg"],
            found="a value that is not (not shown: it may be a secret)",
            fix=f"correct {name}; .env.example describes it",
        ) from None
    key = settings.pii_key_bytes
    if key is not None and len(key) < MINIMUM_KEY_LENGTH:
        raise SettingsError(
            "The key of the keyed hash is too short to protect anything",
            where=f"environment variable or line of .env: {PREFIX}PII_KEY",
            expected=f"{MINIMUM_KEY_LENGTH} characters or more",
            found=f"{len(key)} characters",
            fix="make one: python -c 'import secrets; print(secrets.token_hex(32))'",
        )
    return settings
