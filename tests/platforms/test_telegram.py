"""Telegram against a strict Bot API server on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from autopublish import net
from autopublish.errors import (
    DeliveryError,
    MediaRejected,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from autopublish.models import (
    Account,
    AccountState,
    Article,
    Identity,
    OnUnknown,
    Picture,
    Post,
    Receipt,
    Stage,
    State,
)
from autopublish.platforms._http import Http
from autopublish.platforms.telegram import Telegram, unlinked
from autopublish.posts import compose
from autopublish.text import clean, utf16_units
from tests.bench.world import World
from tests.desk import Desk
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_on_the_line import Line, file_picture, open_line, patient
from tests.servers.scripted import Fault, Made, Scripted, Then
from tests.servers.telegram import Chat, FakeTelegram, Message

KEY = "0123456789abcdef0123456789abcdef"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3)
LINK = "https://news.example/2026/11/jembatan-mahakam-dibuka/?id=7&page=2"
TEXT = f"Jembatan “Mahakam” & IKN 👨‍👩‍👧‍👦\n\n{LINK}\n#Kaltim #IKN"
POST = Post(text=TEXT, link=LINK, title="Jembatan", created_at=CREATED, published=PUBLISHED)


def picture(folder: Path, *, size: tuple[int, int] = (120, 63), alt: str = "A bridge", kind: str = "JPEG") -> Picture:
    made = BytesIO()
    Image.new("RGB", size, "teal").save(made, kind)
    content = made.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    path = folder / digest
    path.write_bytes(content)
    return Picture(
        path=str(path),
        sha256=digest,
        type=f"image/{kind.lower()}",
        width=size[0],
        height=size[1],
        size_bytes=len(content),
        alt=alt,
    )


@pytest.fixture
def server() -> Iterator[FakeTelegram]:
    with FakeTelegram() as one:
        one.clock = lambda: CREATED
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def telegram(server: FakeTelegram, client: net.Client) -> Telegram:
    return adapter(server, client)


@pytest.fixture
def pictured(tmp_path: Path) -> Post:
    return dataclasses.replace(POST, picture=picture(tmp_path))


def adapter(server: FakeTelegram, client: net.Client, /, **values: Any) -> Telegram:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Telegram(settings_of(server, **values), http)


def settings_of(server: FakeTelegram, /, **values: Any) -> Telegram.Settings:
    given_values = {"server": server.url, "token": server.token, "chat": "@kaltimnews", **values}
    return Telegram.Settings.model_validate(given_values)


def published(platform: Telegram, post: Post = POST) -> Receipt:
    return platform.publish(post, platform.stage(post, Stage()), key=KEY)


def seen(server: FakeTelegram) -> Message:
    (message,) = server.visible()
    return message


def refusal(status: int, description: str, **parameters: int) -> Fault:
    body: dict[str, Any] = {"ok": False, "error_code": status, "description": description}
    if parameters:
        body["parameters"] = parameters
    return Fault(status=status, body=json.dumps(body).encode())


def page(status: int, words: str, **headers: str) -> Fault:
    named = {"Content-Type": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Fault(status=status, body=f"<html><body><h1>{words}</h1></body></html>".encode(), headers=named)


# --- the contract test's part ----------------------------------------------------------------------------------------

_SECRET = FakeTelegram.token.partition(":")[2]
_ECHO = json.dumps({"ok": False, "error_code": 418, "description": f"odd /bot{FakeTelegram.token}/x {_SECRET}"})
_BARE = b'{"ok":true,"result":{"chat":{"id":-1001234567890}}}'

#: Failure -> how the call goes wrong, and what `publish` raises.
FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "revoked": (refusal(401, "Unauthorized"), Unauthorized),
    "malformed-token": (refusal(404, "Not Found"), Unauthorized),
    "kicked": (refusal(403, "Forbidden: bot was kicked from the channel chat"), Unauthorized),
    "no-member": (refusal(403, "Forbidden: bot is not a member of the channel chat"), Unauthorized),
    "chat-not-found": (refusal(400, "Bad Request: chat not found"), Unauthorized),
    "no-rights": (refusal(400, "Bad Request: need administrator rights in the channel chat"), Unauthorized),
    "not-enough-rights": (refusal(400, "Bad Request: not enough rights to send text messages"), Unauthorized),
    "no-topic": (refusal(400, "Bad Request: message thread not found"), Unauthorized),
    "migrated": (refusal(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1007), Unauthorized),
    "limited": (refusal(429, "Too Many Requests: retry after 7", retry_after=7), RateLimited),
    "limited-html": (page(429, "Too Many Requests", Retry_After="7"), RateLimited),
    "photo-forbidden": (refusal(400, "Bad Request: not enough rights to send photos to the chat"), MediaRejected),
    "photo-forbidden-403": (refusal(403, "Forbidden: CHAT_SEND_PHOTOS_FORBIDDEN"), MediaRejected),
    "photo-sides": (refusal(400, "Bad Request: PHOTO_INVALID_DIMENSIONS"), MediaRejected),
    "photo-broken": (refusal(400, "Bad Request: IMAGE_PROCESS_FAILED"), MediaRejected),
    "photo-too-big": (page(413, "Request Entity Too Large"), MediaRejected),
    "caption-too-long": (refusal(400, "Bad Request: message caption is too long"), MediaRejected),
    "too-long": (refusal(400, "Bad Request: message is too long"), Rejected),
    "entities": (refusal(400, "Bad Request: ENTITY_BOUNDS_INVALID"), Rejected),
    "400-of-something-else": (page(400, "Bad Request"), OutcomeUnknown),
    "403-of-something-else": (page(403, "Checking your browser"), OutcomeUnknown),
    "404-of-something-else": (page(404, "Not found"), OutcomeUnknown),
    "unlike-its-status": (Fault(status=400, body=b'{"ok":false,"error_code":500,"description":"x"}'), OutcomeUnknown),
    "unlisted-409": (refusal(409, "Conflict"), OutcomeUnknown),
    "unlisted-420": (refusal(420, "FLOOD"), OutcomeUnknown),
    "redirect": (page(307, "Moved", Location="http://127.0.0.1:9/"), OutcomeUnknown),
    "500": (refusal(500, "Internal Server Error"), OutcomeUnknown),
    "502": (page(502, "Bad Gateway"), OutcomeUnknown),
    "504": (Fault(status=504, body=b""), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": (Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "not-json": (page(200, "Welcome"), OutcomeUnknown),
    "empty": (Fault(status=200, body=b""), OutcomeUnknown),
    "without-number": (Fault(status=200, body=_BARE), OutcomeUnknown),
    "no-result": (Fault(status=200, body=b'{"ok":true}'), OutcomeUnknown),
    "not-ok": (Fault(status=200, body=b'{"ok":false,"error_code":400,"description":"x"}'), OutcomeUnknown),
    "huge": (Fault(status=200, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": (Fault(status=418, body=_ECHO.encode()), OutcomeUnknown),
    "echoes-in-success": (Fault(status=200, body=_ECHO.encode()), OutcomeUnknown),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeTelegram() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        yield Bench(
            make=lambda: adapter(server, client),
            post=dataclasses.replace(POST, picture=picture(folder)),
            sent=lambda: [call.body for call in server.sends],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=server.visible()[0].text, pinged=server.visible()[0].mentions),
            secrets=(server.token, _SECRET),
            network=Network(
                unplug=server.stop,
                silence=lambda: server.script("sendPhoto", Fault(then=Then.SILENCE)),
                fail=lambda name: server.script("sendPhoto", FAILURES[name][0]),
                answer=lambda fault: server.script("sendPhoto", fault),
            ),
        )


CONTRACT = Contract(bench=bench, failures={name: error for name, (_, error) in FAILURES.items()})


# --- settings and login ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "chat"),
    [
        pytest.param("@kaltimnews", "@kaltimnews", id="name"),
        pytest.param("kaltimnews", "@kaltimnews", id="name without its sign"),
        pytest.param("https://t.me/kaltimnews", "@kaltimnews", id="address"),
        pytest.param("https://t.me/kaltimnews/41", "@kaltimnews", id="address of a post"),
        pytest.param("https://t.me/c/1234567890/5", "-1001234567890", id="address of a private post"),
        pytest.param("t.me/c/1234567890/7/5", "-1001234567890", id="address of a post in a topic"),
        pytest.param(-1001234567890, "-1001234567890", id="number"),
        pytest.param(" -1001234567890 ", "-1001234567890", id="number as text"),
    ],
)
def test_a_chat_is_known_by_its_name_or_number(server: FakeTelegram, written: object, chat: str) -> None:
    assert settings_of(server, chat=written).chat == chat


@pytest.mark.parametrize(
    "written", ["", "@a", "@kaltim news", "https://t.me/+AbCdEf", "https://t.me/c/x/5", "1.5", True, None, ["@kaltim"]]
)
def test_what_names_no_chat_is_refused_at_once(server: FakeTelegram, written: object) -> None:
    with pytest.raises(ValidationError, match="@kaltimnews"):
        settings_of(server, chat=written)


@pytest.mark.parametrize(
    "wrong", [{"picture": "sometimes"}, {"preview": "huge"}, {"topic": 0}, {"server": "api"}], ids=str
)
def test_settings_that_telegram_does_not_know_are_refused(server: FakeTelegram, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        settings_of(server, **wrong)


def test_whoami_names_the_channel_and_not_the_bot(telegram: Telegram) -> None:
    assert telegram.whoami() == Identity(
        id=str(FakeTelegram.channel), name="@kaltimnews", url="https://t.me/kaltimnews"
    )


def test_a_private_channel_has_a_title_and_no_page(server: FakeTelegram, client: net.Client) -> None:
    server.add(Chat(id=-1007, title="Redaksi"))
    assert adapter(server, client, chat=-1007).whoami() == Identity(id="-1007", name="Redaksi")


@pytest.mark.parametrize(
    ("chat", "words"),
    [
        pytest.param(Chat(id=-1007, username="saluran", can_post=False), "Post messages", id="without the right"),
        pytest.param(Chat(id=-1007, username="saluran", status=""), "inaccessible", id="a channel without the bot"),
        pytest.param(Chat(id=-1007, username="grup", type="supergroup", status=""), "not in the group", id="no member"),
        pytest.param(
            Chat(id=-1007, username="grup", type="supergroup", status="kicked"), "not in the group", id="kicked"
        ),
        pytest.param(
            Chat(id=-1007, username="grup", type="group", status="member", members_write=False),
            "may not write",
            id="a group of readers",
        ),
        pytest.param(
            Chat(id=-1007, username="grup", type="supergroup", status="restricted", members_write=False),
            "may not write",
            id="muted",
        ),
        pytest.param(Chat(id=-1007, username="grup", type="group", moved_to=-1009), "chat: -1009", id="migrated"),
    ],
)
def test_whoami_says_what_the_bot_lacks_before_anything_is_posted(
    server: FakeTelegram, client: net.Client, chat: Chat, words: str
) -> None:
    server.add(chat)
    with pytest.raises(Unauthorized, match=words):
        adapter(server, client, chat=f"@{chat.username}").whoami()


@pytest.mark.parametrize(
    "chat",
    [
        pytest.param(Chat(id=-7, type="group", status="member"), id="member"),
        pytest.param(Chat(id=-7, type="group", members_write=False), id="administrator of a group of readers"),
        pytest.param(Chat(id=-7, type="supergroup", status="restricted"), id="restricted, and may write"),
        pytest.param(Chat(id=7, type="private", status="member"), id="a person"),
        pytest.param(Chat(id=-1007, type="supergroup", status="creator"), id="creator"),
    ],
)
def test_who_may_write_is_let_through(server: FakeTelegram, client: net.Client, chat: Chat) -> None:
    server.add(chat)
    assert adapter(server, client, chat=chat.id).whoami().id == str(chat.id)


@pytest.mark.parametrize(
    ("chat", "lack"),
    [
        pytest.param(Chat(id=-7), (), id="channel"),
        pytest.param(Chat(id=-7, type="group", status="member"), (), id="group"),
        pytest.param(Chat(id=-7, type="group", takes_photos=False), (), id="administrator"),
        pytest.param(
            Chat(id=-7, type="group", status="member", takes_photos=False),
            ("the right to send pictures to the group",),
            id="a group without pictures",
        ),
    ],
)
def test_a_check_says_where_pictures_are_not_allowed(
    server: FakeTelegram, client: net.Client, chat: Chat, lack: tuple[str, ...]
) -> None:
    server.add(chat)
    assert adapter(server, client, chat=-7).permissions() == lack
    assert adapter(server, client, chat=-7, picture="never").permissions() == ()


@pytest.mark.parametrize(
    ("call", "fault", "error"),
    [
        pytest.param("getMe", refusal(401, "Unauthorized"), Unauthorized, id="401"),
        pytest.param("getMe", refusal(404, "Not Found"), Unauthorized, id="404"),
        pytest.param("getMe", page(404, "Not Found"), OutcomeUnknown, id="no Bot API server"),
        pytest.param("getMe", page(200, "Welcome"), OutcomeUnknown, id="html"),
        pytest.param("getMe", page(302, "Found", Location="https://elsewhere.example/"), OutcomeUnknown, id="redirect"),
        pytest.param("getMe", Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param("getMe", refusal(429, "Too Many Requests", retry_after=3), RateLimited, id="429"),
        pytest.param("getChat", refusal(400, "Bad Request: chat not found"), Unauthorized, id="no chat"),
        pytest.param("getChat", refusal(400, "Bad Request: odd"), Unauthorized, id="another refusal"),
        pytest.param("getChat", Fault(status=200, body=b'{"ok":true,"result":{}}'), OutcomeUnknown, id="no number"),
        pytest.param("getChatMember", refusal(403, "Forbidden: bot was kicked"), Unauthorized, id="kicked"),
    ],
)
def test_only_refusals_of_telegrams_own_block_the_account(
    telegram: Telegram, server: FakeTelegram, call: str, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script(call, fault)
    with pytest.raises(error):
        telegram.whoami()


@pytest.mark.parametrize("token", ["bot", "123456:with blank", "../../x:aaaaaaaaaaaa", "123456:dengan—é-panjang", "1:"])
def test_what_can_be_no_token_is_told_and_not_sent(client: net.Client, server: FakeTelegram, token: str) -> None:
    with pytest.raises(Unauthorized, match="copy it again"):
        adapter(server, client, token=token).whoami()
    assert server.calls == []


def test_blanks_around_token_and_address_do_no_harm(client: net.Client, server: FakeTelegram) -> None:
    platform = adapter(server, client, token=f" {server.token}\n", server=f" {server.url}/ ")
    assert platform.whoami().name == "@kaltimnews"


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_without_a_picture_a_message_shows_the_page_behind_the_link(telegram: Telegram, server: FakeTelegram) -> None:
    published(telegram)
    message = seen(server)
    assert (message.text, message.preview, message.is_large, message.photo) == (TEXT, LINK, True, None)
    assert (message.links, message.hashtags) == ((LINK,), ("Kaltim", "IKN"))


@pytest.mark.parametrize("alt", ["A bridge", ""])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_is_the_message_and_the_text_its_caption(
    telegram: Telegram, server: FakeTelegram, tmp_path: Path, kind: str, alt: str
) -> None:
    published(telegram, dataclasses.replace(POST, picture=picture(tmp_path, kind=kind, alt=alt)))
    message = seen(server)
    assert (message.text, message.photo, message.hashtags) == (TEXT, (kind, 120, 63), ("Kaltim", "IKN"))


def long_post(length: int, folder: Path) -> Post:
    """A post of so many UTF-16 code units, with a picture."""
    text = f"{TEXT}\n".ljust(length - 1, "x") + "!"
    text = text[: -utf16_units(text) + length] if utf16_units(text) > length else text
    assert utf16_units(text) == length
    return dataclasses.replace(POST, text=text, picture=picture(folder))


@pytest.mark.parametrize(("length", "is_photo"), [(1023, True), (1024, True), (1025, False), (4096, False)])
def test_what_does_not_fit_a_caption_goes_as_a_message_with_a_preview(
    telegram: Telegram, server: FakeTelegram, tmp_path: Path, length: int, is_photo: bool
) -> None:
    post = long_post(length, tmp_path)
    published(telegram, post)
    message = seen(server)
    assert (message.text, message.photo is not None) == (post.text, is_photo)
    assert message.preview == (None if is_photo else LINK)


@pytest.mark.parametrize(
    ("size", "is_photo"),
    [
        pytest.param((2000, 100), True, id="20 to 1"),
        pytest.param((2001, 100), False, id="too wide"),
        pytest.param((100, 2001), False, id="too high"),
    ],
)
def test_a_picture_of_a_shape_that_telegram_refuses_is_left_out(
    telegram: Telegram, server: FakeTelegram, tmp_path: Path, size: tuple[int, int], is_photo: bool
) -> None:
    published(telegram, dataclasses.replace(POST, picture=picture(tmp_path, size=size)))
    assert (seen(server).photo is not None) is is_photo


@pytest.mark.parametrize(
    ("use", "length", "takes_pictures"), [("auto", 4096, True), ("always", 1024, True), ("never", 4096, False)]
)
def test_a_setting_decides_what_gives_way(
    server: FakeTelegram, client: net.Client, use: str, length: int, takes_pictures: bool
) -> None:
    platform = adapter(server, client, picture=use)
    assert (platform.limits.length, platform.media is not None) == (length, takes_pictures)


@pytest.mark.parametrize(
    ("preview", "shown"), [("large", (LINK, True)), ("small", (LINK, False)), ("none", (None, False))]
)
def test_the_preview_is_as_the_settings_say(
    server: FakeTelegram, client: net.Client, preview: str, shown: tuple[str | None, bool]
) -> None:
    published(adapter(server, client, preview=preview))
    assert (seen(server).preview, seen(server).is_large) == shown


def test_another_address_in_a_title_is_never_previewed(telegram: Telegram, server: FakeTelegram) -> None:
    published(telegram, dataclasses.replace(POST, text=f"https://evil.example/ {TEXT}"))
    assert seen(server).preview == LINK


def test_a_post_without_a_link_previews_nothing(telegram: Telegram, server: FakeTelegram) -> None:
    published(telegram, dataclasses.replace(POST, text="https://evil.example/ is down", link=None))
    assert seen(server).preview is None


def test_a_post_goes_as_the_settings_say(server: FakeTelegram, client: net.Client, pictured: Post) -> None:
    server.add(Chat(id=-1007, type="supergroup", topics=(12,)))
    wanted = {"silent": True, "protected": True, "topic": 12, "bold_first_line": True}
    platform = adapter(server, client, chat=-1007, **wanted)
    published(platform)
    published(platform, pictured)
    for message in server.visible():
        assert (message.silent, message.protected, message.topic) == (True, True, 12)
        assert message.bold == ("Jembatan “Mahakam” & IKN 👨‍👩‍👧‍👦",)


def test_what_stage_fixed_stays_whatever_the_settings_become(
    server: FakeTelegram, client: net.Client, pictured: Post
) -> None:
    before = adapter(server, client, silent=True)
    stage = Stage(data=json.loads(json.dumps(dict(before.stage(pictured, Stage()).data))))
    before.publish(pictured, stage, key=KEY)
    adapter(server, client, bold_first_line=True, picture="never").publish(pictured, stage, key=KEY)
    first, second = server.sends
    assert first.body == second.body


def test_nothing_is_sent_where_the_picture_is_gone(telegram: Telegram, server: FakeTelegram, pictured: Post) -> None:
    assert pictured.picture is not None
    stage = telegram.stage(pictured, Stage())
    Path(pictured.picture.path).unlink()
    with pytest.raises(MediaRejected, match="No such file"):
        telegram.publish(pictured, stage, key=KEY)
    assert server.calls == []


@pytest.mark.parametrize(
    ("chat", "url"),
    [
        pytest.param(Chat(id=-1001234567, username="kaltimpost"), "https://t.me/kaltimpost/41", id="public"),
        pytest.param(Chat(id=-1001234567), "https://t.me/c/1234567/41", id="private channel"),
        pytest.param(Chat(id=-1234567, type="group"), None, id="basic group"),
        pytest.param(Chat(id=1234567, type="private"), None, id="person"),
    ],
)
def test_a_receipt_has_the_messages_page(server: FakeTelegram, client: net.Client, chat: Chat, url: str | None) -> None:
    server.add(chat)
    receipt = published(adapter(server, client, chat=chat.id))
    assert receipt == Receipt(remote_id=f"{chat.id}/41", url=url)


def test_a_message_without_its_chat_is_in_the_one_that_was_asked_for(telegram: Telegram, server: FakeTelegram) -> None:
    server.script("sendMessage", Fault(status=200, body=b'{"ok":true,"result":{"message_id":7}}'))
    assert published(telegram) == Receipt(remote_id="@kaltimnews/7", url="https://t.me/kaltimnews/7")


# --- counting and other people's words -------------------------------------------------------------------------------


def article(**words: Any) -> Article:
    return Article(
        id="a", feed="f", origin="o", link=LINK, published=PUBLISHED, first_seen=PUBLISHED, **{"title": "T", **words}
    )


@pytest.mark.parametrize("use", ["auto", "always"])
@pytest.mark.parametrize("with_picture", [True, False])
def test_a_post_that_fills_all_the_room_is_taken(
    server: FakeTelegram, client: net.Client, tmp_path: Path, use: str, with_picture: bool
) -> None:
    platform = adapter(server, client, picture=use)
    account = Account(name="t", platform="telegram", template="{{ text }} {{ link }}")
    words = article(text="Jembatan 👨‍👩‍👧‍👦 Mahakam 🇮🇩 dibuka @kembali " * 300)
    post = compose(words, account, platform.limits, picture=picture(tmp_path) if with_picture else None, now=CREATED)
    assert platform.limits.length - post.length < 60
    published(platform, post)
    assert seen(server).text == post.text


#: Whatever may stand in a title, signs that mean something to Telegram more often than elsewhere.
_TITLES = st.text(
    st.one_of(st.sampled_from("@#$/＠＃_1Ab·.(<>&*`[]\u200c\u0dcféÅ漢👍🏽"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=80,
)


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeTelegram, net.Client]]:
    """One server for many examples."""
    with FakeTelegram() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        yield server, client


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@settings(deadline=None, max_examples=80)
@given(title=_TITLES.filter(lambda title: bool(clean(title))))
def test_h05_h06_any_title_is_read_as_it_is_written_and_calls_nobody(
    shared: tuple[FakeTelegram, net.Client], title: str
) -> None:
    server, client = shared
    platform = adapter(server, client)
    account = Account(name="t", platform="telegram", template="{{ title }}{{ title }} {{ link }} #Kaltim")
    post = compose(article(title=title), account, platform.limits, picture=None, now=CREATED)
    published(platform, post)
    message = server.visible()[0]
    assert message.text == post.text
    assert (message.mentions, message.cashtags, message.commands) == ((), (), ())
    assert message.hashtags == ("Kaltim",)


TITLES = [
    "@gubernur: kata @walikota dan (@ibu_kota) /@wakil",
    "#banjir di /#Samarinda, #·x $BTC dan $1INCH",
    "/start sekarang, atau/tidak; 5/6 dan </b>",
    "*tebal* _miring_ `kode` [x](https://a.example) <b>&amp;</b> ||rahasia||",
    "<a href='tg://user?id=1'>x</a>",
    "Gunung Ålesund A\u030alesund",
]


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("with_picture", [True, False])
def test_h05_h06_a_title_looks_as_its_site_has_it(
    telegram: Telegram, server: FakeTelegram, tmp_path: Path, title: str, with_picture: bool
) -> None:
    import unicodedata

    account = Account(name="t", platform="telegram", template="{{ title }}\n\n{{ link }}")
    with_it = picture(tmp_path) if with_picture else None
    post = compose(article(title=title), account, telegram.limits, picture=with_it, now=CREATED)
    published(telegram, post)
    message = seen(server)
    shown = message.text.partition("\n")[0].replace("\u2060", "")
    assert unicodedata.normalize("NFC", shown) == unicodedata.normalize("NFC", title)
    assert not message.mentions + message.hashtags + message.cashtags + message.commands


def test_a_mail_address_and_a_price_stay_whole_and_the_operators_own_words_work(
    telegram: Telegram, server: FakeTelegram
) -> None:
    account = Account(name="t", platform="telegram", template="{{ title }} via @redaksi #Kaltim {{ link }}")
    title = "Surat ke warga@news.example: 5/6 dari $100"
    published(telegram, compose(article(title=title), account, telegram.limits, picture=None, now=CREATED))
    message = seen(server)
    assert (message.mentions, message.hashtags) == (("redaksi",), ("Kaltim",))
    assert title in message.text


def test_what_was_made_harmless_stays_as_it_is() -> None:
    once = unlinked("@a #b $C /d")
    assert unlinked(once) == once


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D13")
@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        pytest.param(refusal(429, "Too Many Requests", retry_after=37), timedelta(seconds=37), id="in the body"),
        pytest.param(page(429, "Too Many", Retry_After="41"), timedelta(seconds=41), id="in the header"),
        pytest.param(refusal(429, "Too Many Requests", retry_after=10**9), timedelta(days=7), id="absurd"),
        pytest.param(refusal(429, "Too Many Requests", retry_after=-1), None, id="nonsense"),
        pytest.param(refusal(429, "Too Many Requests"), None, id="not told"),
    ],
)
def test_d13_a_limit_says_how_long_it_lasts(
    telegram: Telegram, server: FakeTelegram, fault: Fault, wait: timedelta | None
) -> None:
    server.script("sendMessage", fault)
    with pytest.raises(RateLimited) as raised:
        published(telegram)
    assert raised.value.wait == wait


def test_a_group_that_became_a_supergroup_is_told_with_its_new_number(server: FakeTelegram, client: net.Client) -> None:
    server.add(Chat(id=-7, type="group", moved_to=-1004376396847))
    with pytest.raises(Unauthorized, match=r"write `chat: -1004376396847`"):
        published(adapter(server, client, chat=-7))
    assert server.visible() == []


def test_without_a_picture_a_word_about_pictures_is_a_refusal_for_good(
    telegram: Telegram, server: FakeTelegram
) -> None:
    server.script("sendMessage", refusal(400, "Bad Request: photo album is too long"))
    with pytest.raises(Rejected, match="photo album is too long"):
        published(telegram)


def test_the_reason_is_telegrams_own_words(telegram: Telegram, server: FakeTelegram) -> None:
    server.script("sendMessage", refusal(400, "Bad Request: message is too long"))
    with pytest.raises(Rejected) as raised:
        published(telegram)
    assert str(raised.value) == "status 400: Bad Request: message is too long"


@pytest.mark.fault("H12")
def test_h12_a_redirect_of_a_post_is_not_followed_and_the_token_stays_here(
    telegram: Telegram, server: FakeTelegram
) -> None:
    with FakeTelegram() as elsewhere:
        location = f"{elsewhere.url}/bot{server.token}/sendMessage"
        server.script("sendMessage", page(307, "Moved", Location=location))
        with pytest.raises(OutcomeUnknown) as raised:
            published(telegram)
        assert elsewhere.calls == []
        assert server.token not in str(raised.value)


def test_a_server_that_is_away_is_told_without_the_token(telegram: Telegram, server: FakeTelegram) -> None:
    server.stop()
    with pytest.raises(NotSent) as raised:
        published(telegram)
    told = f"{raised.value!s} {raised.value!r} {raised.value.__cause__!s} {raised.value.__cause__!r}"
    assert server.token not in told


# --- taking away -----------------------------------------------------------------------------------------------------


def test_a_message_is_taken_away_and_again_without_harm(telegram: Telegram, server: FakeTelegram) -> None:
    receipt = published(telegram)
    telegram.delete(receipt)
    assert server.visible() == []
    telegram.delete(receipt)


def test_a_message_is_taken_from_the_chat_that_it_is_in(server: FakeTelegram, client: net.Client) -> None:
    server.add(Chat(id=-1007))
    receipt = published(adapter(server, client, chat=-1007))
    published(adapter(server, client))
    adapter(server, client).delete(receipt)
    assert [message.chat for message in server.visible()] == [FakeTelegram.channel]


def test_after_two_days_a_message_stays_and_the_reason_is_told(telegram: Telegram, server: FakeTelegram) -> None:
    receipt = published(telegram)
    server.clock = lambda: CREATED + timedelta(hours=48, seconds=1)
    with pytest.raises(Rejected, match="48 hours only"):
        telegram.delete(receipt)
    assert len(server.visible()) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(refusal(401, "Unauthorized"), Unauthorized, id="401"),
        pytest.param(refusal(429, "Too Many Requests", retry_after=3), RateLimited, id="429"),
        pytest.param(page(400, "message to remove not found"), OutcomeUnknown, id="a page"),
        pytest.param(Fault(status=200, body=b'{"ok":true,"result":{}}'), OutcomeUnknown, id="no yes"),
        pytest.param(Fault(status=200, body=b"{}"), OutcomeUnknown, id="nothing"),
    ],
)
def test_only_what_telegram_says_is_gone_is_gone(
    telegram: Telegram, server: FakeTelegram, fault: Fault, error: type[DeliveryError]
) -> None:
    receipt = published(telegram)
    server.script("deleteMessage", fault)
    with pytest.raises(error):
        telegram.delete(receipt)


@pytest.mark.parametrize("remote_id", ["", "41", "https://t.me/kaltim/x", "@kaltimnews/"])
def test_what_is_no_post_of_telegram_is_not_asked_for(telegram: Telegram, server: FakeTelegram, remote_id: str) -> None:
    with pytest.raises(Rejected, match="no post of Telegram"):
        telegram.delete(Receipt(remote_id=remote_id))
    assert server.calls == []


# --- on the line -----------------------------------------------------------------------------------------------------


def telegram_line(world: World, server: FakeTelegram, **values: Any) -> Line:
    server.clock = world.clock
    return open_line(
        world,
        "telegram",
        lambda http: Telegram(settings_of(server, **values), patient(http)),
        texts=lambda: [message.text for message in server.visible()],
        sends=lambda: len(server.sends),
        post_by_hand=lambda _text: None,
        fail_look=lambda: None,
    )


def test_articles_are_posted_once_with_their_pictures(unjudged_world: World, server: FakeTelegram) -> None:
    line = telegram_line(unjudged_world, server)
    line.show("one", picture=file_picture(line.world))
    line.show("two")
    line.world.until_quiet()
    line.world.run()
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.POSTED, State.POSTED, 2)
    receipts = [line.row(name).receipt for name in ("one", "two")]
    shown = {f"https://t.me/kaltimnews/{message.id}": message for message in server.visible()}
    assert [receipt and receipt.url and shown[receipt.url].photo is not None for receipt in receipts] == [True, False]


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-then-cut": Fault(then=Then.CUT, made=Made.AT_ONCE),
    "made-without-number": Fault(status=200, body=_BARE, made=Made.AT_ONCE),
    "never-made-502": Fault(status=502),
    "never-made-reset": Fault(then=Then.RESET_READING),
    "unlisted-4xx": Fault(status=418, body=b"{}", made=Made.AT_ONCE),
}


@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D09")
@pytest.mark.fault("D10")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d05_d06_d09_d10_a_lost_answer_waits_for_a_person_and_is_never_sent_again(
    unjudged_world: World, server: FakeTelegram, fault: Fault
) -> None:
    line = telegram_line(unjudged_world, server)
    server.script("sendMessage", fault)
    line.show("one")
    line.world.until_quiet()
    line.world.clock.move(hours=30)
    line.world.run()
    assert line.row("one").state is State.NEEDS_REVIEW
    assert line.seen("one") == (1 if fault.made is Made.AT_ONCE else 0)
    assert line.sends() == (0 if fault.then is Then.RESET_READING else 1)
    line.show("two")
    line.world.until_quiet()
    assert (line.row("two").state, line.seen("two")) == (State.POSTED, 1)


def kill_in_call(desk: Desk, server: Scripted) -> None:
    """A run dies in the middle of its irreversible call, after the server has acted on it."""
    with subprocess.Popen(desk.line("run"), env=desk.variables(), cwd=desk.folder) as process:
        assert server.fell_silent.wait(30)
        process.kill()


@pytest.mark.fault("D10")
@pytest.mark.fault("D11")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d10_d11_a_run_that_was_killed_in_its_call_leaves_the_post_to_a_person(
    desk: Desk, server: FakeTelegram, made: Made
) -> None:
    desk.configure(
        f"  tg:\n    platform: telegram\n    server: {server.url}\n    chat: '@kaltimnews'\n    token: env:TG_TOKEN\n"
        "    allow_private: yes\n"
    )
    desk.environment["TG_TOKEN"] = server.token
    desk("run")
    desk.show("one")
    server.script("sendMessage", Fault(then=Then.SILENCE, made=made))
    kill_in_call(desk, server)
    for _ in range(2):
        desk("run")
    row = desk.row("one", "tg")
    assert (row.state, row.reason) == (State.NEEDS_REVIEW, "the program ended during the call")
    assert (len(server.visible()), len(server.sends)) == (1 if made is Made.AT_ONCE else 0, 1)


@pytest.mark.fault("D10")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d10_the_written_policy_sends_once_more_and_marks_it(
    unjudged_world: World, server: FakeTelegram, made: Made
) -> None:
    line = telegram_line(unjudged_world, server)
    line.world.change_account("telegram", on_unknown=OnUnknown.RESEND)
    server.script("sendMessage", Fault(status=502, made=made))
    line.show("one")
    line.world.until_quiet()
    attempts = line.world.attempts("one", "telegram")
    assert line.row("one").state is State.POSTED
    assert [attempt.resend for attempt in attempts] == [False, True]
    assert line.seen("one") == (2 if made is Made.AT_ONCE else 1)
    assert len({call.body for call in server.sends}) == 1


@pytest.mark.fault("D19")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(refusal(400, "Bad Request: IMAGE_PROCESS_FAILED"), id="broken"),
        pytest.param(refusal(400, "Bad Request: not enough rights to send photos to the chat"), id="not allowed"),
        pytest.param(page(413, "Request Entity Too Large"), id="too big"),
    ],
)
def test_d19_a_picture_that_is_refused_leaves_a_message_with_a_preview(
    unjudged_world: World, server: FakeTelegram, fault: Fault
) -> None:
    line = telegram_line(unjudged_world, server)
    server.script("sendPhoto", fault)
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    assert line.row("one").state is State.POSTED
    assert (seen(server).photo, seen(server).preview) == (None, "https://news.example/one/")


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
def test_d14_d16_a_revoked_token_blocks_the_account_and_loses_nothing(
    unjudged_world: World, server: FakeTelegram
) -> None:
    line = telegram_line(unjudged_world, server)
    line.show("one")
    line.world.run()
    server.is_revoked = True
    line.show("two")
    line.world.run()
    assert line.world.standing("telegram").state is AccountState.AUTH_BLOCKED
    assert line.row("two").state is State.READY
    server.is_revoked = False
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two"), line.row("two").state) == (1, 1, State.POSTED)


@pytest.mark.fault("D17")
def test_d17_a_refused_text_stops_no_other(unjudged_world: World, server: FakeTelegram) -> None:
    line = telegram_line(unjudged_world, server)
    server.script("sendMessage", refusal(400, "Bad Request: message is too long"))
    line.show("one")
    line.world.run()
    line.show("two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("two").state) == (State.REJECTED, State.POSTED)
    assert "message is too long" in (line.row("one").reason or "")


@pytest.mark.fault("D13")
def test_d13_a_limit_holds_the_account_until_it_ends(unjudged_world: World, server: FakeTelegram) -> None:
    line = telegram_line(unjudged_world, server)
    server.script("sendMessage", refusal(429, "Too Many Requests: retry after 900", retry_after=900))
    line.show("one", "two")
    line.world.run()
    assert line.sends() == 1
    assert line.world.standing("telegram").not_before == line.world.clock() + timedelta(minutes=15)
    line.world.until_quiet()
    assert (line.sends(), line.seen("one"), line.seen("two")) == (3, 1, 1)
