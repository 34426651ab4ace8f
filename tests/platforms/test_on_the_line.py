"""Real adapters on the whole line: articles in, what readers of strict servers see out, on a clock that is moved.

The judge of every test is the server's own list of posts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from autopublish.models import AccountState, Delivery, FeedSettings, Identity, Post, Receipt, Stage, State
from autopublish.net import Client
from autopublish.pipeline import posts_of_article, posts_of_feed
from autopublish.platforms._base import Platform
from autopublish.platforms._http import Http
from autopublish.platforms.bluesky import Bluesky
from autopublish.platforms.mastodon import Mastodon
from autopublish.text import TextLimits, characters
from tests.bench.newsroom import News
from tests.bench.world import World
from tests.desk import PAGE, Desk
from tests.servers import pds
from tests.servers.mastodon import FakeMastodon, Family, Fault, Made, Then
from tests.servers.pds import FakePds

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def patient(http: Http) -> Http:
    """A call waits a second by the real clock."""
    http.deadline = timedelta(seconds=1)
    return http


def mastodon_of(server: FakeMastodon, **settings: Any) -> Callable[[Http], Platform]:
    values = {"server": server.url, "access_token": server.token, **settings}
    return lambda http: Mastodon(Mastodon.Settings.model_validate(values), patient(http))


@dataclass(slots=True)
class Line:
    """One account on one server, and a world that has posted nothing there yet."""

    world: World
    account: str
    #: Texts that a reader sees, in any order.
    texts: Callable[[], list[str]]
    #: How many times a post was asked for.
    sends: Callable[[], int]
    post_by_hand: Callable[[str], object]
    #: The next look fails.
    fail_look: Callable[[], None]
    servers: list[object] = field(default_factory=list)

    def show(self, *names: str, **rest: Any) -> None:
        self.world.show_more(*(self.world.news(name, **rest) for name in names))

    def row(self, name: str) -> Delivery:
        return self.world.delivery(name, self.account)

    def seen(self, name: str) -> int:
        """How many posts a reader sees of an article."""
        return sum(News(name=name, published=None).link in text for text in self.texts())


def open_line(world: World, platform: str, make: Callable[[Http], Platform], **rest: Any) -> Line:
    world.others[platform] = make
    world.add_account(platform)
    world.open_site()
    return Line(world=world, account=platform, **rest)


def mastodon_line(world: World, server: FakeMastodon, **settings: Any) -> Line:
    server.clock = world.clock
    return open_line(
        world,
        "mastodon",
        mastodon_of(server, **settings),
        texts=lambda: [status.text for status in server.visible()],
        sends=lambda: len(server.called("publish")),
        post_by_hand=server.post_by_hand,
        fail_look=lambda: server.script("find", Fault(status=502)),
    )


def bluesky_line(world: World, server: FakePds) -> Line:
    server.clock = lambda: world.clock().timestamp()
    settings = {"service": server.url, "identifier": server.handle, "app_password": server.password}

    def post_by_hand(text: str) -> None:
        when = world.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        server.write("3mexamplekaaa", {"$type": "app.bsky.feed.post", "text": text, "createdAt": when})

    down = pds.Fault(then=pds.Then.ANSWER, status=502)
    return open_line(
        world,
        "bluesky",
        lambda http: Bluesky(Bluesky.Settings.model_validate(settings), patient(http)),
        texts=lambda: [post.text for post in server.visible()],
        sends=lambda: len(server.called("putRecord")),
        post_by_hand=post_by_hand,
        fail_look=lambda: server.script("getRecord", down),
    )


@pytest.fixture
def server() -> Iterator[FakeMastodon]:
    with FakeMastodon() as one:
        yield one


@pytest.fixture(params=["mastodon", "bluesky"])
def line(request: pytest.FixtureRequest, unjudged_world: World) -> Iterator[Line]:
    with ExitStack() as stack:
        if request.param == "mastodon":
            yield mastodon_line(unjudged_world, stack.enter_context(FakeMastodon()))
        else:
            yield bluesky_line(unjudged_world, stack.enter_context(FakePds()))


# --- unknown outcomes ------------------------------------------------------------------------------------------------

#: How a server treats a key: the server, changes of its rules, whether a repeat is answered with 500.
SERVERS: dict[str, tuple[Family, dict[str, Any], bool]] = {
    "key-honoured": (Family.MASTODON, {}, False),
    "key-ignored": (Family.GOTOSOCIAL, {}, False),
    "repeat-fails": (Family.MASTODON, {}, True),
    "pleroma": (Family.PLEROMA, {}, False),
    "old": (Family.OLD, {}, False),
}
#: What becomes of the first call.
LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-reset": Fault(then=Then.RESET, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-then-cut": Fault(then=Then.CUT, made=Made.AT_ONCE),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-502": Fault(status=502),
    "never-made-reset": Fault(then=Then.RESET_READING),
    "made-222-s-later": Fault(then=Then.RESET, made=Made.LATE, after=timedelta(seconds=222)),
}


@pytest.mark.fault("D02")
@pytest.mark.fault("D03")
@pytest.mark.fault("D04")
@pytest.mark.fault("D05")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
@pytest.mark.parametrize(("family", "changes", "fails_repeats"), SERVERS.values(), ids=SERVERS)
def test_d02_d03_d04_d05_a_lost_answer_ends_with_one_post(
    unjudged_world: World, family: Family, changes: dict[str, Any], fails_repeats: bool, fault: Fault
) -> None:
    with FakeMastodon(family, **changes) as server:
        line = mastodon_line(unjudged_world, server)
        server.fails_repeats = fails_repeats
        server.script("publish", fault)
        line.show("one")
        line.world.run()
        assert line.row("one").state is State.VERIFYING
        line.world.until_quiet()
        line.world.clock.move(hours=2)
        assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)
        # A request that broke off half way never came to the server.
        came = 0 if fault.then is Then.RESET_READING else 1
        assert line.sends() == came + (1 if fault.made is Made.NEVER else 0)
        assert len({call.body for call in server.called("publish")}) == 1
        assert len({call.headers["idempotency-key"] for call in server.called("publish")}) == 1


@pytest.mark.fault("D04")
@pytest.mark.parametrize(
    ("family", "seen"),
    [pytest.param(Family.GOTOSOCIAL, 2, id="key-ignored"), pytest.param(Family.MASTODON, 1, id="key-honoured")],
)
def test_d04_without_the_settle_time_a_late_post_is_doubled_where_the_key_is_ignored(
    unjudged_world: World, family: Family, seen: int
) -> None:
    with FakeMastodon(family) as server:
        line = mastodon_line(unjudged_world, server)
        line.world.change_account("mastodon", settle=timedelta(0))
        server.script("publish", LOST["made-222-s-later"])
        line.show("one")
        line.world.until_quiet()
        line.world.clock.move(hours=1)
        assert line.seen("one") == seen


@pytest.mark.fault("D07")
@pytest.mark.parametrize("fails_repeats", [False, True], ids=["repeat-honoured", "repeat-fails"])
def test_d07_a_post_that_came_after_its_absence_was_proved_is_adopted(
    unjudged_world: World, server: FakeMastodon, fails_repeats: bool
) -> None:
    line = mastodon_line(unjudged_world, server)
    server.fails_repeats = fails_repeats
    server.script("publish", Fault(status=502))
    line.show("one")
    line.world.run()
    (lost,) = server.called("publish")
    line.world.clock.move_to(next_look(line))
    line.world.run()
    line.world.clock.move_to(next_look(line))
    # Between the second look and the repeat of the same run the first call is carried out after all.
    server.script("publish", Fault(status=502, made=Made.AT_ONCE))
    line.world.run()
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)
    assert {call.body for call in server.called("publish")} == {lost.body}


def next_look(line: Line) -> Any:
    look_at = line.row("one").look_at
    assert look_at is not None
    return look_at


@pytest.mark.fault("D08")
@pytest.mark.parametrize("family", [Family.MASTODON, Family.GOTOSOCIAL])
@pytest.mark.parametrize("made", [Made.NEVER, Made.AT_ONCE])
def test_d08_after_the_keys_window_a_fresh_look_decides(unjudged_world: World, family: Family, made: Made) -> None:
    with FakeMastodon(family) as server:
        line = mastodon_line(unjudged_world, server)
        server.script("publish", Fault(status=502, made=made))
        # Nothing can be seen for two hours.
        server.script("find", *[Fault(status=503)] * 60)
        line.show("one")
        line.world.run()
        while line.world.clock() < line.row("one").created + 2 * HOUR:
            line.world.clock.move_to(max(next_look(line), line.world.clock() + MINUTE))
            line.world.run()
        assert (line.row("one").state, line.sends()) == (State.VERIFYING, 1)
        server._faults.clear()
        line.world.until_quiet()
        assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)


@pytest.mark.fault("D08")
def test_d08_a_resend_that_had_to_wait_too_long_is_looked_up_again(unjudged_world: World, server: FakeMastodon) -> None:
    line = mastodon_line(unjudged_world, server)
    server.script("publish", Fault(status=502), Fault(status=429, body=b"{}", headers={"Retry-After": "7200"}))
    line.show("one")
    line.world.run()
    while line.sends() < 2:
        line.world.clock.move_to(max(line.row("one").look_at or line.world.clock(), line.world.clock() + MINUTE))
        line.world.run()
    assert line.row("one").state is State.READY
    line.world.clock.move(hours=2, minutes=1)
    looks = len(server.called("find"))
    line.world.run()
    line.world.until_quiet()
    assert len(server.called("find")) >= looks + 2
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 3)


@pytest.mark.fault("D07")
def test_d07_a_picture_that_an_earlier_call_used_up_is_evidence_of_its_post(
    unjudged_world: World, tmp_path: Path
) -> None:
    with FakeMastodon(Family.GOTOSOCIAL) as server:
        line = mastodon_line(unjudged_world, server)
        server.script("publish", Fault(status=502, made=Made.LATE, after=timedelta(minutes=11, seconds=10)))
        line.show("one", picture=file_picture(line.world))
        line.world.until_quiet()
        row = line.row("one")
        assert (row.state, line.seen("one")) == (State.POSTED, 1)
        assert row.receipt is not None
        assert row.receipt.remote_id == server.visible()[0].id


@pytest.mark.fault("D17")
def test_d17_an_article_without_a_picture_waits_for_one_on_pixelfed_and_the_next_one_goes_on(
    unjudged_world: World,
) -> None:
    with FakeMastodon(Family.PIXELFED) as server:
        line = mastodon_line(unjudged_world, server)
        line.show("one")
        line.show("two", picture=file_picture(line.world))
        line.world.until_quiet()
        assert (line.row("one").state, line.row("two").state) == (State.HELD, State.POSTED)
        assert (line.row("one").reason or "").startswith("picture: posts on mastodon need one")
        assert (line.seen("one"), line.seen("two")) == (0, 1)


@pytest.mark.fault("D13")
@pytest.mark.fault("D14")
@pytest.mark.parametrize("status", [429, 401])
def test_d13_d14_a_picture_is_not_uploaded_again_for_a_call_that_was_refused(
    unjudged_world: World, server: FakeMastodon, status: int
) -> None:
    line = mastodon_line(unjudged_world, server)
    server.script("publish", Fault(status=status, body=b'{"error":"not now"}'))
    line.show("one", picture=file_picture(line.world))
    line.world.run()
    assert (line.row("one").state, line.sends(), line.seen("one")) == (State.READY, 1, 0)
    line.world.clock.move(hours=1)
    line.world.until_quiet()
    assert (line.row("one").state, line.sends(), line.seen("one")) == (State.POSTED, 2, 1)
    assert len(server.called("media")) == 1
    assert server.visible()[0].media, "the post has the picture that was uploaded before"


def test_a_limit_holds_the_account_until_it_ends(unjudged_world: World, server: FakeMastodon) -> None:
    line = mastodon_line(unjudged_world, server)
    server.limits["publish"], server.limit_ends = 1, line.world.clock() + 3 * HOUR
    line.show("one", "two")
    line.world.run()
    assert (line.sends(), line.world.standing("mastodon").not_before) == (2, server.limit_ends)
    line.world.until_quiet()
    assert (line.sends(), line.seen("one"), line.seen("two")) == (3, 1, 1)


# --- before a late first send ----------------------------------------------------------------------------------------


def delayed(line: Line, *names: str) -> None:
    """Articles that wait two hours before their first send."""
    line.world.change_account(line.account, delay=2 * HOUR)
    line.show(*names)
    line.world.run()


@pytest.mark.fault("D23")
def test_d23_what_a_person_posted_meanwhile_is_found_and_not_sent(line: Line) -> None:
    delayed(line, "one", "two")
    line.post_by_hand(f"Baca {News(name='one', published=None).link}?utm_source=x")
    line.world.clock.move(hours=2)
    line.world.run()
    assert (line.row("one").state, line.row("one").reason) == (State.POSTED, "was there already")
    assert (line.seen("one"), line.seen("two"), line.sends()) == (1, 1, 1)


def test_a_failed_look_before_the_first_send_leaves_it_ready(line: Line) -> None:
    delayed(line, "one")
    line.world.clock.move(hours=2)
    line.fail_look()
    line.world.run()
    assert (line.row("one").state, line.sends()) == (State.READY, 0)
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 1)


@pytest.mark.parametrize("by_hand", [True, False])
def test_after_the_accounts_return_what_waited_is_looked_up_first(line: Line, by_hand: bool) -> None:
    line.show("zero")
    line.world.run()
    line.world.pause(line.account)
    line.world.clock.move(minutes=5)
    line.show("one")
    line.world.run()
    if by_hand:
        line.post_by_hand(News(name="one", published=None).link)
    line.world.clock.move(minutes=5)
    line.world.resume(line.account)
    line.fail_look()
    line.world.run()
    assert (line.row("one").state, line.sends()) == (State.READY, 1)
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 1 if by_hand else 2)


def test_an_article_without_a_link_is_found_by_its_text(unjudged_world: World, server: FakeMastodon) -> None:
    server.rules = replace(server.rules, length=5000)
    line = mastodon_line(unjudged_world, server)
    world = line.world
    world.change_account("mastodon", template="{{ title }} {{ summary }}", delay=2 * HOUR)
    entry = world.news("one", title="@walikota bicara", summary="kata " * 100)
    world.show_more(entry)
    file = world.file("news")
    file.write_text(file.read_text().replace(f"<link>{entry.link}</link>", ""))
    world.run()
    world.clock.move(hours=2)
    text = f"@\u2060walikota bicara {'kata ' * 100}".strip()
    server.post_by_hand(text)
    world.run()
    assert ([status.text for status in server.visible()], line.sends()) == ([text], 0)


# --- pictures --------------------------------------------------------------------------------------------------------


def file_picture(world: World, name: str = "one") -> str:
    """The address of a picture beside the feed, as the feed has it."""
    Image.new("RGB", (160, 120), "teal").save(world.folder / f"{name}.png", "PNG")
    return f"{name}.png"


@pytest.mark.fault("D19")
def test_d19_a_picture_in_work_is_uploaded_once_polled_and_published(
    unjudged_world: World, server: FakeMastodon
) -> None:
    line = mastodon_line(unjudged_world, server)
    server.processing = 3
    line.show("one", picture=file_picture(line.world))
    line.world.run()
    assert (line.row("one").state, line.sends()) == (State.READY, 0)
    assert line.world.standing("mastodon").not_before is None
    line.world.until_quiet()
    assert [len(server.called(name)) for name in ("media", "poll", "publish")] == [1, 3, 1]
    (status,) = server.visible()
    assert len(status.media) == 1


@pytest.mark.fault("D19")
@pytest.mark.parametrize("processing", [None, 10_000], ids=["fails", "never-ends"])
def test_d19_a_picture_that_comes_to_nothing_leaves_a_post_without_it(
    unjudged_world: World, server: FakeMastodon, processing: int | None
) -> None:
    line = mastodon_line(unjudged_world, server)
    server.processing = processing
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet(most=500)
    (status,) = server.visible()
    assert (status.media, line.row("one").state) == ((), State.POSTED)
    assert line.world.clock() < line.row("one").created + HOUR


def test_a_picture_in_work_delays_no_other_article(unjudged_world: World, server: FakeMastodon) -> None:
    line = mastodon_line(unjudged_world, server)
    server.processing = 1
    line.show("one", picture=file_picture(line.world))
    line.show("two")
    line.world.run()
    assert (line.seen("one"), line.seen("two")) == (0, 1)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two")) == (1, 1)


# --- limits of the server --------------------------------------------------------------------------------------------


def test_a_post_has_the_room_that_its_server_gives(unjudged_world: World, server: FakeMastodon) -> None:
    server.rules = replace(server.rules, length=90)
    line = mastodon_line(unjudged_world, server)
    line.show("one", title="Jembatan Mahakam dibuka kembali setelah perbaikan " * 10)
    line.world.run()
    (status,) = server.visible()
    assert 80 < server.count(status.text) <= 90


def asked(server: FakeMastodon) -> int:
    """How many times the server was asked what it takes."""
    return len([call for call in server.called("instance") if call.path == "/api/v2/instance"])


def test_limits_are_asked_once_in_a_drain_that_composes_and_never_for_a_frozen_resend_or_a_look(
    unjudged_world: World, server: FakeMastodon
) -> None:
    line = mastodon_line(unjudged_world, server)
    line.world.run()
    assert asked(server) == 0
    line.show("one", "two", "three")
    line.world.run()
    assert (line.sends(), asked(server)) == (3, 1)
    server.script("publish", Fault(status=502))
    line.world.clock.move(minutes=5)
    line.show("four")
    line.world.until_quiet()
    assert (line.sends(), line.seen("four"), asked(server)) == (5, 1, 2)


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        pytest.param(Fault(status=502), AccountState.ACTIVE, id="away"),
        pytest.param(Fault(status=429, body=b"{}", headers={"Retry-After": "600"}), AccountState.ACTIVE, id="limited"),
        pytest.param(Fault(status=401), AccountState.AUTH_BLOCKED, id="token refused"),
    ],
)
def test_an_account_whose_server_cannot_be_asked_waits_with_its_deliveries(
    unjudged_world: World, server: FakeMastodon, fault: Fault, state: AccountState
) -> None:
    line = mastodon_line(unjudged_world, server)
    server.script("nodeinfo", Fault(status=502))
    server.script("instance", fault, fault)
    line.show("one", "two")
    line.world.run()
    standing = line.world.standing("mastodon")
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.READY, State.READY, 0)
    assert (standing.state, server.called("media")) == (state, [])
    if state is AccountState.ACTIVE:
        assert standing.not_before is not None
        assert standing.not_before > line.world.clock()
    server._faults.clear()
    line.world.clock.move(hours=1)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two")) == (1, 1)


class Broken(Platform):
    """A platform whose limits cannot be learnt, since the program fails."""

    limits = TextLimits(length=300, count=characters)

    def learn_limits(self) -> None:
        raise ZeroDivisionError

    def whoami(self) -> Identity:
        return Identity(id="x", name="x")

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        raise AssertionError("nothing was learnt, and something is sent")


def test_a_program_that_fails_on_limits_loses_nothing(unjudged_world: World) -> None:
    unjudged_world.others["broken"] = lambda http: Broken(Broken.Settings(), http)
    unjudged_world.add_account("broken")
    unjudged_world.open_site()
    unjudged_world.show_more(unjudged_world.news("one"))
    unjudged_world.run()
    assert unjudged_world.delivery("one", "broken").state is State.READY
    assert "ZeroDivisionError" in (unjudged_world.standing("broken").reason or "")


# --- preview ---------------------------------------------------------------------------------------------------------


def previewed(world: World, server: FakeMastodon, *, connect: bool = True, by_article: bool = False) -> Any:
    def make(_account: object, client: Client) -> Platform:
        return mastodon_of(server)(Http(client, allow_private=True))

    client = Client(user_agent="autopublish-tests")
    accounts = tuple(world.accounts.values())
    settings: FeedSettings = world.feeds["news"]
    rest: dict[str, Any] = {
        "describe": make, "connect": make if connect else None, "client": client, "now": world.clock()
    }  # fmt: skip
    try:
        if by_article:
            link = News(name="one", published=None).link
            shown = posts_of_article(link, [settings], accounts, **rest)
            assert shown is not None
        else:
            (shown,) = posts_of_feed(settings, accounts, most=1, **rest)
        (draft,) = shown.drafts
        return draft
    finally:
        client.close()


@pytest.mark.parametrize("by_article", [True, False])
def test_a_preview_has_the_limits_of_the_accounts_server(
    unjudged_world: World, server: FakeMastodon, by_article: bool
) -> None:
    server.rules = replace(server.rules, length=900)
    line = mastodon_line(unjudged_world, server)
    line.show("one")
    draft = previewed(line.world, server, by_article=by_article)
    assert (draft.post.room, draft.note, line.sends()) == (900, None, 0)


def test_a_preview_that_cannot_ask_says_so_and_has_the_usual_limits(
    unjudged_world: World, server: FakeMastodon
) -> None:
    server.rules = replace(server.rules, length=900)
    line = mastodon_line(unjudged_world, server)
    line.show("one")
    server.script("nodeinfo", Fault(status=502))
    server.script("instance", Fault(status=502), Fault(status=502))
    draft = previewed(line.world, server)
    assert draft.post.room == 500
    assert draft.note.startswith("the server's own limits are not known: ")


def test_a_preview_without_a_connection_asks_nobody(unjudged_world: World, server: FakeMastodon) -> None:
    line = mastodon_line(unjudged_world, server)
    line.show("one")
    draft = previewed(line.world, server, connect=False)
    assert (draft.post.room, draft.note, server.calls) == (500, None, [])


def at_desk(folder: Path, server: FakeMastodon, *, token: str | None) -> Desk:
    """A newsroom with an account on the server and one on a page."""
    desk = Desk(folder)
    desk.configure(
        f"  toots:\n    platform: mastodon\n    server: {server.url}\n    access_token: env:TOOTS_TOKEN\n"
        "    allow_private: yes\n",
        PAGE,
    )
    desk.environment["TOOTS_TOKEN"] = token
    desk.show("one")
    return desk


@pytest.mark.parametrize("target", [(), ("https://news.example/one/",)], ids=["feeds", "article"])
def test_the_command_previews_with_the_servers_limits_and_sends_nothing(
    tmp_path: Path, server: FakeMastodon, target: tuple[str, ...]
) -> None:
    server.rules, server.is_secure = replace(server.rules, length=900), True
    (shown,) = at_desk(tmp_path, server, token=server.token)("preview", *target, "-n", "1", "--json").json()
    posts = [(post["account"], post["room"], post["note"]) for post in shown["posts"]]
    assert posts == [("toots", 900, None), ("page", 300, None)]
    assert {call.name for call in server.calls} == {"nodeinfo", "instance"}


def test_the_command_says_why_it_does_not_know_the_servers_limits(tmp_path: Path, server: FakeMastodon) -> None:
    desk = at_desk(tmp_path, server, token=None)
    said = desk("preview", "-n", "1")
    assert said.code == 0
    assert "toots (mastodon)," in said.out
    assert (
        "note: the server's own limits are not known: accounts.toots.access_token: env:TOOTS_TOKEN is not set"
        in said.out
    )
    assert said.out.count("note: ") == 1
    assert server.calls == []


def test_a_preview_without_configuration_asks_no_server_that_it_does_not_know(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.show("one")
    (shown,) = desk("preview", (tmp_path / "feed.xml").as_uri(), "--json").json()
    (post,) = (post for post in shown["posts"] if post["platform"] == "mastodon")
    assert (post["room"], post["note"]) == (500, None)
