"""Start-up and one whole run: which store is taken, what a report holds, that one failure stays with its subject."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from autopublish.app import App, RunReport, build, glance, look
from autopublish.errors import ConfigError, FeedError, StoreBusy, StoreError
from autopublish.models import AccountState, Delivery, State
from tests.desk import FEED, PAGE, SECRET, Desk, seen_on, sky
from tests.servers.feed_site import Answer, FeedSite
from tests.servers.pds import FakePds, Fault, Made, Then


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A folder with a page of posts and a feed that shows one article, and the secret of `sky`."""
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.setenv(SECRET, FakePds.password)
    made = Desk(folder)
    made.configure(PAGE)
    made.show("zero")
    return made


def run(desk: Desk) -> RunReport:
    """One run in an App of its own."""
    with closing(build(desk.file)) as app:
        return app.run()


def states(report: RunReport) -> dict[tuple[str, str], State]:
    """What changed, by the last part of the article's address and the account."""
    return {
        ((one.article.link or "").rstrip("/").rpartition("/")[2], one.delivery.account): one.delivery.state
        for one in report.changed
    }


def free_port() -> int:
    """A port on which nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


# --- which store -----------------------------------------------------------------------------------------------------


def test_the_store_is_made_with_its_folder(desk: Desk) -> None:
    desk.configure(PAGE, more="store: sqlite:///deep/down/s.db\n")
    with closing(build(desk.file)) as app:
        assert app.store.path == desk.folder / "deep" / "down" / "s.db"
        assert app.store.digest() is None, "nothing is taken over before a run"
    assert (desk.folder / "deep" / "down" / "s.db").is_file()


def test_an_unchanged_file_is_not_read_again_until_it_is_needed(desk: Desk) -> None:
    run(desk)
    with closing(build(desk.file)) as app:
        assert app._config is None
        assert [account.name for account in app.config.accounts] == ["page"]


def test_a_changed_file_is_read_and_taken_over_by_the_run(desk: Desk) -> None:
    run(desk)
    desk.configure(PAGE, PAGE.replace("page:", "second:", 1))
    report = run(desk)
    assert list(report.standings) == ["page", "second"]
    with closing(build(desk.file)) as app:
        assert app._config is None


#: A store of another name, in a form that no simple search finds.
ELSEWHERE = """\
{store: 'sqlite:///s.db', feeds: {news: {url: ./feed.xml}},
 accounts: {page: {platform: page, folder: out, title: News}}}
"""


@pytest.mark.parametrize("there", ["a store", "an empty file", "no database"])
def test_a_guess_of_the_stores_place_is_taken_only_if_the_store_proves_it(desk: Desk, there: str) -> None:
    usual = desk.folder / "autopublish.db"
    if there == "a store":
        run(desk)
    else:
        usual.write_bytes(b"" if there == "an empty file" else b"no database at all")
    before = usual.read_bytes()
    desk.file.write_text(ELSEWHERE)
    for _ in range(2):
        with closing(build(desk.file)) as app:
            assert app.store.path == desk.folder / "s.db"
            app.run()
    assert usual.read_bytes() == before


def test_a_broken_file_leaves_no_store(desk: Desk) -> None:
    desk.file.write_text("feeds: [")
    with pytest.raises(ConfigError):
        build(desk.file)
    assert not (desk.folder / "autopublish.db").exists()


def test_who_only_looks_needs_a_store_and_a_valid_file(desk: Desk) -> None:
    with pytest.raises(StoreError, match="`autopublish run` makes it"):
        look(desk.file)
    run(desk)
    with closing(look(desk.file)) as app:
        assert [feed.settings.name for feed in app.store.feeds()] == ["news"]
        with pytest.raises(StoreError):
            app.store.keep_note("a", "1")


@pytest.mark.fault("O01")
def test_o01_a_file_that_changes_while_a_run_is_at_work_stops_it_before_anything_is_saved(desk: Desk) -> None:
    run(desk)
    desk.show("one")
    with closing(build(desk.file)) as app:
        desk.configure(PAGE.replace("News", "Other"))
        with pytest.raises(ConfigError, match="was changed while the program was at work: run it again"):
            app.run()
    assert desk.pages() == set()
    assert states(run(desk)) == {("one", "page"): State.POSTED}


def test_the_clock_that_is_given_is_the_programs_clock(desk: Desk) -> None:
    now = datetime.now(UTC) + timedelta(minutes=3)
    with closing(build(desk.file, clock=lambda: now)) as app:
        report = app.run()
        assert app.now() == now
    assert report.standings["page"].created == now
    with desk.store() as store:
        assert [feed.last_good for feed in store.feeds()] == [now]


@pytest.mark.fault("D12")
def test_d12_two_apps_on_one_store_do_not_run_at_once(desk: Desk) -> None:
    with closing(build(desk.file)) as first, closing(build(desk.file)) as second:
        with first.store.only_run(first.now()), pytest.raises(StoreBusy, match="another run is at work"):
            second.run()
        assert second.run().polled[0].status == "first poll"


# --- what a run reports ----------------------------------------------------------------------------------------------


def test_a_report_holds_polls_and_standings_in_the_order_of_the_file_and_changes_oldest_first(desk: Desk) -> None:
    zeta, alpha = (PAGE.replace("page:", f"{name}:", 1).replace("out", name) for name in ("zeta", "alpha"))
    desk.show("old", feed="other.xml")
    desk.configure(zeta, alpha, feeds=f"  other:\n    url: ./other.xml\n{FEED}")
    first = run(desk)
    assert [(polled.feed, polled.status, polled.new) for polled in first.polled] == [
        ("other", "first poll", 0),
        ("news", "first poll", 0),
    ]
    desk.show("one", "two")
    desk.show("three", feed="other.xml")
    report = run(desk)
    assert [(polled.feed, polled.status, polled.new) for polled in report.polled] == [
        ("other", "new", 1),
        ("news", "new", 2),
    ]
    assert list(states(report)) == [
        (name, account) for name in ("one", "two", "three") for account in ("alpha", "zeta")
    ]
    assert set(states(report).values()) == {State.POSTED}
    assert list(report.standings) == ["zeta", "alpha"]
    assert (report.troubles, report.recovered, report.told) == ([], 0, ())


def test_the_post_that_was_made_is_in_the_report(desk: Desk) -> None:
    run(desk)
    desk.show("one")
    (one,) = run(desk).changed
    assert one.post is not None
    assert one.post.text == "Article one\n\nhttps://news.example/one/"
    assert one.delivery.receipt is not None
    assert one.delivery.receipt.url is not None


def test_what_changed_in_the_configuration_is_told_once(desk: Desk) -> None:
    run(desk)
    desk.configure(PAGE, feeds=FEED.replace("news:", "paper:"))
    with desk.store() as store:
        url = store.feeds()[0].settings.url
    assert run(desk).told == (f"paper takes over the history of {url}",)
    assert run(desk).told == ()


def test_what_a_dead_run_left_is_counted_and_posted_once(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    run(desk)
    desk.show("one")
    pds.script("putRecord", Fault(then=Then.ANSWER, status=500, made=Made.AT_ONCE))
    run(desk)
    left = desk.row("one", "sky")
    with desk.store() as store:
        (attempt,) = store.attempts(left.id)
    leave_in_mid_call(desk, left, attempt.id)
    report = run(desk)
    assert report.recovered == 1
    assert states(report)["one", "sky"] in (State.VERIFYING, State.READY)
    desk.end_waits()
    assert states(run(desk)) == {("one", "sky"): State.POSTED}
    assert seen_on(pds) == ["one"]


def leave_in_mid_call(desk: Desk, row: Delivery, attempt: str) -> None:
    """The store is as a process leaves it that dies during the call."""
    with closing(sqlite3.connect(desk.folder / "autopublish.db")) as store, store:
        store.execute("UPDATE deliveries SET state = 'SENDING' WHERE id = ?", (row.id,))
        store.execute("UPDATE attempts SET outcome = 'open', finished = NULL WHERE id = ?", (attempt,))


def test_a_watcher_is_told_of_each_step(desk: Desk) -> None:
    run(desk)
    desk.show("one")
    seen: list[str] = []
    with closing(build(desk.file)) as app:
        app.run(watch=seen.append)
    assert "news: new" in seen
    assert "page: posted: Article one" in seen


# --- one failure stays with its subject ------------------------------------------------------------------------------


def test_feeds_that_cannot_be_read_do_not_stop_the_others(desk: Desk, site: FeedSite) -> None:
    site.script("/broken/", Answer(status=500))
    site.script("/cut/", Answer(body=b"<rss><channel>" + b" " * 100, cut_at=30))
    site.script("/page/", Answer(body=b"<html><body>Back soon</body></html>"))
    urls = {name: site.url(f"/{name}/") for name in ("broken", "cut", "page")}
    urls["refused"] = f"http://127.0.0.1:{free_port()}/feed/"
    bad = "".join(f"  {name}:\n    url: {url}\n    allow_private: yes\n" for name, url in urls.items())
    desk.configure(PAGE, feeds=bad + FEED)
    run(desk)
    desk.show("one")
    report = run(desk)
    assert {polled.feed: polled.failed for polled in report.polled} == dict.fromkeys(urls, True) | {"news": False}
    assert all(polled.reason and polled.told_before for polled in report.polled if polled.failed)
    assert states(report) == {("one", "page"): State.POSTED}


def test_a_feed_inside_the_own_network_is_refused_without_leave(desk: Desk, site: FeedSite) -> None:
    desk.configure(PAGE, feeds=f"  inside:\n    url: {site.url('/feed/')}\n{FEED}")
    report = run(desk)
    assert [polled.failed for polled in report.polled] == [True, False]
    assert site.asked == []


@pytest.mark.fault("D01")
def test_d01_an_account_whose_server_is_down_does_not_stop_the_others(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds), PAGE)
    run(desk)
    pds.stop()
    desk.show("one")
    report = run(desk)
    assert desk.pages() == {"one"}
    assert desk.row("one", "sky").state is State.READY
    assert report.standings["sky"].state is AccountState.ACTIVE
    assert [(trouble.account, trouble.failed) for trouble in report.troubles] == [("sky", False)]
    pds.start()
    desk.end_waits()
    assert states(run(desk)) == {("one", "sky"): State.POSTED}
    assert seen_on(pds) == ["one"]


def test_an_account_that_fails_in_an_unforeseen_way_does_not_stop_the_others(
    desk: Desk, pds: FakePds, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.configure(sky(pds), PAGE)
    run(desk)
    desk.show("one")
    real = App.connect

    def fail(app: App, account: object) -> object:
        if getattr(account, "name", None) == "sky":
            raise ZeroDivisionError("a bug")
        return real(app, account)  # type: ignore[arg-type] # the real one, with what it was given

    monkeypatch.setattr(App, "connect", fail)
    report = run(desk)
    assert states(report)["one", "page"] is State.POSTED
    assert [(trouble.account, trouble.failed) for trouble in report.troubles] == [("sky", True)]


def test_one_process_logs_in_once_however_often_it_runs(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    run(desk)
    with closing(build(desk.file)) as app:
        for name in ("one", "two", "three"):
            desk.show(name)
            app.run()
    assert seen_on(pds) == ["three", "two", "one"]
    assert len(pds.called("createSession")) == 1


def test_a_changed_secret_is_a_new_login(desk: Desk, pds: FakePds, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.configure(sky(pds))
    run(desk)
    with closing(build(desk.file)) as app:
        desk.show("one")
        app.run()
        pds.password = "efgh-efgh-efgh-efgh"
        monkeypatch.setenv(SECRET, pds.password)
        desk.show("two")
        app.run()
    assert seen_on(pds) == ["two", "one"]
    assert len(pds.called("createSession")) == 2


@pytest.mark.fault("H14")
def test_h14_no_secret_is_in_the_store(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    run(desk)
    desk.show("one")
    run(desk)
    assert seen_on(pds) == ["one"]
    for path in desk.folder.rglob("*"):
        assert not path.is_file() or pds.password.encode() not in path.read_bytes(), path


# --- questions -------------------------------------------------------------------------------------------------------


def test_dates_that_lie_ahead_are_named_with_how_far(desk: Desk) -> None:
    run(desk)
    desk._next_date = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=8)
    desk.show("ahead")
    run(desk)
    with closing(look(desk.file)) as app:
        ((feed, ahead),) = app.dates_ahead().items()
    assert feed == "news"
    assert timedelta(hours=7, minutes=59) < ahead <= timedelta(hours=8)
    assert "news: its dates lie 8.0 h ahead" in desk("status").out
    assert desk.pages() == {"ahead"}, "what a feed shows is public"


def test_an_article_is_found_by_its_id_too(desk: Desk) -> None:
    run(desk)
    with closing(look(desk.file)) as app:
        (article,) = app.store.newest_articles(5)
        assert app.find_article(article.id) == (article,)
        assert app.find_article("") == (article,)


def test_every_account_has_an_answer_in_the_order_of_the_file(desk: Desk) -> None:
    desk.configure(PAGE.replace("page:", "zeta:", 1), PAGE.replace("page:", "alpha:", 1))
    run(desk)
    with closing(look(desk.file)) as app:
        (article,) = app.store.newest_articles(5)
        assert list(app.explain(article)) == ["zeta", "alpha"]


def test_a_glance_prefers_the_configuration_and_does_without_it(desk: Desk) -> None:
    url = (desk.folder / "feed.xml").as_uri()
    (one,) = glance(desk.file, None, most=3)
    assert [draft.account for draft in one.drafts] == ["page"]
    (one,) = glance(desk.folder / "no.yaml", url, most=3)
    assert "bluesky" in {draft.account for draft in one.drafts}
    with pytest.raises(ConfigError, match="there is no such file"):
        glance(desk.folder / "no.yaml", None, most=3)
    with pytest.raises(FeedError, match="no such file"):
        glance(desk.file, "file:///no/feed.xml", most=3)
