"""Pages in a real browser: every look with what is hard to draw, and the demonstration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autopublish.cards import LOOKS, draw, page
from autopublish.models import Picture, Post, Span, SpanKind
from tests.realworld.servers.browser import Browser, Sight

pytestmark = pytest.mark.realworld

_ROOT = Path(__file__).parents[2]
_PICTURES = _ROOT / "config" / "demo" / "pictures"
_LINK = "https://www.news.example/2026/11/24/" + "a-very-long-address-" * 8
_NOW = datetime(2026, 11, 24, 7, 5, tzinfo=UTC)

each_width = pytest.mark.parametrize("width", [320, 360, 480, 1100])
each_scheme = pytest.mark.parametrize("scheme", ["light", "dark"])


def picture(*, width: int, height: int) -> Picture:
    """The same file stands for every shape: the style goes by the numbers."""
    return Picture(
        path="banjir.jpg", sha256="0" * 64, type="image/jpeg", width=width, height=height, size_bytes=9, alt="A river"
    )


def post(title: str, *, tags: tuple[str, ...] = ("Kaltim", "IKN"), link: str | None = _LINK, **more: object) -> Post:
    text = f"{title}\n{link or ''}\n"
    spans = [Span(kind=SpanKind.LINK, start=len(title) + 1, end=len(title) + 1 + len(link), value=link)] if link else []
    for tag in tags:
        spans.append(Span(kind=SpanKind.HASHTAG, start=len(text), end=len(text) + len(tag) + 1, value=tag))
        text += f"#{tag} "
    values: dict[str, object] = {"summary": "The river rose. " * 30, "picture": picture(width=1200, height=630)}
    return Post(  # the rest fits the fields that it names
        text=text,
        link=link,
        title=title,
        spans=tuple(spans),
        created_at=_NOW,
        published=_NOW,
        length=501,
        room=500,
        shortened=("text", "summary", "title", "hashtags"),
        **(values | more),  # type: ignore[arg-type]
    )


_HARD = (
    post("The river rises"),
    post("Without a picture", picture=None),
    post("Mempertanggungjawabkan" * 20, tags=("Sangat" * 40,)),
    post("Title and more title " * 40, picture=picture(width=3000, height=200)),
    post("مسجد على ضفاف النهر يفتح مكتبته للجميع " * 6, picture=picture(width=200, height=3000)),
    post("👨‍👩‍👧‍👦" * 60, tags=tuple(f"Tag{number}" for number in range(80))),
    post("A photo alone", link=None, picture=picture(width=200, height=3000)),
    post("", tags=(), summary=""),
)


@pytest.fixture(scope="module")
def every_look(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every hard post in every look."""
    folder = tmp_path_factory.mktemp("looks")
    shutil.copy(_PICTURES / "banjir.jpg", folder)
    accounts = ("Kaltim Kini", "Dinas Komunikasi dan Informatika Provinsi Kalimantan Timur", "W" * 60)
    drawn = [
        draw(one, look=look, account=accounts[at % 3], url=f"#{look}{at}", picture_src=_src(one), anchor=f"{look}{at}")
        for look in LOOKS
        for at, one in enumerate(_HARD)
    ]
    file = folder / "index.html"
    file.write_text(page(drawn, title="Kaltim Kini", lead="The newest.", feeds={"application/rss+xml": ("RSS", "x")}))
    return file


def _src(one: Post) -> str | None:
    return one.picture.path if one.picture else None


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the demonstration left its pages."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(_ROOT / "config", folder / "config", ignore=shutil.ignore_patterns("out"))
    words = [sys.executable, "-m", "autopublish", "run", "--config", str(folder / "config" / "demo.yaml"), "--json"]
    environment = {**os.environ, "AUTOPUBLISH_INSTANCE": "realworld"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"]["posted"] > 0
    return folder / "config" / "demo" / "out"


def faults(sight: Sight) -> Iterator[str]:
    """What a person would complain of."""
    if sight.overflow_px > 0:
        yield f"{sight.overflow_px} pixels too wide"
    yield from sight.errors
    yield from (f"cut off: {element}" for element in sight.clipped)
    yield from (f"not shown: {address}" for address in sight.broken)
    yield from (f"asked for {address}" for address in sight.asked if not address.startswith(("file:", "data:")))


@each_width
@each_scheme
def test_every_look_fits_the_window_and_breaks_no_rule_of_its_page(
    browser: Browser, every_look: Path, scheme: str, width: int
) -> None:
    sight = browser.look(every_look, width=width, scheme=scheme)

    assert list(faults(sight)) == []
    assert sight.articles == len(LOOKS) * len(_HARD)


@each_scheme
def test_the_demonstration_fits_a_phone(browser: Browser, demo: Path, scheme: str) -> None:
    pages = sorted(demo.glob("*/index.html"))
    sights = {file.parent.name: browser.look(file, width=360, scheme=scheme) for file in pages}

    assert len(sights) >= 4
    assert [(name, fault) for name, sight in sights.items() for fault in faults(sight)] == []
    assert min(sight.articles for sight in sights.values()) > 0


def test_the_page_is_dark_where_people_want_it_dark(browser: Browser, every_look: Path) -> None:
    light, dark = (browser.look(every_look, width=1100, scheme=scheme).ground for scheme in ("light", "dark"))

    assert (light, dark) == ("rgb(244, 241, 234)", "rgb(17, 19, 23)")


def test_the_browser_sees_what_is_wrong(browser: Browser, tmp_path: Path) -> None:
    wrong = '<img src="gone.jpg"><script>throw Error("no")</script><article><div style="width: 900px">x</div></article>'
    (tmp_path / "index.html").write_text(f"<!doctype html><title>x</title>{wrong}")

    sight = browser.look(tmp_path / "index.html", width=360, scheme="light")

    assert sight.overflow_px > 0
    assert len(sight.clipped) == len(sight.broken) == 1
    assert any("no" in line for line in sight.errors)
