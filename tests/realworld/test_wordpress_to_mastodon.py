"""Articles of a WordPress on an emulated Mastodon account, once."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image

from tests.realworld.program import Program
from tests.realworld.servers.mastodon import MastodonMock
from tests.realworld.servers.wordpress import Draft, WordPress

pytestmark = pytest.mark.realworld


@pytest.fixture
def program(site: WordPress, mastodon: MastodonMock, tmp_path: Path) -> Program:
    """The program with the site's main feed and the account, and no store yet."""
    return Program(tmp_path, feeds={"kaltim": site.feed}, login=mastodon.login)


def _picture() -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (640, 360), "teal").save(content, "JPEG")
    return content.getvalue()


def test_an_article_is_posted_once_with_its_link_hashtags_language_and_picture(
    site: WordPress, mastodon: MastodonMock, program: Program
) -> None:
    source = site.put_file("jembatan.jpg", _picture())
    program.run()
    [article] = site.publish(
        Draft(
            title="Jembatan “Mahakam” & @walikota dibuka 🚢",
            content=f'<p><img src="{source}" alt="Jembatan Mahakam"></p><p>Isi berita.</p>',
            tags=("Ibu Kota Nusantara (IKN)",),
        )
    )

    report = program.run()
    again = program.run()

    [post] = mastodon.posts()
    assert f'href="{article.link}"' in post.content
    words = re.sub(r"<[^>]*>", " ", post.content)
    assert "Jembatan “Mahakam” &amp; @\u2060walikota dibuka 🚢" in words
    assert words.split()[-2:] == ["#Kaltim", "#IKN"]
    assert (post.visibility, post.language, post.pictures) == ("public", "id", ("Jembatan Mahakam",))
    assert abs(datetime.now(UTC) - post.created_at.astimezone(UTC)) < timedelta(minutes=2)
    [change] = report.deliveries
    assert (change.account, change.state, change.url) == ("newsroom", "POSTED", post.url)
    assert again.deliveries == ()


def test_a_featured_image_that_the_feed_does_not_show_is_posted_with_the_alt_text_of_the_media_library(
    site: WordPress, mastodon: MastodonMock, program: Program
) -> None:
    site.put_file("pelabuhan.jpg", _picture())
    program.run()
    site.publish(
        Draft(title="Pelabuhan baru", featured=("pelabuhan.jpg", "Kapal & derek di “Semayang”")),
        Draft(title="Tanpa gambar", date=datetime.now(UTC) - timedelta(minutes=1)),
    )
    assert b"pelabuhan.jpg" not in site.get_feed().content

    program.run()

    assert [post.pictures for post in mastodon.posts()] == [(), ("Kapal & derek di “Semayang”",)]


def test_articles_are_posted_in_the_order_of_their_dates(
    site: WordPress, mastodon: MastodonMock, program: Program
) -> None:
    program.run()
    now = datetime.now(UTC)
    articles = site.publish(*(Draft(title=f"Berita {n}", date=now - timedelta(minutes=5 - n)) for n in range(4)))

    program.run()
    program.run()

    shown = [re.findall(r'href="([^"]*)"', post.content)[0] for post in mastodon.posts()]
    assert shown == [article.link for article in articles]
