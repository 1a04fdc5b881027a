"""Connections of ``sources.yaml``: resources, and secrets that are in no file, message or repr."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from pydantic import Field

from platform_assets.errors import PlatformError, SettingsError
from platform_assets.resources import FolderResource, declared
from platform_assets.resources.connections import ConnectionResource
from platform_assets.resources.declared import ConnectionKind, all_connections, opened
from platform_assets_tests.unit.declared.support import load

SECRET = "no secret of anything"


class VaultResource(ConnectionResource):
    """A connection with a secret, a number and an address."""

    host: str
    port: int = Field(default=1)
    user: str = Field(default="")
    password: str = Field(default="", repr=False)

    @property
    def connection(self) -> tuple[str, int, str, str]:
        """What it leads to."""
        return (self.host, self.port, self.user, self.password)


@pytest.fixture(autouse=True)
def vault(installation: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more kind: a line of the table, as any new kind is."""
    kind = ConnectionKind(f"{__name__}:VaultResource")
    kinds = {**declared.CONNECTION_KINDS, "vault": kind}
    monkeypatch.setattr(declared, "CONNECTION_KINDS", kinds)


def made(folder: Path, text: str) -> dict[str, ConnectionResource]:
    return all_connections(load(folder, f"connections:\n  {text}\n"))


def test_a_folder(tmp_path: Path) -> None:
    found = made(tmp_path, f"files: {{kind: folder, path: {tmp_path}}}")
    assert set(found) == {"shop", "files"}
    assert found["files"] == FolderResource(path=str(tmp_path))
    assert opened("files", found["files"]) == tmp_path


def test_without_a_file_there_is_what_the_code_brings(tmp_path: Path) -> None:
    assert set(all_connections()) == {"shop"}


def test_secrets_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "v: {kind: vault, host: {env: V_HOST}, port: {env: V_PORT}, password: {env: V_PASSWORD}}"
    found = made(tmp_path, text)["v"]
    assert isinstance(found, VaultResource)
    assert isinstance(found.password, dg.EnvVar)
    monkeypatch.setenv("V_HOST", "h")
    monkeypatch.setenv("V_PORT", "5432")
    # As Dagster does, a command looks into `.env` too; the environment goes first.
    Path(".env").write_text(f"V_PASSWORD={SECRET}\nV_HOST=other\n")
    monkeypatch.delenv("V_PASSWORD", raising=False)
    assert opened("v", found) == ("h", 5432, "", SECRET)
    monkeypatch.delenv("V_PASSWORD")
    assert SECRET not in repr(found) + str(found)


def test_a_variable_that_is_not_set_is_named(tmp_path: Path) -> None:
    found = made(tmp_path, "v: {kind: vault, host: h, password: {env: V_NOT_SET}}")["v"]
    with pytest.raises(SettingsError, match="not set") as caught:
        opened("v", found)
    assert "V_NOT_SET" in caught.value.expected
    assert caught.value.where == "connection 'v'"


@pytest.mark.parametrize(
    ("text", "what", "place", "expected"),
    [
        (f"v: {{kind: vault, host: h, password: {SECRET}}}", "secret is written", "v.password",
         "password: {env: NAME}"),
        (f"v: {{kind: vault, host: h, password: [{SECRET}]}}", "secret is written", "v.password",
         "password: {env: NAME}"),
        (f"v: {{kind: vault, host: h, auth: {{token: {SECRET}}}}}", "secret is written",
         "v.auth.token", "token: {env: NAME}"),
        (f"v: {{kind: vault, host: h, password: {{env: '{SECRET}'}}}}", "wrong form",
         "v.password", "match pattern"),
        (f"v: {{kind: vault, host: h, port: {SECRET}}}", "wrong form", "v.port", "integer"),
        ("v: {kind: vault, hots: h}", "no such key", "v.hots", "host"),
        ("v: {kind: vault}", "key is missing", "v", "the key host"),
        ("v: {kind: valut}", "no such kind", "v.kind", "vault"),
        ("v: {host: h}", "key is missing", "v", "the key kind"),
        ("v: vault", "not a mapping", "v)", "a mapping"),
        ("v: {kind: folder, path: {env: A, or: b}}", "no such key", "v.path", "env"),
    ],
)  # fmt: skip
def test_a_mistake_is_pointed_at_and_shows_no_value(
    tmp_path: Path, text: str, what: str, place: str, expected: str
) -> None:
    with pytest.raises(PlatformError) as caught:
        made(tmp_path, text)
    assert what in caught.value.what
    assert "sources.yaml, line 2, column" in caught.value.where
    assert place in caught.value.where
    assert expected in caught.value.expected
    assert SECRET not in str(caught.value)
