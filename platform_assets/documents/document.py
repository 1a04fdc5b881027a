"""A YAML file whose every node knows its line and column.

Belongs here: reading YAML into plain values, and errors that point into the file. Does not belong
here: what the values mean.

A number with a point is read as an exact ``Decimal``; who wants a float makes one of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeAlias, TypeVar

import yaml

from platform_assets.errors import PlatformError, SettingsError

Place: TypeAlias = tuple[str | int, ...]
"""How a node is reached from the top: keys and positions."""

E = TypeVar("E", bound=PlatformError)
MAX_NODES = 500_000
"""Aliases of aliases grow without bound; a real file has a few thousand nodes."""
_LONGEST_SHOWN = 60
# The loader that libyaml drives is five times as fast; a build of PyYAML may come without.
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Document:
    """A YAML file that was read.

    Attributes:
        file: The file.
        data: Its content as dict, list, str, int, Decimal, bool, date, datetime and None.
        marks: Line and column of each node, from 1.
        key_marks: Line and column of the key of each node that has one.
    """

    file: Path
    data: object = None
    marks: dict[Place, tuple[int, int]] = field(default_factory=dict, repr=False)
    key_marks: dict[Place, tuple[int, int]] = field(default_factory=dict, repr=False)

    def at(self, place: Place) -> object:
        """The value of a node; None where there is none."""
        value: object = self.data
        for part in place:
            if isinstance(value, dict):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]
            else:
                return None
        return value

    def line(self, place: Place) -> int:
        """The line of a node, or of the nearest one around it."""
        return self._position(place, self.marks)[0]

    def where(self, place: Place, *, key: bool = False) -> str:
        """A node as an error names it: file, line, column and the way to it.

        Args:
            place: The node.
            key: Whether the key is meant, and not its value.
        """
        line, column = self._position(place, self.key_marks if key else self.marks)
        told = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
        return f"{self.file}, line {line}, column {column}" + (
            f" ({told.lstrip('.')})" if told else ""
        )

    def _position(self, place: Place, marks: dict[Place, tuple[int, int]]) -> tuple[int, int]:
        if place in marks:
            return marks[place]
        for length in range(len(place) - 1, -1, -1):
            if place[:length] in self.marks:
                return self.marks[place[:length]]
        return (1, 1)

    def error(
        self,
        kind: type[E],
        what: str,
        place: Place,
        *,
        expected: str,
        found: str,
        fix: str,
        key: bool = False,
    ) -> E:
        """The error that points at a node; to be raised."""
        return kind(what, where=self.where(place, key=key), expected=expected, found=found, fix=fix)

    def unknown(
        self, kind: type[E], what: str, place: Place, known: Collection[str], *, key: bool = True
    ) -> E:
        """The error for a name that is not one of those known; it suggests the nearest.

        Args:
            kind: Class of the error.
            what: What is wrong, in a sentence.
            place: The node; its last part is the name, or with ``key=False`` its value.
            known: The names that there are.
            key: Whether the name is a key.
        """
        name = str(place[-1] if key else self.at(place))
        near = difflib.get_close_matches(name, list(known), n=1)
        return self.error(
            kind,
            what,
            place,
            expected="one of " + ", ".join(sorted(known)) if known else "none",
            found=name,
            fix=f"rename it to {near[0]}" if near else "correct the name, or remove it",
            key=key,
        )


def shown(value: object) -> str:
    """A scalar as an error may show it: its type, and what it says where that is short."""
    if isinstance(value, dict | list):
        return f"a {'mapping' if isinstance(value, dict) else 'list'}"
    if value is None:
        return "nothing"
    text = str(value) if isinstance(value, Decimal) else repr(value)
    if len(text) > _LONGEST_SHOWN:
        return type(value).__name__
    return f"{text} ({'float' if isinstance(value, Decimal) else type(value).__name__})"


def read_document(file: Path) -> Document:
    """Read a YAML file.

    Args:
        file: The file.

    Raises:
        SettingsError: The file cannot be read, is no YAML, or has a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            "A file of declarations cannot be read",
            where=str(file),
            expected="a YAML file in UTF-8",
            found=(error.strerror if isinstance(error, OSError) else "bytes that are not UTF-8")
            or type(error).__name__,
            fix="correct the file's rights or encoding",
        ) from None
    return parse_document(text, file)


def parse_document(text: str, file: Path) -> Document:
    """Read YAML text.

    Args:
        text: The text.
        file: Where it is from, for errors.

    Raises:
        SettingsError: The text is no YAML, or has a key twice.
    """
    document = Document(file)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                document.data = _Walk(document, loader).value(node, ())
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SettingsError(
            "A file of declarations is not YAML",
            where=f"{file}, line {line}, column {column}",
            expected="YAML without tags of its own",
            # The problem alone: the context quotes the line, which may hold anything.
            found=str(getattr(error, "problem", None) or "characters that YAML does not allow"),
            fix="look at that line and the one before it: indentation, a quote, a colon",
        ) from None
    return document


class _Walk:
    """One pass over the nodes of a document."""

    def __init__(self, document: Document, loader: yaml.SafeLoader) -> None:
        self.document = document
        self.loader = loader
        self.nodes = 0
        self.around: list[yaml.Node] = []

    def value(self, node: yaml.Node, place: Place) -> object:
        """The plain value of a node; its marks are noted on the way."""
        self.document.marks[place] = _position(node)
        self.nodes += 1
        if self.nodes > MAX_NODES or any(node is each for each in self.around):
            raise self.document.error(
                SettingsError,
                "A file of declarations repeats itself without end",
                place,
                expected=f"at most {MAX_NODES:,} nodes, aliases written out",
                found="an alias inside of what it stands for"
                if self.nodes <= MAX_NODES
                else "more",
                fix="take the alias out",
            )
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, place)
        self.around.append(node)
        if isinstance(node, yaml.SequenceNode):
            found: object = [
                self.value(child, (*place, number)) for number, child in enumerate(node.value)
            ]
        else:
            assert isinstance(node, yaml.MappingNode)
            found = self._mapping(node, place)
        self.around.pop()
        return found

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, object]:
        own: set[str] = set()
        for key, _ in node.value:
            name = self._key(key, place)
            if name in own:
                self.document.key_marks[(*place, name)] = _position(key)
                raise self.document.error(
                    SettingsError,
                    "A key is there twice: only one of them could count",
                    (*place, name),
                    expected="each key once",
                    found=name,
                    fix="take one of the two out, or rename it",
                    key=True,
                )
            own.add(name)
        # `<<: *defaults`: what is merged comes first, so that the mapping's own keys win.
        self.loader.flatten_mapping(node)
        found: dict[str, object] = {}
        for key, child in node.value:
            name = self._key(key, place)
            self.document.key_marks[(*place, name)] = _position(key)
            found[name] = self.value(child, (*place, name))
        return found

    def _key(self, node: yaml.Node, place: Place) -> str:
        value = self._scalar(node, place) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:merge":
            return "<<"
        if isinstance(value, str):
            return value
        self.document.key_marks[place] = _position(node)
        raise self.document.error(
            SettingsError,
            "A key is not text",
            place,
            expected="text",
            found=shown(value) if isinstance(node, yaml.ScalarNode) else "a list or mapping",
            fix="put it in quotes: YAML reads a bare yes, no, on, off or number as what it is",
            key=True,
        )

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> object:
        if node.tag == "tag:yaml.org,2002:merge":
            return "<<"
        if node.tag == "tag:yaml.org,2002:float":
            try:
                return Decimal(node.value.replace("_", ""))
            except InvalidOperation:
                pass  # `.inf`, `.nan` and `1:30.5` are YAML's own
        try:
            return self.loader.construct_object(node)
        except ValueError:
            self.document.marks[place] = _position(node)
            raise self.document.error(
                SettingsError,
                "A value looks like a date or a number and is none",
                place,
                expected="a day or time that exists, or text in quotes",
                found="one that does not exist",
                fix="correct it, or put it in quotes",
            ) from None


def _position(node: yaml.Node) -> tuple[int, int]:
    return (node.start_mark.line + 1, node.start_mark.column + 1)
