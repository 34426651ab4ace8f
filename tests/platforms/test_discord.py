"""Discord against a strict server on loopback, through a webhook and by a bot."""

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
    Undecided,
)
from autopublish.models import Account, AccountState, Article, Identity, Picture, Post, ReadBack, Receipt, Stage, State
from autopublish.platforms._http import Http
from autopublish.platforms.discord import Discord, escaped
from autopublish.posts import compose
from autopublish.text import clean
from tests.bench.world import World
from tests.desk import Desk
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_on_the_line import Line, file_picture, open_line, patient
from tests.servers.discord import FakeDiscord, Message, shown
from tests.servers.scripted import Fault, Made, Then

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "fedcba9876543210fedcba9876543210"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3)
SINCE = PUBLISHED - timedelta(hours=1)
LINK = "https://news.example/2026/11/jembatan_mahakam_dibuka/?id=7&page=2"


def article(**words: Any) -> Article:
    said = {"title": "T", "link": LINK, **words}
    return Article(id="a", feed="f", origin="o", published=PUBLISHED, first_seen=PUBLISHED, **said)


def composed(platform: Discord, with_picture: Picture | None = None, *, template: str = "", **words: Any) -> Post:
    account = Account(name="d", platform="discord", template=template or "{{ title }}\n\n{{ link }}\n#Kaltim")
    return compose(article(**words), account, platform.limits, picture=with_picture, now=CREATED)


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
def server() -> Iterator[FakeDiscord]:
    with FakeDiscord() as one:
        one.clock = lambda: CREATED
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def bot(server: FakeDiscord, client: net.Client) -> Discord:
    return adapter(client, **by_bot(server))


@pytest.fixture
def webhook(server: FakeDiscord, client: net.Client) -> Discord:
    return adapter(client, **by_webhook(server))


@pytest.fixture
def both(server: FakeDiscord, client: net.Client) -> Discord:
    return adapter(client, **by_webhook(server), token=server.token, server=server.url)


def by_bot(server: FakeDiscord) -> dict[str, Any]:
    return {"server": server.url, "token": server.token, "channel": server.channel}


def by_webhook(server: FakeDiscord) -> dict[str, Any]:
    return {"webhook_url": server.webhook_url}


def adapter(client: net.Client, /, **values: Any) -> Discord:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Discord(Discord.Settings.model_validate(values), http)


def published(platform: Discord, post: Post | None = None, *, key: str = KEY) -> Receipt:
    post = post or composed(platform, title="Jembatan")
    return platform.publish(post, platform.stage(post, Stage()), key=key)


def seen(server: FakeDiscord) -> Message:
    (message,) = server.visible()
    return message


def refusal(status: int, code: int, words: str, **rest: Any) -> Fault:
    return Fault(status=status, body=json.dumps({"code": code, "message": words, **rest}).encode())


def page(status: int, words: str, **headers: str) -> Fault:
    named = {"Content-Type": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Fault(status=status, body=f"<html><body><h1>{words}</h1></body></html>".encode(), headers=named)


# --- the contract test's part ----------------------------------------------------------------------------------------

_ECHO = json.dumps({"code": 1, "message": f"odd {FakeDiscord.token} {FakeDiscord.webhook_token}"}).encode()


def _form_errors(*names: str) -> dict[str, Any]:
    return {"errors": {name: {"0": {"_errors": [{"code": "X", "message": "y"}]}} for name in names}}


#: Failure -> how the call goes wrong, and what `publish` raises.
FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "token-dead": (refusal(401, 0, "401: Unauthorized"), Unauthorized),
    "webhook-gone": (refusal(404, 10015, "Unknown Webhook"), Unauthorized),
    "webhook-token": (refusal(401, 50027, "Invalid Webhook Token"), Unauthorized),
    "no-channel": (refusal(404, 10003, "Unknown Channel"), Unauthorized),
    "no-access": (refusal(403, 50001, "Missing Access"), Unauthorized),
    "no-permission": (refusal(403, 50013, "Missing Permissions"), Unauthorized),
    "thread-archived": (refusal(400, 50083, "Thread is archived"), Unauthorized),
    "forum": (refusal(400, 220001, "Webhooks posted to forum channels must have a thread"), Unauthorized),
    "blocked-address": (refusal(403, 40333, "internal network error"), Unauthorized),
    "limited": (refusal(429, 0, "You are being rate limited.", retry_after=1.25, **{"global": False}), RateLimited),
    "limited-html": (page(429, "Too Many Requests", Retry_After="7"), RateLimited),
    "write-limit": (refusal(403, 20028, "The channel has hit the write rate limit"), RateLimited),
    "file-too-large": (refusal(413, 40005, "Request entity too large"), MediaRejected),
    "file-too-large-html": (page(413, "Payload Too Large"), MediaRejected),
    "file-invalid": (refusal(400, 50046, "Invalid file uploaded"), MediaRejected),
    "file-form": (refusal(400, 50035, "Invalid Form Body", **_form_errors("attachments")), MediaRejected),
    "text-form": (refusal(400, 50035, "Invalid Form Body", **_form_errors("content")), Rejected),
    "text-and-file-form": (refusal(400, 50035, "Invalid", **_form_errors("content", "attachments")), Rejected),
    "automod": (refusal(400, 200000, "Message was blocked by automatic moderation"), Rejected),
    "harmful-link": (refusal(400, 240000, "Message blocked by harmful links filter"), Rejected),
    "empty": (refusal(400, 50006, "Cannot send an empty message"), Rejected),
    "unlisted-code": (refusal(400, 10000000, "Something new"), OutcomeUnknown),
    "refusal-in-500": (refusal(500, 50013, "Missing Permissions"), OutcomeUnknown),
    "400-of-something-else": (page(400, "Bad Request"), OutcomeUnknown),
    "403-of-something-else": (page(403, "Checking your browser"), OutcomeUnknown),
    "404-of-something-else": (page(404, "Not found"), OutcomeUnknown),
    "code-as-text": (Fault(status=400, body=b'{"code":"50013"}'), OutcomeUnknown),
    "redirect": (page(307, "Moved", Location="http://127.0.0.1:9/"), OutcomeUnknown),
    "500": (refusal(500, 0, "500: Internal Server Error"), OutcomeUnknown),
    "502": (page(502, "Bad Gateway"), OutcomeUnknown),
    "504": (Fault(status=504, body=b""), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": (Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "not-json": (page(200, "Welcome"), OutcomeUnknown),
    "no-content": (Fault(status=204, body=b""), OutcomeUnknown),
    "without-id": (Fault(status=200, body=b'{"channel_id":"1200000000000000002"}'), OutcomeUnknown),
    "id-of-another-kind": (Fault(status=200, body=b'{"id":7,"channel_id":"1"}'), OutcomeUnknown),
    "a-list": (Fault(status=200, body=b"[]"), OutcomeUnknown),
    "huge": (Fault(status=200, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": (Fault(status=418, body=_ECHO), OutcomeUnknown),
    "echoes-in-success": (Fault(status=200, body=_ECHO), OutcomeUnknown),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeDiscord() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        yield Bench(
            make=lambda: adapter(client, **by_bot(server)),
            post=composed(
                adapter(client, **by_bot(server)), picture(folder), title="Jembatan “Mahakam” & *IKN* 👨‍👩‍👧‍👦"
            ),
            sent=lambda: [call.body for call in server.sends],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=seen(server).text, pinged=tuple(seen(server).shown.mentions)),
            secrets=(server.token, server.webhook_token),
            network=Network(
                unplug=server.stop,
                silence=lambda: server.script("send", Fault(then=Then.SILENCE)),
                fail=lambda name: server.script("send", FAILURES[name][0]),
                answer=lambda fault: server.script("send", fault),
            ),
        )


CONTRACT = Contract(
    bench=bench, failures={name: error for name, (_, error) in FAILURES.items() if not name.startswith("echoes")}
)


@pytest.mark.fault("H09")
@pytest.mark.parametrize("way", ["bot", "webhook"])
@pytest.mark.parametrize("failure", FAILURES)
def test_h09_each_failure_has_its_error_in_both_ways_and_tells_no_secret(
    request: pytest.FixtureRequest, server: FakeDiscord, tmp_path: Path, way: str, failure: str
) -> None:
    platform: Discord = request.getfixturevalue(way)
    post = composed(platform, picture(tmp_path))
    fault, error = FAILURES[failure]
    server.script("send", fault)
    with pytest.raises(error) as raised:
        published(platform, post)
    assert type(raised.value) is error
    told = f"{raised.value!s} {raised.value!r} {raised.value.__cause__!r}"
    assert (server.webhook_token if way == "webhook" else server.token) not in told


# --- settings and login ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"token": "t"}, "wants `channel`", id="a bot without a channel"),
        pytest.param({"channel": FakeDiscord.channel}, "`channel` is for a bot", id="a channel without a bot"),
        pytest.param({"thread": FakeDiscord.thread}, "`thread` for a webhook", id="a thread without a webhook"),
        pytest.param({"webhook_url": "w", "channel": FakeDiscord.channel}, "without a webhook", id="two channels"),
        pytest.param(
            {"token": "t", "channel": FakeDiscord.channel, "thread": FakeDiscord.thread},
            "for a webhook",
            id="two places",
        ),
        pytest.param({"token": "t", "channel": "#berita"}, "Copy Channel ID", id="a name"),
        pytest.param({"token": "t", "channel": True}, "Copy Channel ID", id="no text"),
        pytest.param({"webhook_url": "w", "card": "big"}, "card", id="an unknown card"),
    ],
)
def test_settings_that_lead_nowhere_are_refused_at_once(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Discord.Settings.model_validate(values)


@pytest.mark.parametrize(
    "written",
    [
        1200000000000000002,
        " 1200000000000000002 ",
        "https://discord.com/channels/1100000000000000001/1200000000000000002",
    ],
    ids=str,
)
def test_a_channel_is_known_by_its_id_or_address(server: FakeDiscord, client: net.Client, written: object) -> None:
    assert adapter(client, **{**by_bot(server), "channel": written}).whoami().id == server.channel


def test_without_a_webhook_and_a_token_the_account_is_blocked_in_words_that_help(client: net.Client) -> None:
    platform = adapter(client)
    for ask in (platform.whoami, platform.permissions, lambda: published(platform)):
        with pytest.raises(Unauthorized, match="neither `webhook_url` nor `token`"):
            ask()
    with pytest.raises(Unauthorized, match="neither `webhook_url` nor `token`"):
        platform.publish(composed(platform), Stage(), key=KEY)


def test_whoami_names_the_channel_whoever_posts_there(bot: Discord, webhook: Discord, server: FakeDiscord) -> None:
    url = f"https://discord.com/channels/{server.guild}/{server.channel}"
    assert bot.whoami() == Identity(id=server.channel, name="#berita", url=url)
    assert webhook.whoami() == Identity(id=server.channel, name="Redaksi", url=url)
    assert server.visible() == []


@pytest.mark.parametrize(
    "host", ["https://discordapp.com/api/v9", "https://ptb.discord.com/api", "https://discord.com/api"]
)
def test_an_old_address_of_a_webhook_is_understood(client: net.Client, host: str) -> None:
    platform = adapter(client, webhook_url=f"{host}/webhooks/123/abcdefgh_-123?x=1")
    assert platform._base == f"{host.partition('/api')[0]}/api/v10/webhooks/123/abcdefgh_-123"


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"webhook_url": "https://discord.com/channels/1/2"}, id="no webhook"),
        pytest.param({"webhook_url": "env:DISCORD"}, id="a reference"),
        pytest.param({"token": "two words", "channel": FakeDiscord.channel}, id="a token with blanks"),
        pytest.param({"token": "t\u00f6ken", "channel": FakeDiscord.channel}, id="a token with odd letters"),
    ],
)
def test_credentials_that_can_be_none_are_told_before_anything_is_asked(
    client: net.Client, values: dict[str, Any]
) -> None:
    platform = adapter(client, **values)
    with pytest.raises(Unauthorized, match="copy it again"):
        platform.whoami()
    with pytest.raises(Unauthorized, match="copy it again"):
        platform.publish(composed(platform), Stage(), key=KEY)


@pytest.mark.parametrize("way", ["bot", "webhook"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(401, 0, "401: Unauthorized"), Unauthorized, id="401"),
        pytest.param(refusal(404, 10015, "Unknown Webhook"), Unauthorized, id="gone"),
        pytest.param(refusal(400, 50035, "Invalid Form Body"), Unauthorized, id="another refusal"),
        pytest.param(page(404, "Not Found"), OutcomeUnknown, id="not Discord"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="html"),
        pytest.param(Fault(status=200, body=b"{}"), OutcomeUnknown, id="no id"),
        pytest.param(page(302, "Found", Location="https://elsewhere.example/"), OutcomeUnknown, id="redirect"),
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(refusal(429, 0, "limited", retry_after=3), RateLimited, id="429"),
    ],
)
def test_only_refusals_of_discords_own_block_the_account(
    request: pytest.FixtureRequest, server: FakeDiscord, way: str, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("channel" if way == "bot" else "webhook", fault)
    with pytest.raises(error):
        request.getfixturevalue(way).whoami()


def test_a_check_says_where_a_bot_may_not_read(bot: Discord, webhook: Discord, server: FakeDiscord) -> None:
    assert bot.permissions() is None
    published(bot)
    server.may_read = False
    fresh = Discord(bot.settings, bot.http)
    assert fresh.permissions() == ("the right Read Message History in the channel",)
    server.may_read = True
    assert fresh.permissions() == ()
    assert webhook.permissions() is None


# --- publishing ------------------------------------------------------------------------------------------------------


def test_a_post_has_its_text_its_card_and_its_page(bot: Discord, server: FakeDiscord, tmp_path: Path) -> None:
    receipt = published(bot, composed(bot, picture(tmp_path), title="Jembatan & jalan", summary="Dibuka *lagi*."))
    message = seen(server)
    assert message.text == f"Jembatan & jalan\n\n{LINK}\n#Kaltim"
    assert (message.shown.links, message.cards) == ([LINK], ())
    (card,) = message.embeds
    assert (card["url"], card["title"], card["description"]) == (LINK, "Jembatan & jalan", r"Dibuka \*lagi\*.")
    assert card["image"] == {"url": "attachment://picture.jpg"}
    assert message.files == (("JPEG", 120, 63, "A bridge"),)
    url = f"https://discord.com/channels/{server.guild}/{server.channel}/{message.id}"
    assert receipt == Receipt(remote_id=f"{server.channel}/{message.id}", url=url)


@pytest.mark.parametrize(
    ("card", "embeds", "cards", "files"),
    [
        pytest.param("ours", 1, (), 1, id="ours"),
        pytest.param("network", 0, (LINK,), 0, id="network"),
        pytest.param("none", 0, (), 1, id="none"),
    ],
)
@pytest.mark.parametrize("way", [by_bot, by_webhook])
def test_what_stands_below_the_text_is_the_operators_choice(
    server: FakeDiscord, client: net.Client, tmp_path: Path, way: Any, card: str, embeds: int, cards: Any, files: int
) -> None:
    platform = adapter(client, **way(server), card=card)
    published(platform, composed(platform, picture(tmp_path)))
    message = seen(server)
    assert (len(message.embeds), message.cards, len(message.files)) == (embeds, cards, files)
    assert message.shown.links == [LINK]
    assert (platform.media is None) is (card == "network")


@pytest.mark.parametrize("alt", ["", "Jembatan “Mahakam” 👍🏽", "x" * 1024])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_has_its_alt_text(webhook: Discord, server: FakeDiscord, tmp_path: Path, alt: str, kind: str) -> None:
    published(webhook, composed(webhook, picture(tmp_path, alt=alt, kind=kind)))
    assert seen(server).files == ((kind, 120, 63, alt),)
    assert len(alt) <= (webhook.media.alt_length if webhook.media else 0)


def test_an_article_without_a_link_has_its_picture_and_no_card(
    bot: Discord, server: FakeDiscord, tmp_path: Path
) -> None:
    post = composed(bot, picture(tmp_path), template="{{ title }}", link=None)
    published(bot, post)
    assert (seen(server).embeds, len(seen(server).files), seen(server).text) == ((), 1, "T")


def test_a_picture_that_is_gone_is_told_and_nothing_is_sent(bot: Discord, server: FakeDiscord, tmp_path: Path) -> None:
    with_it = picture(tmp_path)
    Path(with_it.path).unlink()
    with pytest.raises(MediaRejected):
        published(bot, composed(bot, with_it))
    assert server.sends == []


@pytest.mark.parametrize("way", [by_bot, by_webhook])
@pytest.mark.parametrize("silent", [True, False])
def test_a_post_may_come_without_a_notification(
    server: FakeDiscord, client: net.Client, way: Any, silent: bool
) -> None:
    published(adapter(client, **way(server), silent=silent))
    assert seen(server).silent is silent


def test_a_resend_is_what_its_stage_fixed_whatever_the_configuration_says(
    server: FakeDiscord, client: net.Client, bot: Discord, tmp_path: Path
) -> None:
    post = composed(bot, picture(tmp_path))
    stage = bot.stage(post, Stage())
    bot.publish(post, stage, key=KEY)
    changed = adapter(client, **by_bot(server), card="none", silent=True)
    changed.publish(post, stage, key=KEY)
    one, two = server.sends
    assert (one.body, len(server.visible())) == (two.body, 1)


def test_a_post_that_is_composed_anew_looks_as_configured_now_and_asks_for_nothing_known(
    server: FakeDiscord, client: net.Client, bot: Discord
) -> None:
    stage = bot.stage(composed(bot), Stage())
    calls = len(server.calls)
    changed = adapter(client, **by_bot(server), card="none", silent=True).stage(composed(bot), stage)
    assert (changed.data, len(server.calls)) == ({**stage.data, "card": "none", "silent": True}, calls)


def test_a_webhook_posts_in_a_thread_of_a_forum(server: FakeDiscord, client: net.Client) -> None:
    server.hooked = server.forum
    with pytest.raises(Unauthorized, match="a forum needs `thread`"):
        published(adapter(client, **by_webhook(server)))
    platform = adapter(client, **by_webhook(server), thread=server.thread)
    receipt = published(platform)
    assert platform.whoami().id == server.thread
    assert receipt.remote_id == f"{server.thread}/{seen(server).id}"
    platform.delete(receipt)
    assert server.visible() == []


def test_a_card_fits_its_limits_however_much_is_escaped(bot: Discord, server: FakeDiscord) -> None:
    post = dataclasses.replace(composed(bot), title="*_" * 150, summary="~`" * 600)
    published(bot, post)
    assert len(seen(server).embeds[0]["title"]) > 250


# --- counting and other people's words -------------------------------------------------------------------------------


@pytest.mark.parametrize("card", ["ours", "network", "none"])
@pytest.mark.parametrize("template", ["{{ text }} {{ link }}", "{{ link }} {{ text }} {{ link }}"])
def test_a_post_that_fills_all_the_room_is_taken(
    server: FakeDiscord, client: net.Client, card: str, template: str
) -> None:
    platform = adapter(client, **by_bot(server), card=card)
    words = "Jembatan 👨‍👩‍👧‍👦 *Mahakam* 🇮🇩 <dibuka> kembali: 10:30 " * 100
    post = composed(platform, template=template, text=words)
    assert platform.limits.length - post.length < 60
    published(platform, post)
    assert len(server.visible()) == 1


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeDiscord, net.Client]]:
    """One server for many examples."""
    with FakeDiscord() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        server.nonces = False
        yield server, client


#: Whatever may stand in a title, signs that mean something to Discord more often than elsewhere.
_TITLES = st.text(
    st.one_of(st.sampled_from("\\*_~`|<>[]()#-+.:@&/!123 aéhttps漢👍🏽\u200d"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=80,
)


@settings(deadline=None, max_examples=60)
@given(text=_TITLES, times=st.integers(1, 400))
def test_whatever_is_composed_is_not_too_long(shared: tuple[FakeDiscord, net.Client], text: str, times: int) -> None:
    server, client = shared
    platform = adapter(client, **by_bot(server))
    published(platform, composed(platform, template="{{ text }} {{ link }}", text=f"{text} " * times, title="T"))
    assert len(server.visible()[0].content) <= 2000


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@settings(deadline=None, max_examples=150)
@given(title=_TITLES.filter(lambda title: bool(clean(title))))
def test_h05_h06_any_title_is_read_as_it_is_written_and_calls_nobody(
    shared: tuple[FakeDiscord, net.Client], title: str
) -> None:
    server, client = shared
    platform = adapter(client, **by_bot(server))
    published(platform, composed(platform, template="{{ title }}\n{{ link }}\n{{ title }}{{ title }}", title=title))
    message = server.visible()[0]
    wanted = f"{clean(title)}\n{LINK}\n{clean(title)}{clean(title)}"
    assert message.text.replace("\u2060", "").strip() == wanted.replace("\u2060", "").strip()
    assert (message.shown.markup, message.shown.mentions, message.shown.links) == ([], [], [LINK])


TITLES = [
    "@everyone @here: banjir <@123456789012345678> <@&1> <#42> <t:1700000000:R> </cmd:1>",
    "**tebal** *miring* __garis__ _x_ ~~coret~~ ||rahasia|| `kode` ```blok```",
    "# Judul besar",
    "-# kecil",
    "> kutipan",
    ">>> kutipan",
    "- butir",
    "* butir",
    "+ butir",
    "2026. Tahun baru",
    "[klik](https://jahat.example/) https://jahat.example/x",
    ":smile: pukul 10:30:00 :+1:",
    r"C:\Users\n \* \\ ¯\_(ツ)_/¯",
    "<https://jahat.example> <a:wave:123>",
]


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("card", ["ours", "network"])
def test_h05_h06_a_title_looks_as_its_site_has_it(
    server: FakeDiscord, client: net.Client, title: str, card: str
) -> None:
    assert shown(title).text != title or shown(title).mentions or title.startswith("+")
    platform = adapter(client, **by_webhook(server), card=card)
    published(platform, composed(platform, title=title, summary=title))
    message = seen(server)
    parts = [message.text.partition("\n")[0]]
    for embed in message.embeds:
        parts += [shown(embed["title"]).text, shown(embed["description"]).text]
        assert shown(embed["title"]).markup == []
    assert {part.replace("\u2060", "") for part in parts} == {title}
    assert (message.shown.markup, message.shown.mentions, message.shown.links) == ([], [], [LINK])


def test_the_operators_own_markdown_works(bot: Discord, server: FakeDiscord) -> None:
    published(bot, composed(bot, template="**{{ title }}**\n{{ link }}", title="Harga *naik*"))
    assert seen(server).shown.markup == ["bold"]
    assert server.visible()[0].content.startswith(r"**Harga \*naik\***")


def test_words_without_signs_stay_as_they_are() -> None:
    said = "Gubernur: “Harga naik 5.000, 10-20%” (warga@news.example) #Samarinda 2026. Selesai - akhirnya!"
    assert escaped(said) == said


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D13")
@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        pytest.param(refusal(429, 0, "limited", retry_after=37.25), timedelta(seconds=38), id="in the body"),
        pytest.param(page(429, "Too Many", Retry_After="41"), timedelta(seconds=41), id="in the header"),
        pytest.param(refusal(429, 0, "limited", retry_after=10**8), timedelta(days=7), id="absurd"),
        pytest.param(refusal(429, 0, "limited", retry_after=-1), None, id="nonsense"),
        pytest.param(Fault(status=429, body=b'{"retry_after":NaN}'), None, id="no number"),
        pytest.param(refusal(429, 0, "limited", retry_after="soon"), None, id="a word"),
        pytest.param(refusal(429, 0, "limited"), None, id="not told"),
    ],
)
def test_d13_a_limit_says_how_long_it_lasts(
    webhook: Discord, server: FakeDiscord, fault: Fault, wait: timedelta | None
) -> None:
    server.script("send", fault)
    with pytest.raises(RateLimited) as raised:
        published(webhook)
    assert raised.value.wait == wait


def test_without_a_picture_a_word_about_files_is_a_refusal_for_good(bot: Discord, server: FakeDiscord) -> None:
    server.script("send", refusal(400, 50035, "Invalid Form Body", **_form_errors("embeds")))
    with pytest.raises(Rejected, match="Invalid Form Body"):
        published(bot)


@pytest.mark.fault("H12")
@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_h12_a_redirect_of_a_post_is_not_followed_and_the_secret_stays_here(
    request: pytest.FixtureRequest, server: FakeDiscord, way: str
) -> None:
    platform: Discord = request.getfixturevalue(way)
    with FakeDiscord() as elsewhere:
        server.script("send", page(307, "Moved", Location=elsewhere.webhook_url))
        with pytest.raises(OutcomeUnknown) as raised:
            published(platform)
        assert elsewhere.calls == []
        assert server.webhook_token not in str(raised.value)


@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_a_server_that_is_away_is_told_without_the_secret(
    request: pytest.FixtureRequest, server: FakeDiscord, way: str
) -> None:
    platform: Discord = request.getfixturevalue(way)
    server.stop()
    with pytest.raises(NotSent) as raised:
        platform.publish(composed(platform), Stage(), key=KEY)
    told = f"{raised.value!s} {raised.value!r} {raised.value.__cause__!s} {raised.value.__cause__!r}"
    assert server.webhook_token not in told
    assert server.token not in told


# --- looking ---------------------------------------------------------------------------------------------------------


def find(platform: Discord, post: Post | None = None, *, key: str | None = KEY, since: datetime = SINCE) -> Any:
    return platform.find(post or composed(platform, title="Jembatan"), Stage(), key=key, since=since)


def test_who_can_read_is_asked_and_a_webhook_alone_cannot(bot: Discord, webhook: Discord, both: Discord) -> None:
    assert (bot.read_back, both.read_back) == (ReadBack.STRONG, ReadBack.STRONG)
    assert webhook.read_back is ReadBack.NONE
    with pytest.raises(Undecided, match="that takes a bot"):
        find(webhook)


def test_a_post_of_a_webhook_is_found_by_the_bot(both: Discord, server: FakeDiscord) -> None:
    assert find(both) is None
    receipt = published(both)
    assert seen(server).author == server.webhook
    assert find(both) == receipt


def test_what_the_bot_may_not_see_proves_nothing(both: Discord, server: FakeDiscord) -> None:
    published(both)
    server.sees_others = False
    with pytest.raises(Undecided, match="Message Content Intent"):
        find(both)


def test_an_empty_list_of_a_channel_that_has_messages_proves_nothing(bot: Discord, server: FakeDiscord) -> None:
    server.may_read = False
    assert find(bot) is None
    published(bot)
    with pytest.raises(Undecided, match="Read Message History"):
        find(bot)


@pytest.mark.parametrize("written", ["{}", "Baca <{}>!", "**{}**", "({}?utm_source=x)", "[Baca]({})"])
def test_a_post_of_ours_with_the_link_is_found_however_it_is_written(
    bot: Discord, server: FakeDiscord, written: str
) -> None:
    mine = server.post_by_hand(written.format("https://news.example/2026/11/jembatan/"), author=server.bot)
    found = find(bot, composed(bot, link="http://news.example/2026/11/jembatan"), key=None)
    assert found.remote_id == f"{server.channel}/{mine.id}"


def test_a_post_of_others_or_of_another_article_or_of_before_is_not_ours(bot: Discord, server: FakeDiscord) -> None:
    server.post_by_hand(LINK)
    server.post_by_hand("https://news.example/2026/11/lain/", author=server.bot)
    server.clock = lambda: SINCE - timedelta(minutes=1)
    server.post_by_hand(LINK, author=server.bot)
    assert find(bot) is None


def test_a_post_without_a_link_is_known_by_its_text_or_its_nonce(bot: Discord, server: FakeDiscord) -> None:
    post = composed(bot, template="{{ title }}", link=None, title="*Tanpa* tautan")
    receipt = published(bot, post)
    assert find(bot, post, key=OTHER_KEY) == receipt
    changed = dataclasses.replace(post, text="Lain")
    assert (find(bot, changed), find(bot, changed, key=OTHER_KEY)) == (receipt, None)


def test_all_messages_back_to_the_time_are_looked_through(bot: Discord, server: FakeDiscord) -> None:
    receipt = published(bot)
    for number in range(120):
        server.post_by_hand(f"kata {number}")
    assert find(bot) == receipt
    assert len(server.called("list")) == 3
    server.clock = lambda: CREATED + timedelta(hours=1)
    server.post_by_hand("sesudah")
    server.calls.clear()
    assert find(bot, since=CREATED + timedelta(minutes=1)) is None
    assert len(server.called("list")) == 1


def test_a_channel_with_too_many_messages_proves_nothing(bot: Discord, server: FakeDiscord) -> None:
    for number in range(1_000):
        server.post_by_hand(str(number))
    with pytest.raises(Undecided, match="more than 1000 messages"):
        find(bot)


@pytest.mark.parametrize(
    ("call", "fault", "error"),
    [
        pytest.param("list", Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param("list", refusal(401, 0, "401: Unauthorized"), Unauthorized, id="401"),
        pytest.param("list", refusal(429, 0, "limited", retry_after=3), RateLimited, id="429"),
        pytest.param("list", Fault(status=200, body=b"{}"), OutcomeUnknown, id="no list"),
        pytest.param("list", Fault(status=200, body=b'[{"content":"x"}]'), OutcomeUnknown, id="no ids"),
        pytest.param("me", Fault(status=200, body=b"{}"), OutcomeUnknown, id="nobody"),
        pytest.param("channel", Fault(status=200, body=b"{}"), OutcomeUnknown, id="nowhere"),
    ],
)
def test_a_look_that_fails_is_no_look(
    bot: Discord, server: FakeDiscord, call: str, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script(call, fault)
    with pytest.raises(error) as raised:
        find(bot)
    assert type(raised.value) is error


# --- taking away -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["bot", "webhook", "both"])
def test_a_message_is_taken_away_and_again_without_harm(
    request: pytest.FixtureRequest, server: FakeDiscord, way: str
) -> None:
    platform: Discord = request.getfixturevalue(way)
    receipt = published(platform)
    platform.delete(receipt)
    assert server.visible() == []
    platform.delete(receipt)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(refusal(401, 0, "401: Unauthorized"), Unauthorized, id="401"),
        pytest.param(refusal(403, 50013, "Missing Permissions"), Unauthorized, id="not ours"),
        pytest.param(refusal(429, 0, "limited", retry_after=3), RateLimited, id="429"),
        pytest.param(refusal(404, 10015, "Unknown Webhook"), Unauthorized, id="no webhook"),
        pytest.param(page(404, "Not Found"), OutcomeUnknown, id="a page"),
    ],
)
def test_only_what_discord_says_is_gone_is_gone(
    webhook: Discord, server: FakeDiscord, fault: Fault, error: type[DeliveryError]
) -> None:
    receipt = published(webhook)
    server.script("delete", fault)
    with pytest.raises(error):
        webhook.delete(receipt)


@pytest.mark.parametrize("remote_id", ["", "41", "a/b", "1/2/3", "/2", "1/"])
def test_what_is_no_post_of_discord_is_not_asked_for(bot: Discord, server: FakeDiscord, remote_id: str) -> None:
    with pytest.raises(Rejected, match="no post of Discord"):
        bot.delete(Receipt(remote_id=remote_id))
    assert server.calls == []


# --- on the line -----------------------------------------------------------------------------------------------------


def discord_line(world: World, server: FakeDiscord, /, **values: Any) -> Line:
    server.clock = world.clock
    return open_line(
        world,
        "discord",
        lambda http: Discord(Discord.Settings.model_validate(values or by_bot(server)), patient(http)),
        texts=lambda: [message.text for message in server.visible()],
        sends=lambda: len(server.sends),
        post_by_hand=lambda text: server.post_by_hand(text, author=server.bot),
        fail_look=lambda: server.script("list", Fault(status=502)),
    )


@pytest.mark.parametrize("way", [by_bot, by_webhook])
def test_articles_are_posted_once_with_their_pictures(unjudged_world: World, server: FakeDiscord, way: Any) -> None:
    line = discord_line(unjudged_world, server, **way(server))
    line.show("one", picture=file_picture(line.world))
    line.show("two")
    line.world.until_quiet()
    line.world.run()
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.POSTED, State.POSTED, 2)
    assert sorted(len(message.files) for message in server.visible()) == [0, 1]


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-then-cut": Fault(then=Then.CUT, made=Made.AT_ONCE),
    "made-without-id": Fault(status=204, body=b"", made=Made.AT_ONCE),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-502": Fault(status=502),
    "never-made-reset": Fault(then=Then.RESET_READING),
    "unlisted-4xx": Fault(status=418, body=b"{}", made=Made.AT_ONCE),
}


@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D07")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("way", ["bot", "both"])
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d05_d06_d07_d09_a_lost_answer_of_what_a_bot_can_read_ends_with_one_post(
    unjudged_world: World, server: FakeDiscord, fault: Fault, way: str
) -> None:
    more = by_bot(server) if way == "bot" else {**by_webhook(server), "token": server.token, "server": server.url}
    line = discord_line(unjudged_world, server, **more)
    server.script("send", fault)
    line.show("one")
    line.world.run()
    assert line.row("one").state is State.VERIFYING
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)
    came = 0 if fault.then is Then.RESET_READING else 1
    assert line.sends() == came + (1 if fault.made is Made.NEVER else 0)
    assert len({call.body for call in server.sends}) == 1


@pytest.mark.fault("D05")
@pytest.mark.fault("D09")
@pytest.mark.fault("D10")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d05_d09_d10_a_lost_answer_of_a_webhook_waits_for_a_person_and_is_never_sent_again(
    unjudged_world: World, server: FakeDiscord, fault: Fault
) -> None:
    line = discord_line(unjudged_world, server, **by_webhook(server))
    server.script("send", fault)
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


@pytest.mark.fault("D08")
def test_d08_what_cannot_be_read_for_a_day_is_left_to_a_person(unjudged_world: World, server: FakeDiscord) -> None:
    line = discord_line(unjudged_world, server)
    server.script("send", Fault(made=Made.AT_ONCE))
    server.script("list", *[Fault(status=503)] * 200)
    line.show("one")
    line.world.until_quiet(most=200)
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.NEEDS_REVIEW, 1, 1)


@pytest.mark.fault("D10")
@pytest.mark.fault("D11")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d10_d11_a_run_that_was_killed_in_the_call_of_a_webhook_leaves_the_post_to_a_person(
    desk: Desk, server: FakeDiscord, made: Made
) -> None:
    desk.configure("  dc:\n    platform: discord\n    webhook_url: env:DC_WEBHOOK\n    allow_private: yes\n")
    desk.environment["DC_WEBHOOK"] = server.webhook_url
    desk("run")
    desk.show("one")
    server.script("send", Fault(then=Then.SILENCE, made=made))
    with subprocess.Popen(desk.line("run"), env=desk.variables(), cwd=desk.folder) as process:
        assert server.fell_silent.wait(30)
        process.kill()
    for _ in range(2):
        desk("run")
    row = desk.row("one", "dc")
    assert (row.state, row.reason) == (State.NEEDS_REVIEW, "the program ended during the call")
    assert (len(server.visible()), len(server.sends)) == (1 if made is Made.AT_ONCE else 0, 1)


@pytest.mark.fault("D19")
@pytest.mark.parametrize("fault", [FAILURES["file-too-large"][0], FAILURES["file-form"][0]])
def test_d19_a_picture_that_is_refused_leaves_a_post_with_a_card(
    unjudged_world: World, server: FakeDiscord, fault: Fault
) -> None:
    line = discord_line(unjudged_world, server)
    server.script("send", fault)
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    assert line.row("one").state is State.POSTED
    assert (seen(server).files, "image" in seen(server).embeds[0]) == ((), False)


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
@pytest.mark.parametrize("way", [by_bot, by_webhook])
def test_d14_d16_a_dead_token_or_webhook_blocks_the_account_and_loses_nothing(
    unjudged_world: World, server: FakeDiscord, way: Any
) -> None:
    line = discord_line(unjudged_world, server, **way(server))
    line.show("one")
    line.world.run()
    server.is_revoked = True
    line.show("two")
    line.world.run()
    assert line.world.standing("discord").state is AccountState.AUTH_BLOCKED
    assert line.row("two").state is State.READY
    server.is_revoked = False
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two"), line.row("two").state) == (1, 1, State.POSTED)


@pytest.mark.fault("D17")
def test_d17_a_refused_text_stops_no_other(unjudged_world: World, server: FakeDiscord) -> None:
    line = discord_line(unjudged_world, server, **by_webhook(server))
    server.script("send", FAILURES["automod"][0])
    line.show("one")
    line.world.run()
    line.show("two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("two").state) == (State.REJECTED, State.POSTED)
    assert "automatic moderation" in (line.row("one").reason or "")


@pytest.mark.fault("D13")
def test_d13_a_limit_holds_the_account_until_it_ends(unjudged_world: World, server: FakeDiscord) -> None:
    line = discord_line(unjudged_world, server, **by_webhook(server))
    server.script("send", refusal(429, 0, "You are being rate limited.", retry_after=900.0))
    line.show("one", "two")
    line.world.run()
    assert line.sends() == 1
    assert line.world.standing("discord").not_before == line.world.clock() + timedelta(minutes=15)
    line.world.until_quiet()
    assert (line.sends(), line.seen("one"), line.seen("two")) == (3, 1, 1)


@pytest.mark.fault("D23")
def test_d23_what_the_bot_posted_by_other_means_is_found_and_not_sent(
    unjudged_world: World, server: FakeDiscord
) -> None:
    line = discord_line(unjudged_world, server)
    line.world.change_account("discord", delay=timedelta(hours=2))
    line.show("one")
    line.world.run()
    line.post_by_hand(f"Baca {line.world.news('one').link}?utm_source=x")
    line.world.clock.move(hours=2)
    line.world.run()
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 0)
