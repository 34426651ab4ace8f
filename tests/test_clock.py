"""A clock that is wrong: nothing is stale, lost or doubled for it, and one server that is wrong changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from autopublish import clock as judging
from autopublish import deliveries
from autopublish.clock import TOLERANCE, WRONG, Opinion
from autopublish.models import AccountState, AlertKind, State
from autopublish.net import Client
from autopublish.pipeline._clock import Timekeeper
from tests.bench.clock import START, Clock
from tests.bench.network import Call, Network, Say, Step
from tests.bench.newsroom import News, document
from tests.bench.world import ALL, World, assert_invariants
from tests.desk import Desk
from tests.desk import sky as sky_account
from tests.servers.feed_site import Answer, FeedSite
from tests.servers.pds import FakePds

YEARS = timedelta(days=730)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


# --- what servers say ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offsets", "opinion"),
    [
        pytest.param((), Opinion.UNHEARD, id="nobody"),
        pytest.param((TOLERANCE,), Opinion.AGREES, id="one, as far off as is borne"),
        pytest.param((TOLERANCE + SECOND,), Opinion.DOUBTED, id="one that disagrees"),
        pytest.param((YEARS, SECOND), Opinion.AGREES, id="one wrong by years, one that agrees"),
        pytest.param((YEARS, YEARS, -SECOND), Opinion.AGREES, id="two alike, one that agrees"),
        pytest.param((HOUR, -HOUR), Opinion.DOUBTED, id="two that differ from each other"),
        pytest.param((-YEARS, -YEARS + TOLERANCE), Opinion.MISTRUSTED, id="two that say that ours is ahead"),
        pytest.param((DAY, HOUR, DAY + MINUTE), Opinion.MISTRUSTED, id="two alike and a third one"),
    ],
)
def test_a_clock_is_mistrusted_only_if_two_servers_agree_that_it_is_wrong_and_none_that_it_is_right(
    offsets: tuple[timedelta, ...], opinion: Opinion
) -> None:
    assert judging.judge({f"host-{number}": offset for number, offset in enumerate(offsets)}) is opinion


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        pytest.param(-YEARS, "it is 730 days ahead", id="years ahead"),
        pytest.param(2 * HOUR, "it is 2.0 hours behind", id="hours behind"),
        pytest.param(DAY + 6 * HOUR, "it is 30.0 hours behind", id="a day and more"),
    ],
)
def test_the_words_say_how_far_the_clock_is_off_and_that_it_heals_by_itself(offset: timedelta, words: str) -> None:
    said = judging.in_words(offset)
    assert said.startswith(WRONG)
    assert words in said
    assert "go on by themselves" in said


def test_the_time_that_two_servers_tell_alike_is_the_true_one() -> None:
    assert judging.true_offset({"a": HOUR, "b": -DAY, "c": -DAY + MINUTE}) == -DAY
    assert judging.true_offset({"a": HOUR, "b": -DAY}) is None


# --- what is remembered ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Hands:
    """A clock and seconds that never jump, moved by hand."""

    now: datetime = START
    seconds: float = 0.0


@pytest.fixture
def client() -> Iterator[Client]:
    """The network."""
    with closing(Client(user_agent="autopublish-tests")) as one:
        yield one


def ask(client: Client, site: FeedSite, **headers: str) -> None:
    site.script("/", Answer(headers=headers))
    client.get(site.url("/"), limit_bytes=1000, allow_private=True)


def date(time: datetime) -> str:
    return format_datetime(time.replace(microsecond=0), usegmt=True)


def keeper_of(client: Client, hands: Hands) -> Timekeeper:
    return Timekeeper(client, lambda: hands.now, monotonic=lambda: hands.seconds)


@pytest.mark.parametrize(
    ("headers", "offsets"),
    [
        pytest.param({"Date": date(START + HOUR)}, [HOUR], id="ahead of ours"),
        pytest.param({"Date": date(START - HOUR), "Age": "3600"}, [timedelta()], id="kept by a cache since"),
        pytest.param({"Date": date(START), "Age": "soon"}, [timedelta()], id="an age that is none"),
        pytest.param({"Date": ""}, [], id="without a date"),
        pytest.param({"Date": "yesterday"}, [], id="no date"),
    ],
)
def test_each_answer_tells_how_far_its_servers_clock_is_ahead_of_ours(
    client: Client, site: FeedSite, headers: Mapping[str, str], offsets: list[timedelta]
) -> None:
    ask(client, site, **headers)
    (*told,) = client.told().values()
    hands = Hands(seconds=told[0].at if told else 0.0)
    assert list(keeper_of(client, hands).offsets().values()) == offsets


def test_what_a_server_told_ages_with_the_clock_that_never_jumps(client: Client, site: FeedSite) -> None:
    ask(client, site, Date=date(START))
    hands = Hands(seconds=next(iter(client.told().values())).at)
    keeper = keeper_of(client, hands)
    hands.now, hands.seconds = START + HOUR, hands.seconds + 3600
    assert keeper.opinion() is Opinion.AGREES


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["ahead", "back"])
def test_what_was_told_before_the_clock_jumped_proves_nothing_any_more(
    client: Client, site: FeedSite, jump: timedelta
) -> None:
    ask(client, site, Date=date(START))
    hands = Hands(seconds=next(iter(client.told().values())).at)
    keeper = keeper_of(client, hands)
    assert keeper.opinion() is Opinion.AGREES
    hands.now, hands.seconds = START + jump, hands.seconds + 1
    assert keeper.opinion() is Opinion.UNHEARD, "a machine that slept has a clock that is right"
    ask(client, site, Date=date(START))
    hands.seconds = next(iter(client.told().values())).at
    hands.now = START + jump
    assert Timekeeper(client, lambda: hands.now, monotonic=lambda: hands.seconds).opinion() is Opinion.DOUBTED


def test_a_server_counts_by_what_it_told_last(client: Client, site: FeedSite) -> None:
    ask(client, site, Date=date(START))
    ask(client, site, Date=date(START + HOUR))
    assert [told.date for told in client.told().values()] == [date(START + HOUR)]


# --- the whole line --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Sky:
    """A world whose site and networks tell the time, which may differ from its clock."""

    world: World
    site: FeedSite
    #: How far the clocks of servers are ahead of the program's.
    site_off: timedelta = timedelta()
    network_off: timedelta = timedelta()
    shown: list[News] = field(default_factory=list)

    def tell(self, site: timedelta, network: timedelta) -> None:
        """The servers tell these times from now on."""
        self.site_off, self.network_off = site, network
        self._publish()

    def show(self, name: str, **ago: float) -> None:
        """The feed shows one article more, dated by the site's clock."""
        published = self.world.clock() + self.site_off - timedelta(**ago)
        news = News(name=name, published=published, site=self.site.url(""))
        self.shown.insert(0, news)
        self._publish()

    def _publish(self) -> None:
        headers = {"Date": date(self.world.clock() + self.site_off)}
        # The judge of the world knows by the file what was shown.
        self.world.show(*self.shown)
        self.site.script("/feed/", Answer(body=document(self.shown), headers=headers))
        for news in self.shown:
            self.site.script(f"/{news.name}/", Answer(body=b"a page", headers=headers))

    def jump(self, by: timedelta) -> None:
        """The program's clock jumps; those of servers do not."""
        self.world.clock.move_to(self.world.clock() + by)
        self.tell(self.site_off - by, self.network_off - by)

    def states(self) -> set[tuple[State, str | None]]:
        """What became of all deliveries."""
        return {(row.state, row.reason) for row in self.world.deliveries()}

    def seen(self, account: str) -> list[str]:
        """What a reader of the account sees."""
        return self.world.posted(account)

    def delivery_state(self, name: str, account: str) -> State:
        """What became of one delivery."""
        return self.world.delivery(name, account, site=self.site.url("")).state

    def alerts(self) -> list[bool]:
        """For each alert of SAFE_MODE, whether it is over."""
        with self.world.store() as store:
            return [one.over is not None for one in store.alerts() if one.cause.kind is AlertKind.SAFE_MODE]


@pytest.fixture
def sky(world: World, site: FeedSite) -> Sky:
    """An open site, and accounts on networks of two kinds."""
    made = Sky(world=world, site=site)
    world.network.date = lambda: (world.clock() + made.network_off).replace(microsecond=0)
    world.add_feed(url=site.url("/feed/"))
    made.show("opening", days=1)
    world.add_account("strong")
    world.add_account("timed")
    world.run()
    world.clock.move(minutes=5)
    return made


def wait_unsent(sky: Sky, name: str) -> None:
    """An article waits, since the networks were away."""
    for account in sky.world.accounts:
        sky.world.network.unplug(account)
    sky.show(name)
    sky.world.run()
    for account in sky.world.accounts:
        sky.world.network.plug(account)


@pytest.mark.fault("C02")
def test_c02_a_clock_two_years_ahead_makes_nothing_stale_and_stops_every_account_until_it_is_right(sky: Sky) -> None:
    wait_unsent(sky, "one")
    sky.jump(YEARS)
    journal = sky.world.run()
    assert sky.states() == {(State.READY, None)}
    assert {sky.world.standing(name).state for name in sky.world.accounts} == {AccountState.SAFE_MODE}
    assert all(trouble.reason.startswith(WRONG) for trouble in journal.troubles.values())
    assert sky.alerts() == [False]

    sky.world.clock.move(minutes=1)
    sky.show("two")
    sky.world.run()
    assert sky.states() == {(State.READY, None)}
    assert [sky.seen(name) for name in sky.world.accounts] == [[], []]

    sky.jump(-YEARS + 10 * MINUTE)
    sky.world.run()
    assert {sky.world.standing(name).state for name in sky.world.accounts} == {AccountState.ACTIVE}
    assert sky.alerts() == [True], "it is over"
    sky.world.until_quiet()
    assert [sky.seen(name) for name in sky.world.accounts] == [["one", "two"], ["one", "two"]]


@pytest.mark.fault("C02")
def test_c02_what_a_poll_saved_by_a_wrong_clock_goes_out_once_the_clock_is_right(sky: Sky) -> None:
    sky.world.network.date = None
    sky.jump(YEARS)
    sky.show("one")
    sky.world.pause("timed")
    sky.world.change_account("strong", delay=HOUR)
    sky.world.run()
    assert sky.world.delivery("one", "strong", site=sky.site.url("")).due > START + YEARS
    sky.jump(-YEARS + 10 * MINUTE)
    sky.world.run()
    sky.world.resume("timed")
    sky.world.run()
    assert sky.seen("strong") == ["one"]
    assert sky.world.feed().last_try == sky.world.clock()
    sky.show("two")
    sky.world.clock.move(minutes=5)
    sky.world.run()
    assert sky.delivery_state("two", "strong") is State.READY, "not called backdated by a poll of the future"


@pytest.mark.fault("C02")
def test_c02_go_lets_accounts_send_although_servers_disagree(sky: Sky) -> None:
    wait_unsent(sky, "one")
    sky.jump(YEARS)
    sky.world.run()
    with sky.world.store() as store:
        store.accept_clock()
        store.start_some(sky.world.clock(), started=deliveries.started)
    sky.world.run()
    assert sky.seen("strong") == ["one"]
    sky.tell(timedelta(), timedelta())
    sky.show("two")
    sky.world.run()
    with sky.world.store() as store:
        assert not store.times().is_accepted, "it was said of a clock that is right again"


@pytest.mark.fault("C04")
def test_c04_a_server_that_is_wrong_by_hours_changes_nothing_while_another_one_agrees(sky: Sky) -> None:
    sky.tell(site=-6 * HOUR, network=timedelta())
    wait_unsent(sky, "old")
    sky.world.clock.move(days=3)
    sky.tell(site=-6 * HOUR, network=timedelta())
    sky.show("new")
    sky.world.until_quiet()
    assert sky.seen("strong") == ["new"]
    assert sky.world.delivery("old", "strong", site=sky.site.url("")).reason == "stale"
    assert sky.world.standing("strong").state is AccountState.ACTIVE


@pytest.mark.fault("C04")
def test_c04_while_only_one_server_tells_the_time_and_is_wrong_nothing_is_stale_and_news_go_out(sky: Sky) -> None:
    wait_unsent(sky, "old")
    sky.world.clock.move(days=3)
    sky.world.network.date = None
    sky.tell(site=-6 * HOUR, network=timedelta())
    sky.show("new")
    sky.world.run()
    journal = sky.world.run()
    assert sky.seen("strong") == ["new"]
    assert sky.delivery_state("old", "strong") is State.READY
    assert "waits until another one agrees" in journal.troubles["strong"].reason
    assert sky.world.network.calls("strong", Call.WHOAMI), "it was asked for the time before the send"


def test_what_is_too_old_is_stale_where_no_server_tells_the_time(world: World) -> None:
    world.add_account("blind")
    world.open_site()
    world.network.unplug("blind")
    world.show_more(world.news("one"))
    world.run()
    world.network.plug("blind")
    world.clock.move(days=3)
    world.run()
    assert (world.delivery("one", "blind").state, world.delivery("one", "blind").reason) == (State.HELD, "stale")


# --- back ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def true_world(folder: Path, clock: Clock) -> Iterator[World]:
    """A world whose networks have a clock of their own, which is right."""
    with Network(Clock(folder / "true")) as network:
        made = World(folder, network, clock)
        yield made
        assert_invariants(made)


def move(world: World, true: Clock, **by: float) -> None:
    world.clock.move(**by)
    true.move(**by)


@pytest.mark.fault("C01")
def test_c01_a_clock_that_jumped_back_does_not_make_a_key_young_again(true_world: World, folder: Path) -> None:
    world, true = true_world, Clock(folder / "true")
    world.add_account("timed")
    world.open_site()
    true.move_to(world.clock())
    late = Step(say=Say.FAILED, creates=3 * HOUR)
    world.network.script("timed", Call.PUBLISH, late, Step(say=Say.LIMITED, wait=5 * MINUTE))
    world.show_more(world.news("one"))
    begun = world.clock()
    world.run()
    while world.delivery("one", "timed").absent_at is None:
        move(world, true, minutes=4)
        world.run()
    assert world.delivery("one", "timed").state is State.READY, "proved absent, and told to wait"
    world.pause("timed")
    world.clock.move_to(begun + 5 * HOUR)
    true.move_to(begun + 5 * HOUR)
    world.run()

    world.clock.move_to(begun + 40 * MINUTE)
    world.resume("timed")
    asked = len(world.network.calls("timed", Call.PUBLISH))
    for _ in range(3):
        journal = world.run()
        assert "the clock is behind" in journal.troubles["timed"].reason
        move(world, true, minutes=1)
    assert len(world.network.calls("timed", Call.PUBLISH)) == asked

    world.clock.move_to(true())
    world.until_quiet()
    assert world.posted("timed") == ["one"]


@pytest.mark.fault("C01")
def test_c01_once_a_server_agrees_with_the_clock_what_lay_ahead_is_set_right_and_sends_go_on(sky: Sky) -> None:
    sky.world.network.date = None
    sky.jump(DAY)
    sky.show("one")
    sky.world.run()
    sky.jump(-DAY + 5 * MINUTE)
    sky.world.run()
    sky.show("two")
    sky.world.run()
    assert set(sky.seen("strong")) == {"one", "two"}
    with sky.world.store() as store:
        latest = store.times("strong").latest
    assert latest == sky.world.clock()


@pytest.mark.fault("C01")
def test_c01_a_person_may_say_that_a_clock_is_right_of_which_no_server_tells(world: World) -> None:
    world.add_account("keyed")
    world.add_feed(first_run=ALL)
    world.clock.move(days=30)
    world.show(world.news("one"))
    world.run()
    world.clock.move_to(START)
    world.show_more(world.news("two"))
    journal = world.run()
    assert "`autopublish go`" in journal.troubles["keyed"].reason
    assert world.posted("keyed") == ["one"]
    assert not journal.troubles["keyed"].told_before
    assert world.run().troubles["keyed"].told_before


def test_go_takes_the_clock_for_right_and_sets_right_what_lay_ahead(desk: Desk) -> None:
    desk("run")
    with desk.store() as store:
        (feed,) = store.feeds()
        store.save_feeds([replace(feed, last_try=datetime.now(UTC) + DAY)])
    desk.show("one")
    said = desk("run")
    assert (said.code, "the clock is behind what the store has seen" in said.err) == (1, True)
    assert desk.pages() == set()
    assert desk("go").out == f"{RIGHT}\n"
    assert desk("run").code == 0
    assert desk.pages() == {"one"}


def test_go_says_that_it_takes_the_clock_for_right_also_where_it_was_meant_to_end_a_stop(desk: Desk) -> None:
    desk("run")
    with desk.store() as store:
        was = store.standing("page")
        store.save_standing(was, deliveries.stopped_for_clock(was, WRONG), now=datetime.now(UTC))
    desk("stop")
    assert desk("go").out.splitlines()[1:] == ["  page: 0 posts wait", "page: out of SAFE_MODE", RIGHT]
    desk("stop")
    assert RIGHT not in desk("go").out


#: What `go` says where the clock is in doubt.
RIGHT = "the clock of this machine is taken for right, whatever servers say: set it if it is not"
#: A daemon by a clock that is two years ahead.
AHEAD = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from autopublish.daemon import Daemon, Limits
from autopublish.engines.local import Clocks

clocks = Clocks(now=lambda: datetime.now(UTC) + timedelta(days=730))
limits = Limits(minute=timedelta(seconds=0.1))
Daemon(Path(sys.argv[1]), tell=lambda words: print(words, flush=True), limits=limits, clocks=clocks).run()
"""


@pytest.mark.fault("C02")
def test_c02_a_daemon_whose_clock_is_ahead_stops_every_account_and_loses_nothing(
    desk: Desk, pds: FakePds, site: FeedSite
) -> None:
    now = datetime.now(UTC)
    link = site.url("")
    known, fresh = (News(name=name, published=now - HOUR, site=link) for name in ("known", "fresh"))
    headers = {"Date": date(now)}
    site.script("/feed/", Answer(body=document([known]), headers=headers))
    desk.configure(sky_account(pds), feeds=f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n")
    desk("run")
    site.script("/feed/", Answer(body=document([fresh, known]), headers=headers))
    with subprocess.Popen(
        [sys.executable, "-c", AHEAD, str(desk.file)], env=desk.variables(), stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = next((line for line in process.stdout if WRONG in line), "")
        process.terminate()
        assert process.wait(30) == 0
    assert "two servers agree that it is 730 days ahead" in told
    assert pds.visible() == []
    with desk.store() as store:
        (row,) = store.newest_deliveries(10)
        assert row.state is State.READY
        assert store.standing("sky").state is AccountState.SAFE_MODE
