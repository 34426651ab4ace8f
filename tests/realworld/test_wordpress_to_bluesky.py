"""Every article of a WordPress on a Bluesky account, once: through edits, outages and killed runs."""

from __future__ import annotations

import os
import random
import secrets
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.realworld.program import Program
from tests.realworld.servers.bluesky import Card, Facet, Login, Pds, Record
from tests.realworld.servers.wordpress import Draft, Published, WordPress

pytestmark = pytest.mark.realworld

#: An account that could not send waits 30 s and some jitter.
_PATIENCE_SECONDS = 60
_SEED = int(os.environ.get("AUTOPUBLISH_TEST_SEED") or secrets.randbelow(1_000_000))


def _links(records: Sequence[Record]) -> list[str]:
    """The card's link of each record, in the order of the account's timeline."""
    assert all(record.card for record in records), "a post lost its card"
    return [record.card.url for record in records if record.card]


def _one_each(articles: Sequence[Published]) -> list[str]:
    return sorted(article.link for article in articles)


def _publish_minutes_apart(site: WordPress, count: int) -> tuple[Published, ...]:
    """Articles of the last minutes, the oldest first, which the site got in another order."""
    now = datetime.now(UTC)
    drafts = [Draft(title=f"Berita {n}", date=now - timedelta(minutes=count - n)) for n in range(count)]
    return tuple(sorted(site.publish(*drafts[1::2], *drafts[::2]), key=lambda article: article.date))


def test_an_article_is_posted_within_one_run_with_facets_card_hashtags_and_language(
    site: WordPress, pds: Pds, login: Login, program: Program
) -> None:
    title = "Jembatan “Mahakam” & IKN dibuka 🚢"
    program.run()
    [article] = site.publish(
        Draft(title=title, excerpt="Gubernur membuka jembatan.", tags=("Ibu Kota Nusantara (IKN)",))
    )

    report = program.run()

    [record] = pds.records(login)
    assert record.text == f"{title}\n\n{article.link}\n#Kaltim #IKN"
    assert record.facets == (
        Facet(covers=article.link, kind="link", value=article.link),
        Facet(covers="#Kaltim", kind="tag", value="Kaltim"),
        Facet(covers="#IKN", kind="tag", value="IKN"),
    )
    assert record.card == Card(url=article.link, title=title, description="Gubernur membuka jembatan.")
    assert [language.partition("-")[0] for language in record.languages] == ["id"]
    assert abs(datetime.now(UTC) - record.created_at) < timedelta(minutes=2)
    [change] = report.deliveries
    assert (change.account, change.part, change.state, change.text) == ("newsroom", 0, "POSTED", record.text)
    assert change.url is not None
    assert change.url.endswith(f"/post/{record.rkey}")


def test_the_first_run_posts_nothing_of_what_the_site_already_shows(pds: Pds, login: Login, program: Program) -> None:
    report = program.run()

    assert report.deliveries == ()
    assert pds.records(login) == ()


def test_a_run_without_news_posts_and_reports_nothing(
    site: WordPress, pds: Pds, login: Login, program: Program
) -> None:
    program.run()
    articles = site.publish(Draft(title="Sekali saja"))
    program.run()

    report = program.run()

    assert [(polled.feed, polled.new) for polled in report.polled] == [("kaltim", 0)]
    assert report.deliveries == ()
    assert not any(report.counts.values())
    assert _links(pds.records(login)) == _one_each(articles)


def test_a_title_edited_after_the_post_leaves_the_post_alone(
    site: WordPress, pds: Pds, login: Login, program: Program
) -> None:
    program.run()
    [article] = site.publish(Draft(title="Judul lama"))
    program.run()
    before = pds.records(login)
    # A minute later, so that no validator hides the edit.
    site.edit(article, title="Judul baru", modified=datetime.now(UTC) + timedelta(minutes=1))
    assert "Judul baru" in site.get_feed().text

    report = program.run()

    assert report.deliveries == ()
    assert len(before) == 1
    assert pds.records(login) == before


def test_ten_articles_at_once_are_posted_in_the_order_of_their_dates(
    site: WordPress, pds: Pds, login: Login, program: Program
) -> None:
    program.run()
    articles = _publish_minutes_apart(site, 10)

    program.run()

    records = pds.records(login)
    assert _links(records) == [article.link for article in articles]
    sent = [record.created_at for record in records]
    assert sent == sorted(sent)


def test_a_second_article_in_the_second_of_the_last_poll_is_posted_as_well(
    site: WordPress, pds: Pds, login: Login, program: Program
) -> None:
    program.run()
    # A little ahead, as a server's clock may be, so that the poll comes before the second is over.
    second = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    articles = list(site.publish(Draft(title="Pertama", modified=second)))
    program.run()
    polled = site.get_feed()
    assert _links(pds.records(login)) == _one_each(articles)
    articles += site.publish(Draft(title="Kedua", date=articles[0].date, modified=second))
    assert site.get_feed({"If-None-Match": polled.headers["ETag"]}).status_code == 304, "the site hides it"

    program.run_until(lambda: len(pds.records(login)) == len(articles), seconds=_PATIENCE_SECONDS)

    assert sorted(_links(pds.records(login))) == _one_each(articles)


@pytest.mark.fault("F22")
def test_f22_an_article_in_two_feeds_of_the_site_is_posted_once(
    site: WordPress, pds: Pds, login: Login, tmp_path: Path
) -> None:
    feeds = {"main": site.feed, "kaltim": site.category_feed("kaltim")}
    program = Program(tmp_path, feeds=feeds, login=login)
    program.run()
    articles = site.publish(
        Draft(title="Di dua umpan", categories=("Kaltim",)), Draft(title="Di satu umpan", categories=("Olahraga",))
    )

    report = program.run()
    program.run()

    assert {polled.feed for polled in report.polled} == {"main", "kaltim"}
    assert sorted(_links(pds.records(login))) == _one_each(articles)


def test_an_article_published_while_the_network_is_down_is_posted_once_it_is_up(
    site: WordPress, pds: Pds, login: Login, program: Program
) -> None:
    program.run()
    articles = site.publish(Draft(title="Saat jaringan mati"))
    with pds.down():
        report = program.run()
        assert [polled.new for polled in report.polled] == [1]
        assert report.counts["posted"] == 0

    program.run_until(lambda: bool(pds.records(login)), seconds=_PATIENCE_SECONDS)
    program.run()

    assert _links(pds.records(login)) == _one_each(articles)


def _settle(program: Program, pds: Pds, login: Login, articles: Sequence[Published]) -> None:
    """The program ran until every article was posted, and then once more."""
    program.run_until(lambda: len(pds.records(login)) >= len(articles), seconds=_PATIENCE_SECONDS)
    program.run()


@pytest.mark.fault("D11")
@pytest.mark.parametrize("posts", [1, 4], ids=["first", "fourth"])
def test_d11_a_run_killed_as_soon_as_a_post_shows_is_made_good_without_a_second_one(
    site: WordPress, pds: Pds, login: Login, program: Program, posts: int
) -> None:
    program.run()
    articles = _publish_minutes_apart(site, 8)
    process = program.start()
    while len(pds.records(login)) < posts and process.poll() is None:
        time.sleep(0.005)
    process.kill()

    assert process.wait() == -signal.SIGKILL, "the run had ended before it was killed"
    assert len(pds.records(login)) < len(articles)
    _settle(program, pds, login, articles)

    assert sorted(_links(pds.records(login))) == _one_each(articles)


@pytest.mark.fault("D11")
@pytest.mark.parametrize("nth", range(3))
def test_d11_a_run_killed_at_a_random_moment_is_made_good_without_a_second_post(
    site: WordPress, pds: Pds, login: Login, program: Program, nth: int
) -> None:
    program.run()
    articles = _publish_minutes_apart(site, 5)
    began = time.monotonic()
    program.run()
    whole_run = time.monotonic() - began
    articles += _publish_minutes_apart(site, 5)
    delay = random.Random(_SEED + nth).uniform(0.4, 1) * whole_run

    process = program.start()
    time.sleep(delay)
    process.kill()
    process.wait()
    print(f"AUTOPUBLISH_TEST_SEED={_SEED}: killed after {delay:.3f} s, {len(pds.records(login))} posts were out")
    _settle(program, pds, login, articles)

    assert sorted(_links(pds.records(login))) == _one_each(articles)
