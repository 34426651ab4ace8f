"""The page in folders on a real disk, with faults that the kernel itself makes."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from autopublish import net
from autopublish.cards import LOOKS, PLAIN
from autopublish.errors import MediaRejected, NotSent, OutcomeUnknown, Unauthorized
from autopublish.models import FOREVER, Identity, Picture, Post, Receipt, Span, SpanKind, Stage
from autopublish.platforms._base import ReadBack
from autopublish.platforms._http import Http
from autopublish.platforms.page import LooksLike, Page
from tests.platforms.contract import Bench, Contract, Shown

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3, microseconds=123_456)
SINCE = PUBLISHED - timedelta(hours=1)
LINK = "https://kaltimkini.example/2026/11/24/banjir/?id=7"
TEXT = f"Banjir & <b>hujan</b> 👨‍👩‍👧‍👦\n{LINK}\n#Kaltim"
JPEG = b"\xff\xd8\xff\xe0" + b"a picture" * 20
POST = Post(
    text=TEXT,
    link=LINK,
    title="Banjir & <b>hujan</b>",
    summary="Air naik.",
    spans=(
        Span(kind=SpanKind.LINK, start=TEXT.index(LINK), end=TEXT.index(LINK) + len(LINK), value=LINK),
        Span(kind=SpanKind.HASHTAG, start=TEXT.index("#"), end=len(TEXT), value="Kaltim"),
    ),
    languages=("id",),
    created_at=CREATED,
    published=PUBLISHED,
    length=80,
    room=300,
)


def page(folder: Path, **settings: Any) -> Page:
    values = {"folder": str(folder), "title": "Kaltim Kini"} | settings
    with closing(net.Client(user_agent="autopublish-tests")) as client:
        return Page(Page.Settings.model_validate(values), Http(client))


def picture(folder: Path, content: bytes = JPEG) -> Picture:
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"{digest}.jpg"
    path.write_bytes(content)
    return Picture(
        path=str(path), sha256=digest, type="image/jpeg", width=120, height=63, size_bytes=len(content), alt="A boat"
    )


def publish(adapter: Page, post: Post = POST, key: str = KEY) -> Receipt:
    return adapter.publish(post, Stage(), key=key)


def nth(number: int) -> tuple[Post, str]:
    """A post and its key, each a minute later than the one before."""
    moment = CREATED + timedelta(minutes=number)
    return replace(POST, title=f"Post {number}", link=f"{LINK}&n={number}", created_at=moment), f"{number:032x}"


def fill(adapter: Page, numbers: range) -> None:
    for number in numbers:
        publish(adapter, *nth(number))


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def anchors(folder: Path) -> list[str]:
    """The keys of the posts that the page shows, in its order."""
    return [
        part.partition('"')[0] for part in (folder / "index.html").read_text().split(' id="')[1:] if part[:2] != "i-"
    ]


def feed_of(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "feed.json").read_text())
    return value


def channel_of(folder: Path) -> ET.Element:
    channel = ET.parse(folder / "feed.xml").getroot().find("channel")
    assert channel is not None
    return channel


@contextmanager
def full_disk(room_bytes: int = 10) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow beyond a few bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


# --- the contract test's part ----------------------------------------------------------------------------------------


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    sent: list[bytes] = []
    out = folder / "page"

    class Recorded(Page):
        def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
            receipt = super().publish(post, stage, key=key)
            written = (out / "posts" / f"{key}.json", *(out / name for name in ("index.html", "feed.json", "feed.xml")))
            sent.append(b"".join(path.read_bytes() for path in written))
            return receipt

    settings = Page.Settings.model_validate({"folder": str(out), "title": "Kaltim Kini"})
    with closing(net.Client(user_agent="autopublish-tests")) as client:
        yield Bench(
            make=lambda: Recorded(settings, Http(client)),
            post=replace(POST, picture=picture(folder)),
            sent=lambda: sent,
            visible=lambda: len(anchors(out)) if out.exists() else 0,
            seen=lambda: Shown(text=json.loads((out / "feed.json").read_text())["items"][0]["content_text"]),
        )


CONTRACT = Contract(bench=bench)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("looks_like", "text", "fits"),
    [
        pytest.param("bluesky", "👨‍👩‍👧‍👦" * 100, True, id="bluesky-counts-what-people-see"),
        pytest.param("bluesky", "a" * 301, False, id="bluesky-301"),
        pytest.param("bluesky", "👨‍👩‍👧‍👦" * 121, False, id="bluesky-3025-bytes"),
        pytest.param("x", "東" * 140, True, id="x-weighs-japanese-twice"),
        pytest.param("x", "東" * 141, False, id="x-282"),
        pytest.param("x", "a" * 256 + " https://news.example/" + "b" * 300, True, id="x-counts-a-link-as-23"),
        pytest.param("x", "a" * 257 + " https://news.example/" + "b" * 300, False, id="x-281-with-link"),
        pytest.param("mastodon", "👨‍👩‍👧‍👦" * 500, True, id="mastodon-counts-what-people-see"),
        pytest.param("mastodon", "a" * 476 + " https://news.example/" + "b" * 300, True, id="mastodon-link-is-23"),
        pytest.param("mastodon", "a" * 477 + " https://news.example/" + "b" * 300, False, id="mastodon-501-with-link"),
        pytest.param("telegram", "😀" * 2048, True, id="telegram-counts-utf-16"),
        pytest.param("telegram", "😀" * 2048 + "a", False, id="telegram-4097"),
        pytest.param("facebook", "a" * 63_206, True, id="facebook-takes-long-texts"),
        pytest.param("facebook", "a" * 63_207, False, id="facebook-63207"),
    ],
)
def test_the_limits_are_those_of_the_network_that_it_looks_like(
    tmp_path: Path, looks_like: str, text: str, *, fits: bool
) -> None:
    adapter = page(tmp_path, looks_like=looks_like)
    assert adapter.look == looks_like
    assert adapter.limits.fits(text) is fits


@pytest.mark.parametrize(
    "wrong",
    [{"looks_like": "myspace"}, {"newest": "0"}, {"newest": "1001"}, {"title": ""}, {"base_url": "ftp://a.example"}],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        page(tmp_path, **wrong)


def test_every_look_can_be_chosen_and_every_choice_is_drawn() -> None:
    assert {str(look) for look in LooksLike} == set(LOOKS) - {PLAIN.name}


@pytest.mark.parametrize("look", LooksLike)
def test_the_platforms_page_and_its_example_name_every_look(look: LooksLike) -> None:
    example = (Path(__file__).parents[2] / "config" / "platforms" / "page.yaml").read_text()
    (line,) = [line for line in example.splitlines() if line.strip().startswith("looks_like:")]
    told = re.search(r"`looks_like` \(([^)]+)\)", inspect.getdoc(sys.modules[Page.__module__]) or "")
    assert told is not None
    assert look in re.findall(r"\w+", line)
    assert look in re.findall(r"\w+", told[1])


def test_the_key_is_known_for_good() -> None:
    assert (Page.key_window, Page.read_back, Page.settle) == (FOREVER, ReadBack.BY_KEY, timedelta(0))


def test_whoami_is_the_folder_and_makes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    assert page(folder).whoami() == Identity(id=str(folder), name="Kaltim Kini")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "page"], ids=["folder", "above-it"])
def test_whoami_refuses_what_can_be_no_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unauthorized, match="file"):
        page(tmp_path / "file" / below).whoami()


# --- what is written -------------------------------------------------------------------------------------------------


def test_the_posts_file_keeps_all_of_the_post_and_no_path_of_this_machine(tmp_path: Path) -> None:
    post = replace(POST, picture=picture(tmp_path))
    publish(page(tmp_path / "out"), post)
    kept = json.loads((tmp_path / "out" / "posts" / f"{KEY}.json").read_text())
    assert (kept["key"], kept["account"], kept["look"]) == (KEY, "Kaltim Kini", "bluesky")
    assert kept["post"]["text"] == TEXT
    assert kept["post"]["created_at"] == "2026-11-24T07:03:00.123456Z"
    assert kept["post"]["picture"]["path"] == f"pictures/{hashlib.sha256(JPEG).hexdigest()}.jpg"
    assert str(tmp_path) not in json.dumps(kept)


def test_the_picture_stands_beside_the_page_and_is_shown_with_its_alt_text(tmp_path: Path) -> None:
    publish(page(tmp_path / "out"), replace(POST, picture=picture(tmp_path)))
    name = f"pictures/{hashlib.sha256(JPEG).hexdigest()}.jpg"
    assert (tmp_path / "out" / name).read_bytes() == JPEG
    assert f'src="{name}" alt="A boat"' in (tmp_path / "out" / "index.html").read_text()


def test_two_posts_of_one_picture_share_its_file(tmp_path: Path) -> None:
    adapter = page(tmp_path / "out")
    for key in (KEY, OTHER):
        publish(adapter, replace(POST, picture=picture(tmp_path)), key)
    assert len(list((tmp_path / "out" / "pictures").iterdir())) == 1


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        pytest.param({}, "{file}#" + KEY, id="file"),
        pytest.param({"base_url": "https://news.example"}, f"https://news.example/index.html#{KEY}", id="host"),
        pytest.param({"base_url": "https://news.example/p/"}, f"https://news.example/p/index.html#{KEY}", id="path"),
    ],
)
def test_the_receipt_names_the_post_on_the_page(tmp_path: Path, settings: dict[str, str], url: str) -> None:
    receipt = publish(page(tmp_path, **settings))
    assert receipt == Receipt(remote_id=KEY, url=url.format(file=(tmp_path / "index.html").as_uri()))
    assert anchors(tmp_path) == [KEY]


@pytest.mark.parametrize("newest", [3, 51])
def test_the_page_shows_the_newest_posts_and_the_feeds_fifty(tmp_path: Path, newest: int) -> None:
    adapter = page(tmp_path, newest=newest)
    fill(adapter, range(52))
    assert anchors(tmp_path) == [nth(number)[1] for number in range(51, 51 - newest, -1)]
    assert [item["id"] for item in feed_of(tmp_path)["items"]] == [nth(number)[1] for number in range(51, 1, -1)]
    assert len(channel_of(tmp_path).findall("item")) == 50
    assert len(list((tmp_path / "posts").iterdir())) == 52


def test_an_older_post_that_comes_later_stands_where_its_time_is(tmp_path: Path) -> None:
    adapter = page(tmp_path)
    for number in (2, 0, 1):
        publish(adapter, *nth(number))
    assert anchors(tmp_path) == [nth(number)[1] for number in (2, 1, 0)]


def test_another_process_draws_the_same_page(tmp_path: Path) -> None:
    adapter = page(tmp_path)
    fill(adapter, range(3))
    drawn = content_of(tmp_path)
    publish(page(tmp_path), *nth(2))
    assert content_of(tmp_path) == drawn


def test_a_drain_reads_each_post_at_most_once(tmp_path: Path) -> None:
    adapter = page(tmp_path)
    fill(adapter, range(2))
    for path in (tmp_path / "posts").iterdir():
        modified = path.stat().st_mtime_ns
        path.write_bytes(b"no longer read")
        os.utime(path, ns=(modified, modified))
    publish(adapter, *nth(2))
    assert len(anchors(tmp_path)) == 3


def test_the_json_feed_is_one(tmp_path: Path) -> None:
    publish(page(tmp_path / "out", base_url="https://news.example/p"), replace(POST, picture=picture(tmp_path)))
    digest = hashlib.sha256(JPEG).hexdigest()
    assert feed_of(tmp_path / "out") == {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "Kaltim Kini",
        "home_page_url": "https://news.example/p/index.html",
        "feed_url": "https://news.example/p/feed.json",
        "items": [
            {
                "id": KEY,
                "url": f"https://news.example/p/index.html#{KEY}",
                "external_url": LINK,
                "title": "Banjir & <b>hujan</b>",
                "content_text": TEXT,
                "summary": "Air naik.",
                "image": f"https://news.example/p/pictures/{digest}.jpg",
                "date_published": "2026-11-24T07:03:00Z",
                "authors": [{"name": "Kaltim Kini"}],
                "tags": ["Kaltim"],
                "language": "id",
            }
        ],
    }


def test_the_rss_feed_has_what_the_specification_asks_for(tmp_path: Path) -> None:
    publish(page(tmp_path / "out", base_url="https://news.example/p"), replace(POST, picture=picture(tmp_path)))
    channel = channel_of(tmp_path / "out")
    (item,) = channel.findall("item")
    assert [channel.findtext(name) for name in ("title", "link")] == [
        "Kaltim Kini",
        "https://news.example/p/index.html",
    ]
    assert channel.findtext("description")
    assert [item.findtext(name) for name in ("title", "link", "category")] == ["Banjir & <b>hujan</b>", LINK, "Kaltim"]
    assert item.findtext("description") == TEXT
    assert parsedate_to_datetime(item.findtext("pubDate") or "") == CREATED.replace(microsecond=0)
    guid, enclosure = item.find("guid"), item.find("enclosure")
    assert guid is not None
    assert enclosure is not None
    assert (guid.text, guid.get("isPermaLink")) == (KEY, "false")
    assert (enclosure.get("type"), enclosure.get("length")) == ("image/jpeg", str(len(JPEG)))
    assert (enclosure.get("url") or "").startswith("https://news.example/p/pictures/")


def test_the_rss_feed_has_no_enclosure_that_is_no_web_address(tmp_path: Path) -> None:
    publish(page(tmp_path / "out"), replace(POST, picture=picture(tmp_path)))
    assert list(channel_of(tmp_path / "out").iter("enclosure")) == []


@pytest.mark.fault("F18")
def test_f18_control_characters_and_lone_surrogates_break_no_file(tmp_path: Path) -> None:
    publish(page(tmp_path), replace(POST, text="a\x00b\x1bc\ud800d\uffff", title="\x08t", spans=()))
    (item,) = channel_of(tmp_path).findall("item")
    assert item.findtext("description") == "abc?d"
    assert item.findtext("title") == "t"
    assert anchors(tmp_path) == [KEY]
    assert feed_of(tmp_path)["items"][0]["id"] == KEY


# --- once and only once ----------------------------------------------------------------------------------------------


def test_the_first_post_under_a_key_stands(tmp_path: Path) -> None:
    first = publish(page(tmp_path))
    before = content_of(tmp_path)
    assert publish(page(tmp_path), replace(POST, text="Another", spans=())) == first
    assert content_of(tmp_path) == before


def test_a_post_cut_short_under_its_own_name_is_written_again(tmp_path: Path) -> None:
    publish(page(tmp_path))
    before = content_of(tmp_path)
    path = tmp_path / "posts" / f"{KEY}.json"
    path.write_bytes(path.read_bytes()[:20])
    assert page(tmp_path).find(POST, Stage(), key=KEY, since=SINCE) is None
    publish(page(tmp_path))
    assert content_of(tmp_path) == before


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b'{"key": "stranger"}', id="other-fields"),
        pytest.param(None, id="a-copy-under-another-name"),
    ],
)
def test_a_file_that_is_no_post_takes_nothing_down(tmp_path: Path, stranger: bytes | None) -> None:
    adapter = page(tmp_path)
    publish(adapter)
    path = tmp_path / "posts" / "stranger.json"
    path.write_bytes((tmp_path / "posts" / f"{KEY}.json").read_bytes() if stranger is None else stranger)
    publish(page(tmp_path), *nth(1))
    assert anchors(tmp_path) == [nth(1)[1], KEY]


def test_accounts_in_one_folder_keep_each_others_posts_and_looks(tmp_path: Path) -> None:
    publish(page(tmp_path), *nth(0))
    publish(page(tmp_path, title="Redaksi", looks_like="x"), *nth(1))
    text = (tmp_path / "index.html").read_text()
    assert anchors(tmp_path) == [nth(1)[1], nth(0)[1]]
    assert '<article class="post x"' in text
    assert '<article class="post bluesky"' in text
    assert [item["authors"][0]["name"] for item in feed_of(tmp_path)["items"]] == ["Redaksi", "Kaltim Kini"]


_WRITER = """
import sys
from pathlib import Path
from tests.platforms.test_page import fill, page
adapter, start = page(Path(sys.argv[1])), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
fill(adapter, range(start, start + 20))
"""


def test_processes_that_write_at_the_same_time_lose_no_post_from_the_page(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    root = Path(__file__).parents[2]

    def start(first: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*command, first], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    with start("0") as one, start("20") as two:
        writers = (one, two)
        assert [writer.stdout.readline() for writer in writers if writer.stdout] == ["ready\n"] * 2
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    assert anchors(tmp_path) == [nth(number)[1] for number in range(39, -1, -1)]


@pytest.mark.parametrize("key", ["", "../escape", "a/b", ".hidden", "a" * 129, "ключ"])
def test_a_key_that_could_leave_the_folder_is_no_key(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        publish(page(tmp_path / "out"), key=key)
    assert list(tmp_path.iterdir()) == []


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link", "since", "found"),
    [
        pytest.param(LINK, SINCE, True, id="same"),
        pytest.param(LINK.replace("https", "http") + "&utm_source=rss#top", SINCE, True, id="written-otherwise"),
        pytest.param(f"{LINK}0", SINCE, False, id="another"),
        pytest.param(None, SINCE, False, id="none"),
        pytest.param(LINK, CREATED, True, id="since-that-moment"),
        pytest.param(LINK, CREATED + timedelta(microseconds=1), False, id="since-later"),
    ],
)
def test_a_link_is_found_in_the_accounts_own_posts(
    tmp_path: Path, link: str | None, since: datetime, *, found: bool
) -> None:
    receipt = publish(page(tmp_path))
    assert page(tmp_path).find(replace(POST, link=link), Stage(), key=OTHER, since=since) == (
        receipt if found else None
    )


@pytest.mark.parametrize("other", [{"title": "Redaksi"}, {"looks_like": "x"}], ids=str)
def test_a_link_is_not_found_in_the_posts_of_another_account(tmp_path: Path, other: dict[str, str]) -> None:
    publish(page(tmp_path))
    assert page(tmp_path, **other).find(POST, Stage(), key=None, since=SINCE) is None


def test_a_key_is_found_whatever_its_age(tmp_path: Path) -> None:
    receipt = publish(page(tmp_path))
    assert page(tmp_path).find(POST, Stage(), key=KEY, since=CREATED + timedelta(days=9)) == receipt


def test_a_folder_that_cannot_be_read_is_a_failed_look(tmp_path: Path) -> None:
    (tmp_path / "posts").write_text("")
    with pytest.raises(NotSent):
        page(tmp_path).find(POST, Stage(), key=None, since=SINCE)


# --- a disk that refuses ---------------------------------------------------------------------------------------------


def test_a_full_disk_before_the_posts_file_stands_is_not_sent(tmp_path: Path) -> None:
    adapter = page(tmp_path)
    with full_disk(), pytest.raises(NotSent, match="too large"):
        publish(adapter)
    assert adapter.find(POST, Stage(), key=KEY, since=SINCE) is None
    publish(adapter)
    assert anchors(tmp_path) == [KEY]


def test_a_full_disk_leaves_no_draft_of_the_post(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(NotSent):
        publish(page(tmp_path))
    assert list((tmp_path / "posts").iterdir()) == []


def test_a_place_that_can_be_no_folder_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotSent):
        publish(page(tmp_path / "file"))


def test_a_full_disk_at_the_picture_is_not_sent(tmp_path: Path) -> None:
    post = replace(POST, picture=picture(tmp_path))
    adapter = page(tmp_path / "out")
    with full_disk(), pytest.raises(NotSent):
        publish(adapter, post)
    assert adapter.find(post, Stage(), key=KEY, since=SINCE) is None


def test_a_picture_that_is_gone_is_rejected_and_nothing_stands(tmp_path: Path) -> None:
    post = replace(POST, picture=replace(picture(tmp_path), path=str(tmp_path / "gone.jpg")))
    with pytest.raises(MediaRejected):
        publish(page(tmp_path / "out"), post)
    assert list((tmp_path / "out" / "posts").iterdir()) == []


def test_a_picture_that_is_gone_later_does_not_hinder_the_same_key(tmp_path: Path) -> None:
    post = replace(POST, picture=picture(tmp_path))
    receipt = publish(page(tmp_path / "out"), post)
    Path(post.picture.path if post.picture else "").unlink()
    assert publish(page(tmp_path / "out"), post) == receipt


@pytest.mark.parametrize("name", ["index.html", "feed.json", "feed.xml"])
def test_a_page_that_cannot_be_drawn_leaves_the_outcome_unknown_until_it_can(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    adapter = page(tmp_path)
    with pytest.raises(OutcomeUnknown, match="in place"):
        publish(adapter)
    assert adapter.find(POST, Stage(), key=KEY, since=SINCE) is not None
    (tmp_path / name).rmdir()
    publish(adapter)
    assert anchors(tmp_path) == [KEY]
    assert [item["id"] for item in feed_of(tmp_path)["items"]] == [KEY]
    assert len(channel_of(tmp_path).findall("item")) == 1


_KILLED = """
import os, sys
from pathlib import Path
from tests.platforms.test_page import page, publish
count = int(sys.argv[2])
def stop(event, args):
    global count
    if event == "os.rename":
        count -= 1
        if count < 0:
            os._exit(9)
sys.addaudithook(stop)
publish(page(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("renames", [0, 1, 2, 3], ids=["post", "index.html", "feed.json", "feed.xml"])
@pytest.mark.fault("D11")
def test_d11_a_process_killed_before_any_file_is_put_in_place_leaves_one_post_after_the_next(
    tmp_path: Path, renames: int
) -> None:
    reference = tmp_path / "reference"
    publish(page(reference, title="Kaltim Kini"))
    out = tmp_path / "out"
    root = Path(__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(out), str(renames)], cwd=root, timeout=60, check=False)
    assert killed.returncode == 9
    assert (page(out).find(POST, Stage(), key=KEY, since=SINCE) is not None) is (renames > 0)
    publish(page(out))
    assert anchors(out) == [KEY]
    assert sorted(content_of(out)) == sorted(content_of(reference))


# --- the demo --------------------------------------------------------------------------------------------------------


def test_the_demos_feed_names_pictures_that_stand_beside_it_and_no_machine() -> None:
    demo = Path(__file__).parents[2] / "config" / "demo"
    text = (demo / "feed.xml").read_text()
    named = {part.partition('"')[0] for part in text.split('src="')[1:]}
    assert named == {f"pictures/{path.name}" for path in (demo / "pictures").iterdir()}
    assert len(named) >= 6
    assert all(path.stat().st_size < 60_000 for path in (demo / "pictures").iterdir())
    assert "127.0.0.1" not in text
    assert "localhost" not in text
