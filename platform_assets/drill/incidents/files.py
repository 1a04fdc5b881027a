"""Incidents of how files are written: what is in them cannot be read, or not as it was meant.

Belongs here: declarations and their injectors. Does not belong here: values that are wrong in a
file that can be read (``values``), and how many rows there are (``volume``).
"""

from __future__ import annotations

from platform_assets.drill.incident import Expect, Incident, Injector, Scene, learnt

_READ, _SCHEMA, _TYPES = "reading", "schema", "types"
_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>\n"


def half(scene: Scene) -> None:
    """The file ends in the middle of a row."""
    content = scene.content
    end = len(content) // 2
    while content[end - 1 : end] == b"\n" or content[end : end + 1] in {b"\n", b","}:
        end += 1
    scene.replace(content[:end])


def zero_bytes(scene: Scene) -> None:
    """The file has no byte."""
    scene.replace(b"")


def other_encoding(scene: Scene) -> None:
    """The file is written in Latin-1, with a question mark for what that does not have."""
    scene.replace(scene.content.decode("utf-8").encode("latin-1", errors="replace"))


def twice_encoded(scene: Scene) -> None:
    """UTF-8 was taken for Latin-1 and encoded again."""
    scene.replace(scene.content.decode("latin-1").encode("utf-8"))


def semicolons(scene: Scene) -> None:
    """The delimiter is a semicolon."""
    scene.replace(scene.content.replace(b",", b";"))


def headless(scene: Scene) -> None:
    """The file begins with its first row."""
    scene.replace(scene.content.split(b"\n", 1)[1])


def header_again(scene: Scene) -> None:
    """Two files were joined, each with its header."""
    header, rows = scene.content.split(b"\n", 1)
    lines = rows.splitlines(keepends=True)
    middle = len(lines) // 2
    scene.replace(b"".join([header, b"\n", *lines[:middle], header, b"\n", *lines[middle:]]))


def error_page(scene: Scene) -> None:
    """What was downloaded is the proxy's page about its error."""
    scene.replace(_PAGE)


def torn(scene: Scene) -> None:
    """The last line of a day's events is cut off."""
    scene.replace(scene.content[:-40])


def twice(scene: Scene) -> None:
    """The file's rows are in it twice."""
    scene.rewrite("SELECT * FROM file UNION ALL SELECT * FROM file")


def select(query: str) -> Injector:
    """An injector that writes a query of the file."""

    def inject(scene: Scene) -> None:
        scene.rewrite(query)

    return inject


INCIDENTS = (
    Incident(
        "half a file", "The orders file ends in the middle of a row.",
        "orders", half, _READ,
    ),
    Incident(
        "zero-byte file", "The orders file has no byte.",
        "orders", zero_bytes, _READ,
    ),
    Incident(
        "encoding broken", "The customers file is written in Latin-1.",
        "customers", other_encoding, _READ,
    ),
    Incident(
        "encoded twice", "UTF-8 was taken for Latin-1: names look like RenÃ©e.",
        "customers", twice_encoded, "none: names are dropped", Expect.PERHAPS,
    ),
    Incident(
        "delimiter changed", "The orders file has semicolons.",
        "orders", semicolons, _READ,
    ),
    Incident(
        "header missing", "The orders file begins with its first row.",
        "orders", headless, _READ,
    ),
    Incident(
        "header in the middle", "Two orders files were joined, each with its header.",
        "orders", header_again, _TYPES,
    ),
    Incident(
        "error page as a file", "In place of orders there is a proxy's HTML page.",
        "orders", error_page, _READ,
    ),
    Incident(
        "last line cut off", "The last line of the user events is not whole.",
        "user_events", torn, _READ,
    ),
    learnt(
        "duplicated file", "Every row of the orders file is in it twice.",
        "orders", twice, "duplicates",
    ),
    Incident(
        "column dropped", "The orders file has no column channel.",
        "orders", select("SELECT * EXCLUDE (channel) FROM file"), _SCHEMA,
    ),
    Incident(
        "optional column dropped", "The user events have no campaign, which may be null.",
        "user_events", select("SELECT * EXCLUDE (campaign) FROM file"), _SCHEMA,
    ),
    Incident(
        "column renamed", "total_amount is called amount_total.",
        "orders", select("SELECT * RENAME (total_amount AS amount_total) FROM file"), _SCHEMA,
    ),
    Incident(
        "column added", "The orders file has a column more: discount.",
        "orders", select("SELECT *, '0.00' AS discount FROM file"), _SCHEMA,
    ),
    Incident(
        "type change", "quantity is '2 pcs' where it was 2.",
        "orders", select("SELECT * REPLACE (quantity || ' pcs' AS quantity) FROM file"), _TYPES,
    ),
    Incident(
        "type change in JSON", "duration_ms is a decimal number of seconds, as a text.",
        "user_events",
        select("SELECT * REPLACE (duration_ms / 1000.0 || 's' AS duration_ms) FROM file"), _TYPES,
    ),
    Incident(
        "decimal comma", "Amounts are written 12,50.",
        "orders",
        select("SELECT * REPLACE (replace(total_amount, '.', ',') AS total_amount) FROM file"),
        _TYPES,
    ),
    Incident(
        "currency sign in amounts", "Amounts are written £12.50.",
        "orders", select("SELECT * REPLACE ('£' || total_amount AS total_amount) FROM file"),
        _TYPES,
    ),
    Incident(
        "date format changed", "ordered_at is written 31/12/2025 10:00.",
        "orders",
        select(
            "SELECT * REPLACE (strftime(CAST(ordered_at AS TIMESTAMP), '%d/%m/%Y %H:%M') "
            "AS ordered_at) FROM file"
        ),
        _TYPES,
    ),
    learnt(
        "text cut off", "A field of the web site's export holds 3 characters: pages are /ki.",
        "user_events", select("SELECT * REPLACE (substr(page, 1, 3) AS page) FROM file"),
        "categories",
    ),
)  # fmt: skip
