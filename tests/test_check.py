"""`check`: what is good is said to be, what is wrong is said with what to do, and nothing is posted or written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from time import monotonic
from typing import NamedTuple

import pytest

from autopublish import checks, deliveries
from autopublish.checks import Finding, Verdict, check
from autopublish.errors import ConfigError, Unauthorized
from autopublish.models import AccountState, Identity, State
from autopublish.platforms.bluesky import Bluesky
from tests.bench.newsroom import News, document
from tests.desk import FEED, PAGE, SECRET, Desk, sky
from tests.servers.feed_site import Answer, FeedSite
from tests.servers.mastodon import FakeMastodon
from tests.servers.pds import FakePds, Fault, Then

HOUR = timedelta(hours=1)


class Usage(NamedTuple):
    """What the system says of a disk."""

    total: int
    used: int
    free: int


@pytest.fixture
def pds(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePds]:
    """A Bluesky server, whose password is in the environment."""
    monkeypatch.setenv(SECRET, FakePds.password)
    with FakePds() as server:
        yield server


@pytest.fixture
def second_site() -> Iterator[FeedSite]:
    """Another one."""
    with FeedSite() as one:
        yield one


def dated(**off: float) -> dict[str, str]:
    """The Date of a server whose clock differs from ours by so much."""
    return {"Date": format_datetime(datetime.now(UTC) + timedelta(**off), usegmt=True)}


def shown(*, ahead: timedelta = timedelta()) -> bytes:
    """A feed with one article of now."""
    return document([News(name="one", published=datetime.now(UTC) + ahead)])


def at(site: FeedSite, *, name: str = "news", path: str = "/feed/") -> str:
    """The site's feed in a configuration."""
    return f"  {name}:\n    url: {site.url(path)}\n    allow_private: yes\n"


def found(desk: Desk, subject: str, name: str | None = None, *, patience: timedelta = checks.PATIENCE) -> Finding:
    """The first finding about something."""
    all_found = check(desk.file, patience=patience)
    return next(one for one in all_found if one.subject == subject and name in (None, one.name))


# --- the command -----------------------------------------------------------------------------------------------------


def test_where_all_is_well_each_line_says_ok_and_the_command_ends_with_0(desk: Desk) -> None:
    said = desk("check")
    assert {line.split()[0] for line in said.out.splitlines()} == {"ok"}
    assert (said.code, said.err) == (0, "")
    subjects = [line.split()[1].rstrip(":") for line in said.out.splitlines()]
    assert subjects == ["program", "file", "store", "disk", "clock", "feed", "account", "next", "next"]


def test_what_is_wrong_is_said_with_what_to_do_and_the_command_ends_with_1(desk: Desk) -> None:
    (desk.folder / "feed.xml").write_text("<html>no feed</html>")
    said = desk("check")
    wrong, remedy = next(
        (line, after)
        for line, after in zip(said.out.splitlines(), said.out.splitlines()[1:], strict=False)
        if line.startswith("wrong")
    )
    assert wrong.startswith("wrong  feed news: ")
    assert remedy.strip().startswith("-> give the address of the feed itself")
    assert said.code == 1


def test_the_document_for_machines_says_the_same(desk: Desk) -> None:
    (desk.folder / "feed.xml").unlink()
    said = desk("check", "--json")
    told = said.json()
    assert (said.code, said.err, told["good"]) == (1, "", False)
    (wrong,) = [one for one in told["findings"] if one["verdict"] == "wrong"]
    assert (wrong["subject"], wrong["name"]) == ("feed", "news")
    assert "no such file" in wrong["words"]


def test_a_configuration_that_is_wrong_is_told_as_ever(desk: Desk) -> None:
    desk.file.write_text("feeds: [")
    assert desk("check").code == 2
    with pytest.raises(ConfigError):
        check(desk.file)


@pytest.mark.parametrize("when", ["before the first run", "after runs"])
def test_nothing_is_posted_or_written(desk: Desk, pds: FakePds, when: str) -> None:
    desk.configure(PAGE, sky(pds))
    if when == "after runs":
        desk("run")
        desk.show("one")
    before = desk.tree()
    assert desk("check").code == 0
    assert desk.tree() == before
    assert pds.visible() == []
    assert not pds.called("putRecord")


# --- feeds -----------------------------------------------------------------------------------------------------------


def test_a_feed_is_shown_with_its_status_its_articles_the_newest_and_its_validators(desk: Desk, site: FeedSite) -> None:
    site.script("/feed/", Answer(body=shown(), headers={**dated(), "ETag": '"1"'}))
    desk.configure(PAGE, feeds=at(site), more="timezone: Asia/Makassar\n")
    feed = found(desk, "feed")
    assert feed.verdict is Verdict.OK
    local = datetime.now(UTC) + timedelta(hours=8)
    assert feed.words.startswith(f"HTTP 200: 1 article, newest {local:%Y-%m-%d %H:}")
    assert feed.words.endswith(", ETag")


@pytest.mark.parametrize(
    ("answer", "words", "remedy"),
    [
        pytest.param(Answer(status=404), "HTTP 404", "correct the address", id="404"),
        pytest.param(Answer(status=403), "HTTP 403", "ask the admin of the site", id="403"),
        pytest.param(Answer(status=503), "HTTP 503", "check again later", id="503"),
        pytest.param(Answer(body=b"<p>Hello"), "", "give the address of the feed itself", id="a page"),
        pytest.param(Answer(body=b"x" * 99, cut_at=9), "cut short", "check again later", id="a part"),
    ],
)
def test_a_feed_that_cannot_be_read_is_wrong_and_its_remedy_fits(
    desk: Desk, site: FeedSite, answer: Answer, words: str, remedy: str
) -> None:
    site.script("/feed/", answer)
    desk.configure(PAGE, feeds=at(site))
    feed = found(desk, "feed")
    assert feed.verdict is Verdict.WRONG
    assert words in feed.words
    assert (feed.remedy or "").startswith(remedy)


def test_a_feed_whose_server_does_not_answer_is_wrong(desk: Desk, site: FeedSite) -> None:
    desk.configure(PAGE, feeds=at(site).replace("127.0.0.1", "nowhere.invalid"))
    feed = found(desk, "feed")
    assert (feed.verdict, feed.remedy) == (Verdict.WRONG, "check the address, and this machine's network")


def test_a_feed_without_articles_is_no_error(desk: Desk, site: FeedSite) -> None:
    site.script("/feed/", Answer(body=document([])))
    desk.configure(PAGE, feeds=at(site))
    feed = found(desk, "feed")
    assert (feed.verdict, "without articles" in feed.words) == (Verdict.NOTE, True)


def test_dates_that_lie_ahead_are_told(desk: Desk, site: FeedSite) -> None:
    site.script("/feed/", Answer(body=shown(ahead=8 * HOUR), headers=dated()))
    desk.configure(PAGE, feeds=at(site))
    feed = found(desk, "feed")
    assert feed.verdict is Verdict.NOTE
    assert "its dates lie 8.0 h ahead (local time written as UTC?)" in feed.words


def test_a_feed_that_has_moved_for_good_is_told_with_its_new_address(desk: Desk, site: FeedSite) -> None:
    site.script("/feed/", Answer(status=301, headers={"Location": "/rss"}))
    site.script("/rss", Answer(body=shown()))
    desk.configure(PAGE, feeds=at(site))
    feed = found(desk, "feed")
    assert feed.verdict is Verdict.NOTE
    assert feed.words.endswith(f"it has moved for good to {site.url('/rss')}")


def test_a_site_that_told_us_to_wait_is_not_asked(desk: Desk, site: FeedSite) -> None:
    site.script("/feed/", Answer(status=429, headers={"Retry-After": "3600"}))
    desk.configure(PAGE, feeds=at(site))
    desk("run")
    asked = len(site.asked)
    feed = found(desk, "feed")
    assert (feed.verdict, feed.words.partition(" until ")[0]) == (Verdict.NOTE, "not asked: the site told us to wait")
    assert len(site.asked) == asked


def test_a_server_that_is_stuck_holds_no_other_and_the_check_ends_in_time(
    desk: Desk, site: FeedSite, second_site: FeedSite
) -> None:
    site.script("/feed/", Answer(delay_seconds=60))
    second_site.script("/feed/", Answer(body=shown()))
    desk.configure(PAGE, feeds=at(site, name="stuck") + at(second_site, name="good"))
    began = monotonic()
    by_name = {one.name: one for one in check(desk.file, patience=timedelta(seconds=1)) if one.subject == "feed"}
    assert monotonic() - began < 10
    assert (by_name["stuck"].verdict, by_name["stuck"].words) == (Verdict.WRONG, "no answer within 1 s")
    assert by_name["good"].verdict is Verdict.OK


def test_feeds_of_one_host_are_asked_one_after_the_other(desk: Desk, site: FeedSite) -> None:
    slow = Answer(body=shown(), delay_seconds=0.2)
    paths = [f"/{number}/feed/" for number in range(3)]
    for path in paths:
        site.script(path, slow)
    desk.configure(PAGE, feeds="".join(at(site, name=f"n{place}", path=path) for place, path in enumerate(paths)))
    assert desk("check").code == 0
    times = [asked.at for asked in site.asked]
    assert [asked.target for asked in site.asked] == paths
    assert all(later - earlier >= 0.2 for earlier, later in pairwise(times))


# --- the clock -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        pytest.param(0, 0, Verdict.OK, id="both agree"),
        pytest.param(-90, 90, Verdict.OK, id="both agree nearly"),
        pytest.param(600, 0, Verdict.NOTE, id="one differs"),
        pytest.param(600, 610, Verdict.WRONG, id="both say that ours is behind"),
        pytest.param(-86400, -86400, Verdict.WRONG, id="both say that ours is ahead"),
    ],
)
def test_the_clock_is_mistrusted_only_if_two_servers_disagree_with_it(
    desk: Desk, site: FeedSite, second_site: FeedSite, first: float, second: float, verdict: Verdict
) -> None:
    site.script("/feed/", Answer(body=shown(), headers=dated(seconds=first)))
    second_site.script("/feed/", Answer(body=shown(), headers=dated(seconds=second)))
    desk.configure(PAGE, feeds=at(site, name="one") + at(second_site, name="two"))
    clock = found(desk, "clock")
    assert clock.verdict is verdict
    assert (clock.remedy is not None) == (verdict is Verdict.WRONG)


def test_two_feeds_of_one_server_are_one_voice_about_the_clock(desk: Desk, site: FeedSite) -> None:
    for path in ("/a/", "/b/"):
        site.script(path, Answer(body=shown(), headers=dated(hours=3)))
    desk.configure(PAGE, feeds=at(site, name="a", path="/a/") + at(site, name="b", path="/b/"))
    clock = found(desk, "clock")
    assert (clock.verdict, "3.0 h ahead" in clock.words) == (Verdict.NOTE, True)


# --- accounts --------------------------------------------------------------------------------------------------------


def test_an_account_is_shown_with_who_is_logged_in_and_how_much_its_server_takes(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    account = found(desk, "account")
    assert account == Finding(
        subject="account",
        name="sky",
        words=f"{pds.handle} on bluesky, posts of up to 297 characters; what its credentials may do, the network does "
        "not tell before a post",
    )


@pytest.mark.parametrize(
    ("scopes", "verdict", "words"),
    [
        (
            ["read:accounts", "read:statuses", "write:media", "write:statuses"],
            Verdict.OK,
            "posts of up to 500 characters",
        ),
        (
            ["read:accounts", "read:statuses"],
            Verdict.WRONG,
            "the credentials lack write:statuses (posts), write:media (pictures)",
        ),
    ],
    ids=["all", "only to read"],
)
def test_what_an_account_may_not_do_is_told_where_its_network_says_so(
    desk: Desk, scopes: list[str], verdict: Verdict, words: str
) -> None:
    with FakeMastodon() as server:
        server.scopes = frozenset(scopes)
        (desk.folder / "token").write_text(server.token)
        (desk.folder / "token").chmod(0o600)
        desk.configure(
            f"  toots:\n    platform: mastodon\n    server: {server.url}\n    access_token: file:token\n"
            "    allow_private: yes\n"
        )
        account = found(desk, "account")
    assert (account.verdict, account.words.endswith(words)) == (verdict, True), account.words
    assert (account.remedy is not None) is (verdict is Verdict.WRONG)


@pytest.mark.fault("O03")
@pytest.mark.parametrize("value", [None, "", "changeme"], ids=["missing", "empty", "sample"])
def test_o03_a_secret_that_cannot_be_had_is_told_by_its_reference_and_the_other_accounts_are_asked(
    desk: Desk, pds: FakePds, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    desk.configure(sky(pds), PAGE)
    if value is None:
        monkeypatch.delenv(SECRET)
    else:
        monkeypatch.setenv(SECRET, value)
    by_name = {one.name: one for one in check(desk.file) if one.subject == "account"}
    assert by_name["sky"].verdict is Verdict.WRONG
    assert f"env:{SECRET} is" in by_name["sky"].words
    assert by_name["page"].verdict is Verdict.OK


@pytest.mark.fault("D16")
def test_d16_credentials_that_the_network_refuses_are_wrong_and_never_shown(
    desk: Desk, pds: FakePds, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.configure(sky(pds))
    monkeypatch.setenv(SECRET, "not-the-one-we-gave")
    account = found(desk, "account")
    assert account.verdict is Verdict.WRONG
    assert account.words.startswith("bluesky: ")
    assert account.remedy == "`autopublish platforms bluesky` tells what it needs"
    assert "not-the-one-we-gave" not in repr(check(desk.file))


def test_a_refusal_that_quotes_the_secret_is_shown_without_it(
    desk: Desk, pds: FakePds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Bluesky) -> Identity:
        raise Unauthorized(f"wrong password: {FakePds.password}")

    desk.configure(sky(pds))
    monkeypatch.setattr(Bluesky, "whoami", refuse)
    assert found(desk, "account").words == "bluesky: wrong password: …"


def test_a_platform_that_fails_hides_no_other_and_what_it_failed_with_is_not_shown(
    desk: Desk, pds: FakePds, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Bluesky) -> Identity:
        raise RuntimeError(FakePds.password)

    desk.configure(sky(pds), PAGE)
    monkeypatch.setattr(Bluesky, "whoami", fail)
    by_name = {one.name: one for one in check(desk.file) if one.subject == "account"}
    assert by_name["sky"].words == "the program failed: RuntimeError; please report it"
    assert by_name["page"].verdict is Verdict.OK
    assert "check failed: subject=account name=sky error=RuntimeError" in caplog.text
    assert FakePds.password not in caplog.text


def test_a_network_that_is_away_is_told(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    pds.script("createSession", *[Fault(then=Then.ANSWER, status=503)] * 5)
    assert found(desk, "account").verdict is Verdict.WRONG


@pytest.mark.fault("O07")
def test_o07_another_identity_than_the_pinned_one_is_told_with_both_names(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds))
    desk("run")
    with desk.store() as store:
        was = store.standing("sky")
        other = replace(was, identity=Identity(id="did:plc:other", name="berau.test"))
        store.save_standing(was, other, now=datetime.now(UTC))
    account = found(desk, "account")
    assert account.verdict is Verdict.WRONG
    assert account.words == f"logged in as {pds.handle}, and it was berau.test so far: nothing is posted"
    assert f"--accept-identity {pds.handle}" in (account.remedy or "")


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (AccountState.PAUSED, Verdict.NOTE),
        (AccountState.AUTH_BLOCKED, Verdict.WRONG),
        (AccountState.SAFE_MODE, Verdict.WRONG),
    ],
)
def test_an_account_that_may_not_post_is_told_with_the_reason(
    desk: Desk, state: AccountState, verdict: Verdict
) -> None:
    desk("run")
    with desk.store() as store:
        was = store.standing("page")
        after = (
            deliveries.block(was, "elections", datetime.now(UTC))
            if state is AccountState.AUTH_BLOCKED
            else replace(was, state=state, reason="elections")
        )
        store.save_standing(was, after, now=datetime.now(UTC))
    account = found(desk, "account")
    assert account.verdict is verdict
    assert account.words.endswith(f"; {state.value}: elections")
    command = "go" if state is AccountState.SAFE_MODE else "accounts resume page"
    assert (account.remedy or "").startswith(f"`autopublish {command}` lets it go on")


# --- this machine ----------------------------------------------------------------------------------------------------


@pytest.mark.fault("O03")
def test_o03_a_secret_file_that_others_can_read_is_told_and_stops_nothing(desk: Desk, pds: FakePds) -> None:
    secret = desk.folder / "secret"
    secret.write_text(FakePds.password)
    secret.chmod(0o644)
    desk.configure(sky(pds).replace(f"env:{SECRET}", "file:secret"))
    (note,) = [one for one in check(desk.file) if one.verdict is not Verdict.OK]
    assert (note.subject, note.verdict) == ("file", Verdict.NOTE)
    assert f"chmod 600 {secret}" in note.words
    assert desk("check").code == 0


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, True), (0o604, True)], ids=oct)
def test_a_file_of_secrets_beside_the_configuration_is_for_its_owner_alone(desk: Desk, mode: int, told: bool) -> None:
    secrets = desk.folder / ".env"
    secrets.write_text("TOKEN=\n")
    secrets.chmod(mode)
    remedies = [one.remedy for one in check(desk.file) if one.name == str(secrets)]
    assert remedies == ([f"chmod 600 {secrets}"] if told else [])


@pytest.mark.parametrize(("free", "verdict"), [(99_000_000, Verdict.WRONG), (100_000_000, Verdict.OK)])
def test_a_disk_that_is_nearly_full_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, free: int, verdict: Verdict
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, free))
    assert found(desk, "disk").verdict is verdict


def test_a_store_that_is_none_is_told_and_nothing_is_said_of_the_next_run(desk: Desk) -> None:
    (desk.folder / "autopublish.db").write_bytes(b"no database at all" * 100)
    all_found = check(desk.file)
    store = next(one for one in all_found if one.subject == "store")
    assert (store.verdict, "is not a store of autopublish" in store.words) == (Verdict.WRONG, True)
    assert not [one for one in all_found if one.subject == "next run"]


def test_a_store_and_a_folder_that_may_not_be_written_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk("run")
    # root may write everywhere, whatever the modes say.
    monkeypatch.setattr(os, "access", lambda *_: False)
    store, disk = found(desk, "store"), found(desk, "disk")
    assert (store.verdict, disk.verdict) == (Verdict.WRONG, Verdict.WRONG)
    assert store.words == f"{desk.folder / 'autopublish.db'} cannot be written by this user"
    assert disk.remedy == "correct the rights of the folder"


# --- what the next run does ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("none", "first poll: 2 articles recorded as known, none posted (see `first_run`)"),
        ("newest 3", "first poll: the newest 3 are posted"),
        ("all", "first poll: all 2 articles are posted"),
        ("since 2026-01-31", "first poll: articles since 2026-01-31 00:00 are posted"),
    ],
)
def test_before_the_first_poll_it_is_said_what_that_would_post(desk: Desk, rule: str, words: str) -> None:
    desk.show("one")
    desk.configure(PAGE, feeds=f"{FEED}    first_run: {rule}\n")
    assert found(desk, "next run", "news").words == words


def test_after_the_first_poll_it_is_said_how_much_is_due_and_what_needs_a_person(desk: Desk) -> None:
    desk.configure(PAGE + "    at_most: 1/hour\n")
    desk("run")
    desk.show("one", "two", "three", "four")
    desk("run")
    row = next(row for name in ("two", "three", "four") if (row := desk.row(name, "page")).state is State.READY)
    desk.change(row, state=State.HELD, reason="stale")
    due, people = [one for one in check(desk.file) if one.subject == "next run"]
    assert (due.verdict, due.words) == (Verdict.OK, "2 deliveries due")
    assert (people.verdict, people.words) == (Verdict.NOTE, "waits for a person: 1 HELD")
    assert desk("check").code == 0


def test_what_an_account_that_may_not_post_holds_back_is_not_due(desk: Desk) -> None:
    desk("run")
    desk("accounts", "pause", "page")
    desk.show("one")
    desk("run")
    assert found(desk, "next run").words == "0 deliveries due, 1 waiting"


def test_while_everything_is_stopped_nothing_is_due_and_it_is_said_what_ends_that(desk: Desk) -> None:
    desk("run")
    desk("stop")
    desk.show("one")
    desk("run")
    stopped, due = [one for one in check(desk.file) if one.subject == "next run"]
    assert (stopped.verdict, stopped.remedy) == (Verdict.NOTE, "`autopublish go`")
    assert stopped.words.startswith("everything is stopped by ")
    assert due.words == "0 deliveries due, 1 waiting"
    assert desk("check").code == 0


def test_the_document_for_machines_is_json_with_the_keys_that_are_written_down(desk: Desk) -> None:
    told = json.loads(desk("check", "--json").out)
    assert set(told) == {"good", "findings"}
    assert {key for one in told["findings"] for key in one} == {"subject", "name", "verdict", "words", "remedy"}
