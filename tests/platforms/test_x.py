"""X against a strict server on loopback, over tweepy and our own connections."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from autopublish import net
from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotReady,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import (
    Account,
    AccountState,
    Article,
    Identity,
    Post,
    Receipt,
    Span,
    SpanKind,
    Stage,
    State,
)
from autopublish.platforms._http import Http
from autopublish.platforms.x import X, link_length, unlinked
from autopublish.posts import compose
from autopublish.text import clean
from tests.bench.world import World
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_on_the_line import Line, file_picture, open_line, patient
from tests.platforms.test_telegram import page, picture
from tests.servers.scripted import Fault, Made, Then
from tests.servers.x import FakeX, Tweet, weight

KEY = "0123456789abcdef0123456789abcdef"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3)
SINCE = PUBLISHED - timedelta(hours=1)
LINK = "https://kaltim.news/2026/11/jembatan-mahakam-dibuka/?id=7&page=2"
TEXT = f"Jembatan “Mahakam” & IKN 👨‍👩‍👧‍👦\n\n{LINK}\n#Kaltim #IKN"
POST = Post(text=TEXT, link=LINK, title="Jembatan", created_at=CREATED, published=PUBLISHED)
PROBLEM = "https://api.twitter.com/2/problems/"


@pytest.fixture
def server() -> Iterator[FakeX]:
    with FakeX() as one:
        one.clock = lambda: CREATED
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def x(server: FakeX, client: net.Client) -> X:
    return adapter(server, client)


@pytest.fixture
def pictured(tmp_path: Path) -> Post:
    return dataclasses.replace(POST, picture=picture(tmp_path))


def settings_of(server: FakeX, /, **values: Any) -> X.Settings:
    return X.Settings.model_validate({"server": server.url, **server.keys, **values})


def adapter(server: FakeX, client: net.Client, /, **values: Any) -> X:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return X(settings_of(server, **values), http)


def published(platform: X, post: Post = POST) -> Receipt:
    return platform.publish(post, platform.stage(post, Stage()), key=KEY)


def seen(server: FakeX) -> Tweet:
    (tweet,) = server.visible()
    return tweet


def problem(status: int, detail: str, kind: str = "about:blank", title: str = "Forbidden", **headers: str) -> Fault:
    """A refusal as X words it."""
    body = {"title": title, "detail": detail, "type": kind, "status": status}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, body=json.dumps(body).encode(), headers=named)


def invalid(message: str) -> Fault:
    body = {"errors": [{"message": message}], "title": "Invalid Request", "type": f"{PROBLEM}invalid-request"}
    return Fault(status=400, body=json.dumps(body).encode())


# --- the contract test's part ----------------------------------------------------------------------------------------

_ECHO = json.dumps({"title": "odd", "detail": " ".join(FakeX.keys.values()), "type": "about:blank"}).encode()
_CLIENT = json.dumps(
    {"title": "Client Forbidden", "reason": "client-not-enrolled", "type": f"{PROBLEM}client-forbidden", "detail": "No"}
).encode()
_NOT_PERMITTED = "You are not permitted to perform this action."

#: Failure -> how the call goes wrong, and what `publish` raises.
FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "revoked": (problem(401, "Unauthorized", title="Unauthorized"), Unauthorized),
    "no-credits": (problem(402, "Your enrolled account has no credits.", title="CreditsDepleted"), Unauthorized),
    "no-credits-bare": (Fault(status=402, body=b""), Unauthorized),
    "monthly-cap": (problem(429, "Usage cap exceeded: Monthly product cap", f"{PROBLEM}usage-capped"), Unauthorized),
    "monthly-cap-403": (problem(403, "Usage cap exceeded", f"{PROBLEM}usage-capped"), Unauthorized),
    "app-permissions": (problem(403, "oauth1 app permissions", f"{PROBLEM}oauth1-permissions"), Unauthorized),
    "read-only-token": (problem(403, _NOT_PERMITTED, x_access_level="read"), Unauthorized),
    "client-forbidden": (Fault(status=403, body=_CLIENT), Unauthorized),
    "suspended": (problem(403, "User has been suspended", f"{PROBLEM}user-suspended"), Unauthorized),
    "locked": (problem(403, "To protect our users, this account is temporarily locked."), Unauthorized),
    "account-not-permitted": (problem(403, "Your account is not permitted to access this feature."), Unauthorized),
    "limited": (problem(429, "Too Many Requests", title="Too Many Requests"), RateLimited),
    "limited-html": (page(429, "Too Many", Retry_After="7"), RateLimited),
    "duplicate": (problem(403, "You are not allowed to create a Tweet with duplicate content."), AlreadyPosted),
    "duplicate-old": (Fault(status=403, body=b'{"errors":[{"message":"Status is a duplicate."}]}'), AlreadyPosted),
    "cashtags": (problem(403, "more than the maximum of one cashtag"), Rejected),
    "url": (problem(403, "The post contains an invalid URL."), Rejected),
    "not-permitted": (problem(403, _NOT_PERMITTED), Rejected),
    "text": (invalid("text must be valid"), Rejected),
    "media": (invalid("Your media IDs are invalid."), MediaRejected),
    "400-of-something-else": (page(400, "Bad Request"), OutcomeUnknown),
    "403-of-something-else": (page(403, "Checking your browser"), OutcomeUnknown),
    "403-unlisted": (problem(403, "Forbidden"), OutcomeUnknown),
    "404": (problem(404, "Not Found"), OutcomeUnknown),
    "unlisted-409": (problem(409, "Conflict"), OutcomeUnknown),
    "redirect": (page(307, "Moved", Location="http://127.0.0.1:9/"), OutcomeUnknown),
    "500": (problem(500, "Internal Server Error"), OutcomeUnknown),
    "502": (page(502, "Bad Gateway"), OutcomeUnknown),
    "503": (problem(503, "Service Unavailable", title="Service Unavailable"), OutcomeUnknown),
    "504": (Fault(status=504, body=b""), OutcomeUnknown),
    "a-list": (Fault(status=403, body=b"[1]"), OutcomeUnknown),
    "odd-errors": (Fault(status=503, body=b'{"errors":{"a":1},"error":7,"detail":[]}'), OutcomeUnknown),
    "odd-reset": (Fault(status=429, body=b"{}", headers={"x-rate-limit-reset": "soon"}), RateLimited),
    "deep": (Fault(status=403, body=b'{"errors":' + b"[" * 100_000), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": (Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "not-json": (page(200, "Welcome"), OutcomeUnknown),
    "empty": (Fault(status=201, body=b""), OutcomeUnknown),
    "without-id": (Fault(status=201, body=b'{"data":{"text":"x"}}'), OutcomeUnknown),
    "odd-id": (Fault(status=201, body=b'{"data":{"id":"a/b"}}'), OutcomeUnknown),
    "errors-in-success": (Fault(status=200, body=b'{"errors":[{"detail":"x"}]}'), OutcomeUnknown),
    "huge": (Fault(status=201, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": (Fault(status=418, body=_ECHO), OutcomeUnknown),
    "echoes-in-success": (Fault(status=200, body=_ECHO), OutcomeUnknown),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeX() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        server.clock = lambda: CREATED
        server.refuses_duplicates = False
        yield Bench(
            make=lambda: adapter(server, client),
            post=dataclasses.replace(POST, picture=picture(folder)),
            sent=lambda: [call.body for call in server.called("publish")],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=seen(server).text, pinged=seen(server).mentions),
            secrets=tuple(server.keys.values()),
            network=Network(
                unplug=server.stop,
                silence=lambda: server.script("publish", Fault(then=Then.SILENCE)),
                fail=lambda name: server.script("publish", FAILURES[name][0]),
                answer=lambda fault: server.script("publish", fault),
            ),
        )


CONTRACT = Contract(bench=bench, failures={name: error for name, (_, error) in FAILURES.items()})


# --- settings and login ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"length": 0}, {"link_price": -1}, {"fields_parameter": "fields"}, {"server": "api.x.com"}], ids=str
)
def test_settings_that_cannot_be_meant_are_refused(server: FakeX, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        settings_of(server, **wrong)


@pytest.mark.parametrize("name", ["access_token", "access_token_secret"])
def test_a_missing_token_says_how_to_get_one_and_asks_nobody(server: FakeX, client: net.Client, name: str) -> None:
    with pytest.raises(Unauthorized, match="Keys and tokens"):
        adapter(server, client, **{name: None}).whoami()
    assert server.calls == []


def test_a_key_that_can_be_none_is_told_and_not_sent(server: FakeX, client: net.Client) -> None:
    with pytest.raises(Unauthorized, match="copy it again") as raised:
        adapter(server, client, consumer_secret="two words").whoami()
    assert "two words" not in str(raised.value)
    assert server.calls == []


def test_blanks_around_a_key_do_no_harm(server: FakeX, client: net.Client) -> None:
    given_keys = {name: f" {value}\n" for name, value in server.keys.items()}
    assert adapter(server, client, **given_keys).whoami().name == "@kaltimnews"


def test_whoami_names_the_account_and_is_one_paid_question(x: X, server: FakeX) -> None:
    assert x.whoami() == Identity(id=FakeX.account, name="@kaltimnews", url="https://x.com/kaltimnews")
    assert server.billed == Decimal("0.010")


@pytest.mark.fault("D16")
@pytest.mark.parametrize("name", ["consumer_key", "consumer_secret", "access_token", "access_token_secret"])
def test_d16_a_wrong_key_of_the_four_is_refused(server: FakeX, client: net.Client, name: str) -> None:
    with pytest.raises(Unauthorized, match="four keys"):
        adapter(server, client, **{name: "wrong"}).whoami()


@pytest.mark.parametrize("body", [b"{}", b'{"data":{"id":5,"username":"x"}}', b'{"data":{"id":"5"}}', b"[]"])
def test_a_login_that_cannot_be_read_is_no_identity(x: X, server: FakeX, body: bytes) -> None:
    server.script("whoami", Fault(status=200, body=body))
    with pytest.raises(OutcomeUnknown):
        x.whoami()


@pytest.mark.fault("D16")
def test_d16_a_token_that_may_only_read_is_refused_before_anything_is_posted(x: X, server: FakeX) -> None:
    server.access = "read"
    with pytest.raises(Unauthorized, match='set the app to "Read and write"'):
        x.whoami()
    server.access = "read-write-directmessages"
    assert x.whoami().id == FakeX.account


# --- publishing ------------------------------------------------------------------------------------------------------


def test_a_post_is_sent_with_its_text_alone_and_its_address_needs_no_name(x: X, server: FakeX) -> None:
    receipt = published(x)
    assert receipt == Receipt(remote_id=seen(server).id, url=f"https://x.com/i/web/status/{seen(server).id}")
    (call,) = server.calls
    assert json.loads(call.body) == {"text": TEXT}
    assert (seen(server).links, seen(server).hashtags) == ((LINK,), ("Kaltim", "IKN"))


@pytest.mark.fault("D21")
def test_d21_tweepy_asks_once_over_our_own_connection_and_under_our_name(x: X, server: FakeX) -> None:
    server.script("publish", problem(429, "Too Many Requests"), problem(503, "away"))
    for error in (RateLimited, OutcomeUnknown):
        with pytest.raises(error):
            published(x)
    assert len(server.calls) == 2
    assert {call.headers["user-agent"] for call in server.calls} == {"autopublish-tests"}
    assert {call.headers["accept-encoding"] for call in server.calls} == {"identity"}


def test_who_only_looks_at_the_platforms_does_not_pay_for_tweepy() -> None:
    code = "import sys, autopublish.platforms.x; print('tweepy' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "False\n"


def test_proxies_and_passwords_of_the_environment_are_not_used(
    x: X, server: FakeX, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9/")
    published(x)
    assert len(server.visible()) == 1


def test_the_guard_stops_a_post_before_its_first_byte(x: X, server: FakeX) -> None:
    def refuse() -> None:
        raise NotSent("stopped")

    x.http.guard = refuse
    with pytest.raises(NotSent):
        published(x)
    assert server.calls == []


@pytest.mark.fault("H12")
def test_h12_a_redirect_of_a_post_is_not_followed_and_no_signature_leaves(x: X, server: FakeX) -> None:
    with FakeX() as elsewhere:
        server.script("publish", page(307, "Moved", Location=f"{elsewhere.url}/2/tweets"))
        with pytest.raises(OutcomeUnknown):
            published(x)
        assert elsewhere.calls == []


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alt", ["Sebuah jembatan", ""])
def test_a_picture_goes_with_its_description(x: X, server: FakeX, tmp_path: Path, alt: str) -> None:
    published(x, dataclasses.replace(POST, picture=picture(tmp_path, alt=alt)))
    assert seen(server).picture == ("JPEG", alt)
    assert [call.name for call in server.calls] == ["upload", *(["describe"] if alt else []), "publish"]


def test_a_description_that_is_too_long_is_shortened(x: X, server: FakeX, tmp_path: Path) -> None:
    published(x, dataclasses.replace(POST, picture=picture(tmp_path, alt="kata " * 300)))
    shown = seen(server).picture
    assert shown is not None
    assert len(shown[1]) <= 1000
    assert shown[1].endswith("…")


def test_an_upload_is_used_again_until_x_forgets_it(x: X, server: FakeX, pictured: Post) -> None:
    stage = x.stage(pictured, Stage())
    later = dataclasses.replace(pictured, created_at=CREATED + timedelta(hours=23))
    assert x.stage(later, stage) == stage
    almost = dataclasses.replace(pictured, created_at=CREATED + timedelta(hours=23, minutes=45))
    assert x.stage(almost, stage).data["media"] != stage.data["media"]
    past = dataclasses.replace(pictured, created_at=CREATED + timedelta(hours=24))
    server.clock = lambda: past.created_at
    assert x.stage(past, stage).data["media"] != stage.data["media"]
    assert len(server.called("upload")) == 3


def test_another_picture_is_another_upload(x: X, server: FakeX, pictured: Post, tmp_path: Path) -> None:
    stage = x.stage(pictured, Stage())
    other = dataclasses.replace(pictured, picture=picture(tmp_path, size=(64, 64)))
    assert x.stage(other, stage).data["sha256"] != stage.data["sha256"]


@pytest.mark.fault("D19")
def test_d19_a_picture_in_work_is_waited_for_without_uploading_it_again(x: X, server: FakeX, pictured: Post) -> None:
    server.in_work = 2
    stage = Stage()
    for _ in range(2):
        with pytest.raises(NotReady) as raised:
            x.stage(pictured, stage)
        assert raised.value.wait == timedelta(seconds=3)
        assert isinstance(raised.value.stage, Stage)
        stage = raised.value.stage
    x.publish(pictured, x.stage(pictured, stage), key=KEY)
    assert seen(server).picture == ("JPEG", "A bridge")
    assert len(server.called("upload")) == 1


@pytest.mark.fault("D19")
def test_d19_a_picture_that_x_cannot_read_is_refused(x: X, server: FakeX, pictured: Post) -> None:
    server.fails_uploads = True
    with pytest.raises(NotReady) as raised:
        x.stage(pictured, Stage())
    assert isinstance(raised.value.stage, Stage)
    with pytest.raises(MediaRejected, match="InvalidMedia"):
        x.stage(pictured, raised.value.stage)


@pytest.mark.fault("D19")
@pytest.mark.parametrize("call", ["upload", "describe"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(invalid("media type unrecognized."), MediaRejected, id="invalid"),
        pytest.param(page(413, "Request Entity Too Large"), MediaRejected, id="too big"),
        pytest.param(problem(403, _NOT_PERMITTED), MediaRejected, id="forbidden"),
        pytest.param(problem(402, "no credits"), Unauthorized, id="money"),
        pytest.param(problem(401, "Unauthorized"), Unauthorized, id="revoked"),
        pytest.param(problem(429, "Too Many Requests"), RateLimited, id="limited"),
        pytest.param(problem(503, "away"), OutcomeUnknown, id="away"),
        pytest.param(Fault(then=Then.RESET), OutcomeUnknown, id="reset"),
    ],
)
def test_d19_a_failed_upload_has_its_error_and_shows_nothing(
    x: X, server: FakeX, pictured: Post, call: str, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script(call, fault)
    with pytest.raises(error):
        x.stage(pictured, Stage())
    assert server.visible() == []


def test_an_upload_without_an_id_is_no_upload(x: X, server: FakeX, pictured: Post) -> None:
    server.script("upload", Fault(status=200, body=b'{"data":{"media_key":"3_1"}}'))
    with pytest.raises(OutcomeUnknown):
        x.stage(pictured, Stage())


def test_a_picture_that_is_gone_from_the_disk_is_refused(x: X, server: FakeX, pictured: Post) -> None:
    assert pictured.picture is not None
    Path(pictured.picture.path).unlink()
    with pytest.raises(MediaRejected, match="cannot be read"):
        x.stage(pictured, Stage())
    assert server.calls == []


def test_a_picture_that_x_forgot_leaves_the_post_without_it(x: X, server: FakeX, pictured: Post) -> None:
    stage = x.stage(pictured, Stage())
    server.forget_uploads()
    with pytest.raises(MediaRejected, match="media IDs are invalid"):
        x.publish(pictured, stage, key=KEY)
    assert server.visible() == []


# --- texts -----------------------------------------------------------------------------------------------------------


def article(*, title: str = "T", text: str = "") -> Article:
    return Article(
        id="1",
        feed="f",
        origin="guid|1",
        link=LINK,
        title=title,
        text=text,
        published=PUBLISHED,
        first_seen=PUBLISHED,
    )


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeX, net.Client]]:
    """One server for many examples."""
    with FakeX() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        yield server, client


#: Whatever may stand in a title, signs that mean something to X more often than elsewhere.
_TITLES = st.text(
    st.one_of(st.sampled_from("@#$./＠＃_1AbRT-·:(&<>\u200c\ufe0fé漢👍🏽"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=60,
)


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@settings(deadline=None, max_examples=80)
@given(title=_TITLES.filter(lambda title: bool(clean(title))))
def test_h05_h06_any_title_calls_nobody_and_links_nowhere(shared: tuple[FakeX, net.Client], title: str) -> None:
    server, client = shared
    server.refuses_duplicates = False
    platform = adapter(server, client)
    account = Account(name="x", platform="x", template="{{ title }}{{ title }} {{ link }} #Kaltim")
    post = compose(article(title=title), account, platform.limits, picture=None, now=CREATED)
    published(platform, post)
    tweet = server.visible()[0]
    assert (tweet.mentions, tweet.cashtags, tweet.links) == ((), (), (LINK,))
    assert tweet.hashtags == ("Kaltim",)


TITLES = [
    "@gubernur: kata @walikota dan (@ibu_kota) RT@wakil",
    "#banjir di /#Samarinda, #·x $BTC dan $ETH serta $A.B",
    "kaltimkini.id dan foo.py, lihat https://lain.example/x?y=1 atau www.lain.co.id/a",
    "berita.भारत dan q\u0308.com, ÷.AA",
    "*tebal* _miring_ `kode` [x](https://a.example) <b>&amp;</b>",
    "Surat ke warga@news.example: 5/6 dari $100",
    "Gunung Ålesund A\u030alesund e\u0301.com #️⃣",
    "Harga 12.500 naik 3.5 persen. Kata Drs. H. Awang S.H.",
]


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("with_picture", [True, False])
def test_h05_h06_a_title_looks_as_its_site_has_it(
    x: X, server: FakeX, tmp_path: Path, title: str, with_picture: bool
) -> None:
    account = Account(name="x", platform="x", template="{{ title }}\n\n{{ link }}")
    with_it = picture(tmp_path) if with_picture else None
    published(x, compose(article(title=title), account, x.limits, picture=with_it, now=CREATED))
    tweet = seen(server)
    shown = tweet.text.partition("\n")[0].replace("\u2060", "")
    assert shown == unicodedata.normalize("NFC", title)
    assert not tweet.mentions + tweet.hashtags + tweet.cashtags
    assert tweet.links == (LINK,)


@pytest.mark.fault("H05")
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("kata @", "walikota", id="mention"),
        pytest.param("kata #", "banjir", id="hashtag"),
        pytest.param("harga $", "BTC", id="cashtag"),
        pytest.param("kaltim.", "news", id="host cut after its dot"),
        pytest.param("kaltim", ".news", id="host cut before its dot"),
        pytest.param("kaltim.n", "ews", id="host cut in its end"),
    ],
)
def test_h05_two_values_side_by_side_make_nothing_either(x: X, server: FakeX, first: str, second: str) -> None:
    account = Account(name="x", platform="x", template="{{ title }}{{ summary }}")
    both = dataclasses.replace(article(title=first), summary=second)
    published(x, compose(both, account, x.limits, picture=None, now=CREATED))
    tweet = seen(server)
    assert tweet.text.replace("\u2060", "") == first + second
    assert not tweet.mentions + tweet.hashtags + tweet.cashtags + tweet.links


def test_the_operators_own_words_work(x: X, server: FakeX) -> None:
    account = Account(name="x", platform="x", template="{{ title }} via @redaksi #Kaltim $IDR {{ link }}")
    published(x, compose(article(title="Judul"), account, x.limits, picture=None, now=CREATED))
    tweet = seen(server)
    assert (tweet.mentions, tweet.hashtags, tweet.cashtags) == (("redaksi",), ("Kaltim",), ("IDR",))


@pytest.mark.parametrize("title", TITLES)
def test_what_was_made_harmless_stays_as_it_is(title: str) -> None:
    once = unlinked(title)
    assert unlinked(once) == once


def test_numbers_and_short_forms_lose_nothing() -> None:
    for plain in ("12.500 orang", "naik 3.5 persen", "pukul 14.30", "C. Anderson", "US$ 5", "a & b", "50%"):
        assert unlinked(plain) == plain


@settings(deadline=None, max_examples=80)
@given(words=st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("ab 漢é👍.@")), min_size=1, max_size=400))
def test_a_text_is_never_longer_for_x_than_we_count(words: str) -> None:
    text = f"{unlinked(clean(words) or 'x')} {LINK}"
    ours = Span(kind=SpanKind.LINK, start=len(text) - len(LINK), end=len(text), value=LINK)
    assert weight(text) <= X.limits.measure(text, (ours,))


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        pytest.param("a" * 256, True, id="letters"),
        pytest.param("a" * 257, False, id="one letter more"),
        pytest.param("漢" * 128, True, id="wide"),
        pytest.param("漢" * 128 + "a", False, id="wide and one letter more"),
        pytest.param("👨‍👩‍👧‍👦" * 128, True, id="families"),
        pytest.param("👨‍👩‍👧‍👦" * 128 + "a", False, id="families and one letter more"),
        pytest.param("e\u0301" * 256, True, id="marks"),
        pytest.param("e\u0301" * 257, False, id="marks and one more"),
    ],
)
def test_the_edge_of_the_length_is_where_x_has_it(x: X, server: FakeX, words: str, taken: bool) -> None:
    text = f"{words} {LINK}"
    span = Span(kind=SpanKind.LINK, start=len(words) + 1, end=len(text), value=LINK)
    assert x.limits.fits(text, (span,)) is taken
    post = dataclasses.replace(POST, text=text)
    if taken:
        published(x, post)
    else:
        with pytest.raises(Rejected, match="too long"):
            published(x, post)
    assert len(server.visible()) == int(taken)


@pytest.mark.parametrize(
    ("link", "length"),
    [
        pytest.param(LINK, 23, id="as most are"),
        pytest.param("https://a.id", 23, id="shorter than 23"),
        pytest.param("https://kaltim.news:8443/a", 23, id="port"),
        pytest.param("https://xn--kaltim-9ta.xn--p1ai/a", 23, id="punycode"),
        pytest.param("https://kaltim.news/a.", 24, id="ends in a dot"),
        pytest.param("https://kaltim.news/a_(b)", 26, id="brackets"),
        pytest.param("https://kaltim.news/a?b^c", 25, id="strange query"),
        pytest.param("http://localhost/a", 41, id="no domain"),
        pytest.param("http://127.0.0.1/a", 41, id="a number"),
        pytest.param("https://a-very-long-name-of-a-host.co1/a", 63, id="no end of a domain"),
    ],
)
def test_of_a_link_only_what_x_takes_for_one_is_short(link: str, length: int) -> None:
    assert link_length(link, 23) == length
    assert weight(link) <= length


@pytest.mark.parametrize("with_picture", [True, False])
def test_a_post_that_fills_all_the_room_is_taken(x: X, server: FakeX, tmp_path: Path, with_picture: bool) -> None:
    account = Account(name="x", platform="x", template="{{ text }} {{ link }}")
    words = article(text="Jembatan 👨‍👩‍👧‍👦 Mahakam 🇮🇩 dibuka @kembali.id " * 100)
    post = compose(words, account, x.limits, picture=picture(tmp_path) if with_picture else None, now=CREATED)
    assert x.limits.length - post.length < 60
    published(x, post)
    assert seen(server).text == unicodedata.normalize("NFC", post.text)


def test_an_account_with_premium_may_say_more(server: FakeX, client: net.Client) -> None:
    server.length = 4000
    platform = adapter(server, client, length=4000)
    account = Account(name="x", platform="x", template="{{ text }} {{ link }}")
    post = compose(article(text="kata " * 2000), account, platform.limits, picture=None, now=CREATED)
    published(platform, post)
    assert 3900 < weight(seen(server).text) <= 4000


# --- what it costs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "alt", "price"),
    [
        pytest.param(f"Judul {LINK}", None, "0.20", id="link"),
        pytest.param("Judul", None, "0.015", id="no link"),
        pytest.param("Judul di kaltim.news", None, "0.20", id="bare host"),
        pytest.param(f"Judul {LINK}", "", "0.20", id="picture"),
        pytest.param(f"Judul {LINK}", "Jembatan", "0.205", id="alt text"),
    ],
)
def test_the_price_of_a_post_is_what_x_takes_for_it(
    x: X, server: FakeX, tmp_path: Path, text: str, alt: str | None, price: str
) -> None:
    with_it = None if alt is None else picture(tmp_path, alt=alt)
    post = dataclasses.replace(POST, text=text, picture=with_it)
    assert x.price(post) == Decimal(price)
    published(x, post)
    assert server.billed == Decimal(price)


@settings(deadline=None, max_examples=80)
@given(title=_TITLES.filter(lambda title: bool(clean(title))))
def test_no_title_makes_a_post_dearer_than_it_was_said_to_be(shared: tuple[FakeX, net.Client], title: str) -> None:
    server, client = shared
    server.refuses_duplicates = False
    platform, before = adapter(server, client), server.billed
    account = Account(name="x", platform="x", template="{{ title }}")
    post = compose(article(title=title), account, platform.limits, picture=None, now=CREATED)
    published(platform, post)
    assert server.billed - before == platform.price(post) == Decimal("0.015")


def test_the_prices_are_those_of_the_account(server: FakeX, client: net.Client) -> None:
    platform = adapter(server, client, link_price=0.3, post_price="0.02")
    assert platform.price(POST) == Decimal("0.3")
    assert platform.price(dataclasses.replace(POST, text="Judul")) == Decimal("0.02")


# --- refusals --------------------------------------------------------------------------------------------------------

_NOW = CREATED.timestamp()


def resets(**minutes: int) -> dict[str, str]:
    """Limits that end after so many minutes; `left_` before one that is not used up."""
    found: dict[str, str] = {}
    for name, wait in minutes.items():
        kind = name.removeprefix("left_").replace("_", "-")
        found[f"{kind}-reset"] = str(int(_NOW) + wait * 60)
        found[f"{kind}-remaining"] = "5" if name.startswith("left_") else "0"
    return found


@pytest.mark.fault("D13")
@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        pytest.param(resets(x_rate_limit=7), timedelta(minutes=7), id="one limit"),
        pytest.param(resets(x_rate_limit=7, x_user_limit_24hour=90), timedelta(minutes=90), id="the latest of two"),
        pytest.param(resets(x_rate_limit=7, left_x_app_limit_24hour=90), timedelta(minutes=7), id="one is not used up"),
        pytest.param(resets(left_x_rate_limit=7), timedelta(minutes=7), id="none is said to be"),
        pytest.param(resets(x_rate_limit=-7), timedelta(seconds=1), id="over already"),
        pytest.param(resets(x_rate_limit=10**6), timedelta(days=7), id="absurd"),
        pytest.param({"Retry-After": "41"}, timedelta(seconds=41), id="as others say it"),
        pytest.param({"x-rate-limit-reset": "soon"}, None, id="nonsense"),
        pytest.param({}, None, id="not told"),
    ],
)
def test_d13_a_limit_says_how_long_it_lasts(
    x: X, server: FakeX, headers: dict[str, str], wait: timedelta | None
) -> None:
    server.script("publish", Fault(status=429, body=b"{}", headers=headers))
    with pytest.raises(RateLimited) as raised:
        published(x)
    assert raised.value.wait == wait


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        pytest.param("no-credits", r"buy credits .* https://console\.x\.com", id="money"),
        pytest.param("monthly-cap", "raise the spending limit", id="cap"),
        pytest.param("app-permissions", 'set the app to "Read and write"', id="app"),
        pytest.param("read-only-token", "generate the access token anew", id="token"),
        pytest.param("client-forbidden", "plan", id="plan"),
        pytest.param("suspended", "suspended", id="suspended"),
        pytest.param("locked", "unlock it", id="locked"),
        pytest.param("cashtags", r"one cashtag \(\$TICKER\)", id="cashtag"),
        pytest.param("not-permitted", "may be too long", id="vague"),
    ],
)
def test_a_refusal_says_what_to_do(x: X, server: FakeX, failure: str, words: str) -> None:
    server.script("publish", FAILURES[failure][0])
    with pytest.raises(DeliveryError, match=words):
        published(x)


def test_without_a_picture_a_word_about_media_is_a_refusal_for_good(x: X, server: FakeX) -> None:
    server.script("publish", invalid("media must be valid"))
    with pytest.raises(Rejected, match="media must be valid"):
        published(x)


# --- looking ---------------------------------------------------------------------------------------------------------


def find(platform: X, post: Post = POST, since: datetime = SINCE) -> Receipt | None:
    return platform.find(post, Stage(), key=None, since=since)


@pytest.mark.parametrize("name", ["tweet.fields", "post.fields"])
def test_a_post_is_found_by_where_its_short_link_leads(server: FakeX, client: net.Client, name: str) -> None:
    server.fields_parameter = name
    platform = adapter(server, client, fields_parameter=name)
    server.post_by_hand("Lain https://kaltim.news/lain/")
    assert find(platform) is None
    by_hand = server.post_by_hand(f"Baca {LINK}&utm_source=x")
    found = find(platform)
    assert found is not None
    assert found.remote_id == by_hand.id


def test_a_look_pays_for_what_is_there_and_asks_once_who_is_logged_in(x: X, server: FakeX) -> None:
    for number in range(3):
        server.post_by_hand(f"Lain https://kaltim.news/{number}/")
    find(x)
    find(x)
    assert server.billed == Decimal("0.010") + 6 * Decimal("0.001")
    assert {call.params["exclude"] for call in server.called("find")} == {"replies,retweets"}


def test_a_look_goes_on_to_the_last_page(x: X, server: FakeX) -> None:
    server.page = 2
    by_hand = server.post_by_hand(LINK)
    for number in range(7):
        server.post_by_hand(f"Lain {number}")
    found = find(x)
    assert (found and found.remote_id, len(server.called("find"))) == (by_hand.id, 4)


def test_more_posts_than_are_read_prove_nothing(x: X, server: FakeX) -> None:
    server.page = 1
    for number in range(9):
        server.post_by_hand(f"Lain {number}")
    with pytest.raises(Undecided):
        find(x)


def test_what_was_there_before_is_another_post(x: X, server: FakeX) -> None:
    server.post_by_hand(LINK)
    assert find(x, since=CREATED + timedelta(minutes=1)) is None


def test_a_list_that_goes_back_too_far_finds_nothing_old(x: X, server: FakeX) -> None:
    old = {"id": "5", "created_at": "2026-11-20T00:00:00.000Z", "entities": {"urls": [{"expanded_url": LINK}]}}
    body = json.dumps({"data": [old], "meta": {"result_count": 1}}).encode()
    server.script("find", Fault(status=200, body=body))
    assert find(x) is None


@pytest.mark.parametrize("with_picture", [True, False])
def test_a_post_without_a_link_is_found_by_its_text(x: X, server: FakeX, tmp_path: Path, with_picture: bool) -> None:
    text = f"{unlinked('Harga < 5 & @walikota di kaltim.news')} e\u0301"
    post = dataclasses.replace(POST, text=text, link=None, picture=picture(tmp_path) if with_picture else None)
    published(x, dataclasses.replace(post, text=f"{text} lagi"))
    assert find(x, post) is None
    receipt = published(x, post)
    assert find(x, post) == receipt


def test_a_long_post_is_found_by_the_links_of_its_note(x: X, server: FakeX) -> None:
    note = {"text": "…", "entities": {"urls": [{"expanded_url": LINK}]}}
    body = json.dumps({"data": [{"id": "5", "text": "…", "note_tweet": note}], "meta": {"result_count": 1}}).encode()
    server.script("find", Fault(status=200, body=body))
    assert find(x) == Receipt(remote_id="5", url="https://x.com/i/web/status/5")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=200, body=b"{}"), OutcomeUnknown, id="nothing"),
        pytest.param(Fault(status=200, body=b'{"meta":{"result_count":2}}'), OutcomeUnknown, id="count without posts"),
        pytest.param(Fault(status=200, body=b'{"meta":{"result_count":0},"errors":[{}]}'), OutcomeUnknown, id="errors"),
        pytest.param(Fault(status=200, body=b'{"data":[{}],"meta":{"result_count":1}}'), OutcomeUnknown, id="no id"),
        pytest.param(Fault(status=200, body=b'{"data":{},"meta":{"result_count":0}}'), OutcomeUnknown, id="no list"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="a page"),
        pytest.param(problem(403, _NOT_PERMITTED), OutcomeUnknown, id="forbidden"),
        pytest.param(problem(503, "away"), OutcomeUnknown, id="away"),
        pytest.param(problem(401, "Unauthorized"), Unauthorized, id="revoked"),
        pytest.param(problem(402, "no credits"), Unauthorized, id="money"),
        pytest.param(problem(429, "Too Many Requests"), RateLimited, id="limited"),
        pytest.param(Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown, id="cut"),
    ],
)
def test_a_look_that_is_not_answered_in_full_proves_nothing(
    x: X, server: FakeX, fault: Fault, error: type[DeliveryError]
) -> None:
    server.post_by_hand("Lain")
    server.script("find", fault)
    with pytest.raises(error):
        find(x)


# --- taking away -----------------------------------------------------------------------------------------------------


def test_a_post_is_taken_away_and_again_without_harm(x: X, server: FakeX) -> None:
    receipt = published(x)
    x.delete(receipt)
    assert server.visible() == []
    x.delete(receipt)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(page(404, "Not Found"), OutcomeUnknown, id="a page"),
        pytest.param(Fault(status=200, body=b'{"data":{"deleted":false}}'), OutcomeUnknown, id="not deleted"),
        pytest.param(problem(401, "Unauthorized"), Unauthorized, id="401"),
        pytest.param(problem(403, _NOT_PERMITTED), Rejected, id="not ours"),
        pytest.param(problem(429, "Too Many Requests"), RateLimited, id="429"),
    ],
)
def test_only_what_x_says_is_gone_is_gone(x: X, server: FakeX, fault: Fault, error: type[DeliveryError]) -> None:
    receipt = published(x)
    server.script("delete", fault)
    with pytest.raises(error):
        x.delete(receipt)
    assert len(server.visible()) == 1


@pytest.mark.parametrize("remote_id", ["", "5/../6", "https://x.com/a/status/5"])
def test_what_is_no_post_of_x_is_not_asked_for(x: X, server: FakeX, remote_id: str) -> None:
    with pytest.raises(Rejected, match="no post of X"):
        x.delete(Receipt(remote_id=remote_id))
    assert server.calls == []


# --- on the line -----------------------------------------------------------------------------------------------------


def x_line(world: World, server: FakeX, **values: Any) -> Line:
    server.clock = world.clock
    return open_line(
        world,
        "x",
        lambda http: X(settings_of(server, **values), patient(http)),
        texts=lambda: [tweet.text for tweet in server.visible()],
        sends=lambda: len(server.called("publish")),
        post_by_hand=server.post_by_hand,
        fail_look=lambda: server.script("find", Fault(status=502)),
    )


def test_articles_are_posted_once_with_their_pictures(unjudged_world: World, server: FakeX) -> None:
    line = x_line(unjudged_world, server)
    line.show("one", picture=file_picture(line.world))
    line.show("two")
    line.world.until_quiet()
    line.world.run()
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.POSTED, State.POSTED, 2)
    receipts = [line.row(name).receipt for name in ("one", "two")]
    shown = {f"https://x.com/i/web/status/{tweet.id}": tweet for tweet in server.visible()}
    assert [receipt and receipt.url and shown[receipt.url].picture is not None for receipt in receipts] == [True, False]


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-then-cut": Fault(then=Then.CUT, made=Made.AT_ONCE),
    "made-without-id": Fault(status=201, body=b'{"data":{}}', made=Made.AT_ONCE),
    "made-then-unlisted-4xx": Fault(status=418, body=b"{}", made=Made.AT_ONCE),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-502": Fault(status=502),
    "never-made-reset": Fault(then=Then.RESET_READING),
}


@pytest.mark.fault("D02")
@pytest.mark.fault("D03")
@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d02_d03_d05_d06_d09_a_lost_answer_ends_with_one_post(
    unjudged_world: World, server: FakeX, fault: Fault
) -> None:
    line = x_line(unjudged_world, server)
    server.lag = timedelta(minutes=1)
    server.refuses_duplicates = False
    server.script("publish", fault)
    line.show("one")
    line.world.run()
    assert line.row("one").state is State.VERIFYING
    line.world.until_quiet()
    line.world.clock.move(hours=2)
    line.world.run()
    assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)
    came = 0 if fault.then is Then.RESET_READING else 1
    assert line.sends() == came + (1 if fault.made is Made.NEVER else 0)
    assert len({call.body for call in server.called("publish")}) == 1


@pytest.mark.fault("D07")
def test_d07_a_duplicate_after_a_lost_answer_is_adopted_by_a_look(unjudged_world: World, server: FakeX) -> None:
    line = x_line(unjudged_world, server)
    # The list lags by more than the two looks, so that the same bytes go again and are refused as a duplicate.
    server.lag = timedelta(minutes=30)
    server.script("publish", Fault(status=502, made=Made.AT_ONCE))
    line.show("one")
    line.world.until_quiet()
    row = line.row("one")
    assert (row.state, line.seen("one"), line.sends()) == (State.POSTED, 1, 2)
    assert row.receipt is not None
    assert row.receipt.remote_id == seen(server).id


@pytest.mark.fault("D07")
def test_d07_a_duplicate_on_the_first_attempt_waits_for_a_person(unjudged_world: World, server: FakeX) -> None:
    line = x_line(unjudged_world, server)
    server.script("publish", FAILURES["duplicate"][0])
    line.show("one", "two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("one").reason, line.row("two").state) == (
        State.HELD,
        "clash",
        State.POSTED,
    )


@pytest.mark.fault("D19")
def test_d19_a_picture_that_is_refused_leaves_a_post_without(unjudged_world: World, server: FakeX) -> None:
    line = x_line(unjudged_world, server)
    server.script("publish", FAILURES["media"][0])
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    assert (line.row("one").state, seen(server).picture) == (State.POSTED, None)


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
@pytest.mark.parametrize("trouble", ["revoked", "money"])
def test_d14_d16_a_dead_token_or_an_empty_purse_blocks_the_account_and_loses_nothing(
    unjudged_world: World, server: FakeX, trouble: str
) -> None:
    line = x_line(unjudged_world, server)
    line.show("one")
    line.world.run()
    server.is_revoked, server.credits = trouble == "revoked", Decimal(0) if trouble == "money" else None
    line.show("two")
    line.world.run()
    standing = line.world.standing("x")
    assert standing.state is AccountState.AUTH_BLOCKED
    assert ("buy credits" in (standing.reason or "")) is (trouble == "money")
    assert line.row("two").state is State.READY
    server.is_revoked, server.credits = False, None
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two"), line.row("two").state) == (1, 1, State.POSTED)


@pytest.mark.fault("D17")
def test_d17_a_refused_text_stops_no_other(unjudged_world: World, server: FakeX) -> None:
    line = x_line(unjudged_world, server)
    server.script("publish", FAILURES["cashtags"][0])
    line.show("one")
    line.world.run()
    line.show("two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("two").state) == (State.REJECTED, State.POSTED)
    assert "one cashtag" in (line.row("one").reason or "")


@pytest.mark.fault("D13")
def test_d13_a_limit_holds_the_account_until_it_ends(unjudged_world: World, server: FakeX) -> None:
    line = x_line(unjudged_world, server)
    ends = line.world.clock().replace(microsecond=0) + timedelta(minutes=15)
    headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(int(ends.timestamp()))}
    server.script("publish", Fault(status=429, body=b"{}", headers=headers))
    line.show("one", "two")
    line.world.run()
    assert line.sends() == 1
    waits = line.world.standing("x").not_before
    assert waits is not None
    assert abs(waits - ends) < timedelta(seconds=2)
    line.world.until_quiet()
    assert (line.sends(), line.seen("one"), line.seen("two")) == (3, 1, 1)


@pytest.mark.fault("D23")
def test_d23_what_a_person_posted_meanwhile_is_found_and_not_sent(unjudged_world: World, server: FakeX) -> None:
    line = x_line(unjudged_world, server)
    line.world.change_account("x", delay=timedelta(hours=2))
    line.show("one")
    line.world.run()
    line.post_by_hand(f"Baca {line.world.news('one').link}?utm_source=x")
    line.world.clock.move(hours=2)
    line.world.run()
    assert (line.row("one").state, line.row("one").reason, line.sends()) == (State.POSTED, "was there already", 0)
