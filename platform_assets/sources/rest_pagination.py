"""How an API hands out its pages: declared, walked, and never in a circle.

Belongs here: the declarations, and where the next page is. Does not belong here: sending a
request (``rest_client``), or what is in a page (``json_pages``).

dlt's paginators tell where the next page is. What they lack is here: to go on from where a killed
fetch stopped, and to notice that an API gives the same page for ever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import requests

from platform_assets.errors import SourceError
from platform_assets.sources.json_pages import Page, value_at

if TYPE_CHECKING:
    from dlt.sources.helpers.rest_client.paginators import BasePaginator


@dataclass(frozen=True)
class SinglePage:
    """Everything in one answer."""


@dataclass(frozen=True)
class PageNumber:
    """Pages are numbered; a page without records is behind the last.

    Attributes:
        param: The query parameter of the number.
        first: Number of the first page.
        size_param: The parameter of how many records a page has; empty: not said.
        size: How many records to ask for.
        pages: Path to the number of pages in an answer; empty: it is not told.
    """

    param: str = "page"
    first: int = 1
    size_param: str = ""
    size: int = 100
    pages: str = ""


@dataclass(frozen=True)
class Offset:
    """A page begins after so many records; one without records is behind the last.

    Attributes:
        limit: How many records to ask for. An API that gives fewer, and has more, is refused:
            the next offset would pass over records.
        offset_param: The parameter of the offset.
        limit_param: The parameter of the limit.
    """

    limit: int = 100
    offset_param: str = "offset"
    limit_param: str = "limit"


@dataclass(frozen=True)
class Cursor:
    """A page tells what to send to get the next.

    Attributes:
        path: Path to the cursor in an answer; nothing there: it was the last page.
        param: The query parameter that it is sent as.
        more: Path to whether there is a next page; empty: it is not told.
    """

    path: str
    param: str = "cursor"
    more: str = ""


@dataclass(frozen=True)
class LinkHeader:
    """The address of the next page is in the ``Link`` header.

    Attributes:
        rel: The relation that leads to it.
    """

    rel: str = "next"


@dataclass(frozen=True)
class NextUrl:
    """The address of the next page is in the answer.

    Attributes:
        path: Path to it; nothing there: it was the last page.
    """

    path: str = "next"


Paginator: TypeAlias = SinglePage | PageNumber | Offset | Cursor | LinkHeader | NextUrl


def _of_dlt(declared: Paginator) -> BasePaginator:
    # Imported where it is needed: it takes half a second.
    from dlt.sources.helpers.rest_client import paginators as dlt

    match declared:
        case PageNumber():
            # dlt counts up to the number of pages from the first one's number.
            return dlt.PageNumberPaginator(
                base_page=declared.first,
                page_param=declared.param,
                total_path=declared.pages or None,
            )
        case Offset():
            return dlt.OffsetPaginator(
                limit=declared.limit,
                offset_param=declared.offset_param,
                limit_param=declared.limit_param,
                total_path=None,
            )
        case Cursor():
            return dlt.JSONResponseCursorPaginator(
                declared.path, declared.param, has_more_path=declared.more or None
            )
        case LinkHeader():
            return dlt.HeaderLinkPaginator(declared.rel)
        case NextUrl():
            return dlt.JSONLinkPaginator(declared.path)
        case SinglePage():
            return dlt.SinglePagePaginator()


@dataclass
class Circle:
    """Notices a sequence that repeats itself, whatever its length, and remembers three values.

    Brent's algorithm: the value at each power of two is compared with those that follow it.
    """

    power: int = 1
    steps: int = 0
    held: str = ""

    def closes(self, value: str) -> bool:
        """Take the next value; whether it was there before."""
        if value == self.held:
            return True
        self.steps += 1
        if self.steps >= self.power:
            self.held, self.power, self.steps = value, self.power * 2, 0
        return False


@dataclass
class Walk:
    """The way through the pages of one fetch.

    Attributes:
        declared: How the API hands out its pages.
        url: Of the endpoint.
        params: Of every request.
        secret_param: The parameter that a key is sent as; never kept.
        following: Where the next page is; None: at the beginning.
        watch: What the loop detection remembers of an earlier part of the fetch.
    """

    declared: Paginator
    url: str
    params: Mapping[str, str]
    secret_param: str = ""
    following: Mapping[str, Any] | None = None
    watch: Mapping[str, Any] = field(default_factory=dict)
    done: bool = False

    def __post_init__(self) -> None:
        """Stand before the page that is to be asked for."""
        self._paginator: Any = _of_dlt(self.declared)
        params: dict[str, Any] = dict(self.params)
        if isinstance(self.declared, PageNumber) and self.declared.size_param:
            params[self.declared.size_param] = self.declared.size
        self.request = requests.Request("GET", self.url, params=params)
        self._paginator.init_request(self.request)
        self._pages, self._places = (
            Circle(**self.watch.get(name, {})) for name in ("pages", "places")
        )
        self._short = bool(self.watch.get("short"))
        if self.following is not None:
            self._resume(self.following)

    def _resume(self, following: Mapping[str, Any]) -> None:
        if "value" in following:
            self._paginator.current_value = following["value"]
            self._paginator.update_request(self.request)
        elif "cursor" in following:
            assert isinstance(self.declared, Cursor)  # the declaration is part of the folder's name
            self.request.params[self.declared.param] = following["cursor"]
        else:
            self.request.url, self.request.params = following["url"], {}

    def advance(self, response: requests.Response, page: Page, where: str) -> None:
        """Go on behind a page.

        Args:
            response: The answer, with its body.
            page: What was in it.
            where: Connection, path and page, for the message.

        Raises:
            SourceError: The answer does not tell what it should, or the pages go in a circle.
        """
        if isinstance(self.declared, Offset):
            self._refuse_gaps(len(page.records), where)
        if page.records:
            digest = hashlib.sha256("\n".join(page.records).encode()).hexdigest()[:32]
            if self._pages.closes(digest) and not isinstance(self.declared, SinglePage):
                raise _circle(where, "records that it gave before")
        try:
            self._paginator.update_state(response, list(page.records))
        except ValueError:
            # dlt's text repeats the answer.
            raise SourceError(
                "A page does not tell whether there is a next one",
                where=where,
                expected=f"what {type(self.declared).__name__} says is in an answer",
                found="nothing there, or something else",
                fix="correct RestEndpoint(paginator=…)",
            ) from None
        self.done = not self._paginator.has_next_page
        if self.done:
            self.following = None
            return
        before = self.request.url
        self._paginator.update_request(self.request)
        self.following = self._place(before)
        if isinstance(self.declared, Cursor | LinkHeader | NextUrl):
            place = hashlib.sha256(repr(sorted(self.following.items())).encode()).hexdigest()[:32]
            if self._places.closes(place):
                raise _circle(where, "a place of the next page that it gave before")

    def _place(self, before: str) -> dict[str, Any]:
        """Where the next page is, without a secret that the API repeats."""
        if isinstance(self.declared, PageNumber | Offset):
            return {"value": self._paginator.current_value}
        if isinstance(self.declared, Cursor):
            return {"cursor": self.request.params[self.declared.param]}
        url = urljoin(before, str(self.request.url))
        parts = urlsplit(url)
        if self.secret_param:
            pairs = parse_qsl(parts.query, keep_blank_values=True)
            kept = [(name, value) for name, value in pairs if name != self.secret_param]
            if len(kept) != len(pairs):
                url = urlunsplit(parts._replace(query=urlencode(kept)))
        self.request.url, self.request.params = url, {}
        return {"url": url}

    def remembered(self) -> dict[str, Any]:
        """What the loop detection has to know when the fetch is gone on with."""
        return {
            "pages": vars(self._pages).copy(),
            "places": vars(self._places).copy(),
            "short": self._short,
        }

    def _refuse_gaps(self, count: int, where: str) -> None:
        assert isinstance(self.declared, Offset)  # asked for such only
        limit = self.declared.limit
        if count > limit or (self._short and count):
            raise SourceError(
                "An API gives pages of another size than it was asked for",
                where=where,
                expected=f"{limit} records in each page but the last",
                found=f"{count} records in this page"
                + ("" if count > limit else ", after one that was not full"),
                fix="set Offset(limit=…) to the size of its pages; records may have been passed "
                "over, and nothing of this partition was loaded",
            )
        self._short = count < limit


def total_of(page: Page, path: str, where: str) -> int | None:
    """How many records the API says that there are.

    Args:
        page: The page.
        path: Path to it; empty: it is not told.
        where: Connection, path and page, for the message.

    Raises:
        SourceError: There is no number there.
    """
    if not path:
        return None
    found = value_at(page.document, path)
    if isinstance(found, str) and found.isascii() and found.isdigit():
        return int(found)
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    raise SourceError(
        "A page does not tell how many records there are",
        where=where,
        expected=f"a number at {path!r}",
        found="nothing, or something else",
        fix="correct RestEndpoint(total=…)",
    )


def _circle(where: str, what: str) -> SourceError:
    return SourceError(
        "An API gives the same page again and again",
        where=where,
        expected="a page that was not there before, or the end",
        found=what,
        fix="correct RestEndpoint(paginator=…): does the API know the parameter?",
    )
