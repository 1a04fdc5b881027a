"""The shape of the code: one-way arrows, small modules that say what belongs there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path
    for folder in ("platform_assets", "platform_assets_tests", "examples", "bench")
    for path in (ROOT / folder).rglob("*.py")
    if "target" not in path.parts
)
PRODUCT = [path for path in MODULES if path.is_relative_to(ROOT / "platform_assets")]
MAX_LINES = 400


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def test_arrows_point_one_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    broken = lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None)
    assert broken == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_a_module_is_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", PRODUCT, ids=names(PRODUCT))
def test_a_module_says_what_it_is(path: Path) -> None:
    told = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    assert told
    declares = path.parent.name == "datasets" or path.name == "__init__.py"
    short = len(path.read_text(encoding="utf-8").splitlines()) <= 40
    assert declares or short or ("Belongs here" in told and "oes not belong" in told)


def test_annotations_of_dagster_functions_are_not_strings() -> None:
    """Dagster reads the annotation of a context, and refuses one that is a string."""
    wrong = []
    for path in PRODUCT:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        postponed = any(
            isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body
        )
        decorated = any(
            isinstance(node, ast.FunctionDef)
            and node.args.args
            and node.args.args[0].arg == "context"
            and any("dg." in ast.unparse(each) for each in node.decorator_list)
            for node in ast.walk(tree)
        )
        wrong += [path] if postponed and decorated else []
    assert wrong == []
