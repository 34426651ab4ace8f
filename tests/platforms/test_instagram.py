"""Instagram against a strict Graph API on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import json
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
    NotReady,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    StageExpired,
    Unauthorized,
    Undecided,
)
from autopublish.models import (
    Account,
    AccountState,
    Article,
    HashtagRules,
    Identity,
    Picture,
    Post,
    Receipt,
    Stage,
    State,
)
from autopublish.platforms._http import Http
from autopublish.platforms.instagram import Instagram, caption_of
from autopublish.posts import compose
from autopublish.text import clean, utf16_units
from tests.bench.world import World
from tests.desk import Desk
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_facebook import page, refusal
from tests.platforms.test_on_the_line import Line, file_picture, open_line, patient
from tests.platforms.test_telegram import kill_in_call
from tests.servers.instagram import FakeInstagram, Seen
from tests.servers.scripted import Fault, Made, Then

KEY = "0123456789abcdef0123456789abcdef"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3)
SINCE = PUBLISHED - timedelta(hours=1)
LINK = "https://news.example/2026/11/jembatan-mahakam-dibuka/"
TEXT = "Jembatan “Mahakam” & IKN 👨‍👩‍👧‍👦\n\nTautan di bio\n#Kaltim #IKN"
POST = Post(text=TEXT, link=LINK, title="Jembatan", created_at=CREATED, published=PUBLISHED)
URL = "https://news.example/i/jembatan.jpg"
LOGO = "https://news.example/i/logo.jpg"


def drawn(size: tuple[int, int] = (160, 120), kind: str = "JPEG") -> bytes:
    made = BytesIO()
    Image.new("RGB", size, "teal").save(made, kind)
    return made.getvalue()


def picture(
    folder: Path, *, url: str | None = URL, size: tuple[int, int] = (160, 120), alt: str = "A bridge"
) -> Picture:
    content = drawn(size)
    digest = hashlib.sha256(content).hexdigest()
    path = folder / digest
    path.write_bytes(content)
    return Picture(
        path=str(path),
        sha256=digest,
        type="image/jpeg",
        width=size[0],
        height=size[1],
        size_bytes=len(content),
        alt=alt,
        url=url,
    )


@pytest.fixture
def server() -> Iterator[FakeInstagram]:
    with FakeInstagram() as one:
        one.clock = lambda: CREATED
        one.web |= {URL: drawn(), LOGO: drawn()}
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def instagram(server: FakeInstagram, client: net.Client) -> Instagram:
    return adapter(server, client)


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return dataclasses.replace(POST, picture=picture(tmp_path))


def adapter(server: FakeInstagram, client: net.Client, /, **values: Any) -> Instagram:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Instagram(settings_of(server, **values), http)


def settings_of(server: FakeInstagram, /, **values: Any) -> Instagram.Settings:
    return Instagram.Settings.model_validate(
        {"server": server.url, "user_id": server.user, "access_token": server.token, **values}
    )


def published(platform: Instagram, post: Post) -> Receipt:
    return platform.publish(post, platform.stage(post, Stage()), key=KEY)


def seen(server: FakeInstagram) -> Seen:
    (one,) = server.visible()
    return one


# --- the contract test's part ----------------------------------------------------------------------------------------

_ECHO = f"odd {FakeInstagram.token} {FakeInstagram.token}?access_token={FakeInstagram.token}"

#: Failure -> how the call goes wrong, and what `publish` raises; the container stays as it is.
FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "token-expired": (refusal(190, 463), Unauthorized),
    "permission": (refusal(10, status=403), Unauthorized),
    "permission-200": (refusal(200, status=403), Unauthorized),
    "restricted": (refusal(25, 2207050), Unauthorized),
    "wrong-user": (refusal(100, 33), Unauthorized),
    "page-authorization": (refusal(100, 1404078), Unauthorized),
    "daily": (refusal(9, 2207042, status=403, is_transient=True), RateLimited),
    "app-limit": (refusal(4, is_transient=True), RateLimited),
    "business-limit": (refusal(80002), RateLimited),
    "429-of-something-else": (page(429, "Too Many Requests", Retry_After="7"), RateLimited),
    "not-available": (refusal(9007, 2207027), OutcomeUnknown),
    "caption": (refusal(100, 2207010), Rejected),
    "shape": (refusal(36003, 2207009), MediaRejected),
    "format": (refusal(36001, 2207005), MediaRejected),
    "size": (refusal(36000, 2207004), MediaRejected),
    "media-type": (refusal(352, 2207026), MediaRejected),
    "action-blocked": (refusal(4, 2207051), OutcomeUnknown),
    "unknown-1": (refusal(1), OutcomeUnknown),
    "unknown-2": (refusal(2, status=500), OutcomeUnknown),
    "server-side": (refusal(-1, 2207001), OutcomeUnknown),
    "no-container": (refusal(24, 2207006), OutcomeUnknown),
    "invalid": (refusal(100), OutcomeUnknown),
    "limit-with-500": (refusal(4, status=500), OutcomeUnknown),
    "unlisted-status": (page(418, "teapot"), OutcomeUnknown),
    "403-of-something-else": (page(403, "Checking your browser"), OutcomeUnknown),
    "redirect": (page(307, "Moved", Location="http://127.0.0.1:9/"), OutcomeUnknown),
    "500": (Fault(status=500, body=b""), OutcomeUnknown),
    "502": (page(502, "Bad Gateway"), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": (Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "not-json": (page(200, "Welcome"), OutcomeUnknown),
    "empty": (Fault(status=200, body=b""), OutcomeUnknown),
    "without-id": (Fault(status=200, body=b'{"success":true}'), OutcomeUnknown),
    "odd-id": (Fault(status=200, body=b'{"id":7}'), OutcomeUnknown),
    "huge": (Fault(status=200, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": (refusal(190, message=_ECHO), Unauthorized),
    "echoes-in-success": (Fault(status=200, body=_ECHO.encode()), OutcomeUnknown),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeInstagram() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        server.web |= {URL: drawn(), LOGO: drawn()}
        yield Bench(
            make=lambda: adapter(server, client, default_picture=LOGO),
            post=dataclasses.replace(
                POST, picture=picture(folder), created_at=server.clock(), published=server.clock()
            ),
            sent=lambda: [call.body for call in server.sends],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=seen(server).caption, pinged=seen(server).mentions),
            secrets=(server.token,),
            network=Network(
                unplug=server.stop,
                silence=lambda: server.script("publish", Fault(then=Then.SILENCE)),
                fail=lambda name: server.script("publish", FAILURES[name][0]),
                answer=lambda fault: server.script("publish", fault),
            ),
        )


CONTRACT = Contract(bench=bench, failures={name: error for name, (_, error) in FAILURES.items()}, needs_stage=True)


# --- settings and login ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param({"user_id": "@kaltim.news"}, "user_id", id="a name"),
        pytest.param({"user_id": True}, "user_id", id="no number"),
        pytest.param({"version": "26"}, "version", id="version"),
        pytest.param({"default_picture": "logo.jpg"}, "default_picture", id="picture without an address"),
        pytest.param({"public_folder": "x"}, "`public_folder` and `public_url` together", id="folder alone"),
        pytest.param({"public_url": "https://x.example"}, "`public_folder` and `public_url` together", id="url alone"),
    ],
)
def test_settings_that_cannot_work_are_refused(server: FakeInstagram, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings_of(server, **wrong)


def test_an_accounts_number_may_be_written_without_quotes(server: FakeInstagram) -> None:
    assert settings_of(server, user_id=17841400000000000).user_id == "17841400000000000"


def test_limits_are_known_before_anybody_has_answered_what_the_account_needs(client: net.Client) -> None:
    platform = Instagram(Instagram.Settings.model_construct(), Http(client))
    assert platform.limits is Instagram.limits


def test_whoami_names_the_account(instagram: Instagram, server: FakeInstagram) -> None:
    assert instagram.whoami() == Identity(
        id=server.user, name="@kaltim.news", url="https://www.instagram.com/kaltim.news/"
    )


def test_another_accounts_number_is_told_before_anything_is_posted(server: FakeInstagram, client: net.Client) -> None:
    with pytest.raises(Unauthorized, match="is `user_id` the number of the token's own account"):
        adapter(server, client, user_id="7").whoami()


@pytest.mark.parametrize("token", [None, "", "two words"])
def test_without_a_usable_token_nothing_is_asked_and_the_words_say_what_to_do(
    server: FakeInstagram, client: net.Client, post: Post, token: str | None
) -> None:
    platform = adapter(server, client, access_token=token)
    stage = Stage(data={"container": "1"})
    for call in (
        platform.whoami,
        lambda: platform.stage(post, Stage()),
        lambda: platform.publish(post, stage, key=KEY),
    ):
        with pytest.raises(Unauthorized, match=r"`autopublish platforms instagram`|copy it again"):
            call()
    assert server.calls == []


def test_a_check_says_whether_the_token_may_publish(instagram: Instagram, server: FakeInstagram) -> None:
    assert instagram.permissions() == ()
    server.may_publish = False
    (lack,) = instagram.permissions()
    assert lack.startswith("the right to publish (")
    server.script("limit", Fault(status=502))
    with pytest.raises(OutcomeUnknown):
        instagram.permissions()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(190, 463), Unauthorized, id="expired"),
        pytest.param(refusal(80002), RateLimited, id="limited"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="html"),
        pytest.param(Fault(status=200, body=b'{"username":"../x"}'), OutcomeUnknown, id="an odd name"),
        pytest.param(page(302, "Found", Location="https://elsewhere.example/"), OutcomeUnknown, id="redirect"),
    ],
)
def test_only_refusals_of_the_apis_own_block_the_account(
    instagram: Instagram, server: FakeInstagram, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("whoami", fault)
    with pytest.raises(error):
        instagram.whoami()


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alt", ["A bridge “Mahakam”", ""])
def test_a_post_has_the_sites_own_picture_with_its_alt_text(
    instagram: Instagram, server: FakeInstagram, tmp_path: Path, alt: str
) -> None:
    receipt = published(instagram, dataclasses.replace(POST, picture=picture(tmp_path, alt=alt)))
    one = seen(server)
    assert (one.caption, one.picture, one.alt, one.hashtags) == (TEXT, URL, alt, ("Kaltim", "IKN"))
    assert receipt == Receipt(remote_id=one.id, url=f"https://www.instagram.com/p/C{one.id[-3:]}/")


def test_a_post_whose_page_cannot_be_read_is_posted_all_the_same(
    instagram: Instagram, server: FakeInstagram, post: Post
) -> None:
    server.script("permalink", Fault(status=502))
    assert published(instagram, post) == Receipt(remote_id=seen(server).id)


def with_folder(server: FakeInstagram, client: net.Client, folder: Path) -> Instagram:
    """An adapter with a folder that a web server shows."""
    base = "https://cdn.example/ig/"

    def fetch(url: str) -> bytes | None:
        file = folder / url.removeprefix(base)
        return file.read_bytes() if url.startswith(base) and file.is_file() else server.web.get(url)

    server.fetch = fetch
    return adapter(server, client, public_folder=folder, public_url=base)


@pytest.mark.parametrize("url", [None, URL])
def test_a_picture_is_put_where_instagram_can_fetch_it(
    server: FakeInstagram, client: net.Client, tmp_path: Path, url: str | None
) -> None:
    folder = tmp_path / "www" / "ig"
    post = dataclasses.replace(POST, picture=picture(tmp_path, url=url))
    assert post.picture is not None
    for _ in range(2):
        published(with_folder(server, client, folder), post)
    (file,) = folder.iterdir()
    assert file.name == f"{post.picture.sha256}.jpg"
    assert file.read_bytes() == Path(post.picture.path).read_bytes()
    assert file.stat().st_mode & 0o777 == 0o644
    assert {one.picture for one in server.visible()} == {f"https://cdn.example/ig/{file.name}"}


def test_a_folder_that_cannot_be_written_costs_the_picture_and_says_why(
    server: FakeInstagram, client: net.Client, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    platform = with_folder(server, client, tmp_path / "file" / "ig")
    with pytest.raises(MediaRejected, match="`public_folder`: Not a directory"):
        platform.stage(dataclasses.replace(POST, picture=picture(tmp_path)), Stage())


def test_nothing_half_written_stays_where_the_disk_refuses(
    server: FakeInstagram, client: net.Client, tmp_path: Path, post: Post
) -> None:
    folder = tmp_path / "www"
    assert post.picture is not None
    (folder / f"{post.picture.sha256}.jpg").mkdir(parents=True)
    (folder / f"{post.picture.sha256}.jpg").rmdir()
    Path(post.picture.path).unlink()
    with pytest.raises(MediaRejected, match="No such file"):
        with_folder(server, client, folder).stage(post, Stage())
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("size", "is_taken"),
    [
        pytest.param((400, 500), True, id="4 to 5"),
        pytest.param((399, 500), False, id="too high"),
        pytest.param((191, 100), True, id="1.91 to 1"),
        pytest.param((192, 100), False, id="too wide"),
    ],
)
def test_a_picture_of_a_shape_that_instagram_refuses_is_not_offered(
    instagram: Instagram, server: FakeInstagram, tmp_path: Path, size: tuple[int, int], is_taken: bool
) -> None:
    server.web[URL] = drawn(size)
    post = dataclasses.replace(POST, picture=picture(tmp_path, size=size))
    if is_taken:
        assert published(instagram, post).remote_id
        return
    with pytest.raises(MediaRejected, match=r"shape is \d\.\d\d:1"):
        instagram.stage(post, Stage())
    assert server.calls == []


@pytest.mark.parametrize("size", [(300, 500), (400, 150), (100, 1000), (1000, 101)], ids=str)
def test_a_picture_of_another_shape_is_put_on_white_where_there_is_a_folder(
    server: FakeInstagram, client: net.Client, tmp_path: Path, size: tuple[int, int]
) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path, size=size))
    published(with_folder(server, client, tmp_path / "www"), post)
    (file,) = (tmp_path / "www").iterdir()
    with Image.open(file) as shown:
        corner, middle = shown.getpixel((0, 0)), shown.getpixel((shown.width // 2, shown.height // 2))
        assert min(shown.width - size[0], shown.height - size[1]) == 0
    assert isinstance(corner, tuple)
    assert isinstance(middle, tuple)
    assert min(corner) > 200
    assert middle[0] < 20
    assert seen(server).picture.endswith("-framed.jpg")


def test_a_picture_that_stands_nowhere_as_a_jpeg_is_not_offered(
    instagram: Instagram, server: FakeInstagram, tmp_path: Path
) -> None:
    with pytest.raises(MediaRejected, match="public_folder"):
        instagram.stage(dataclasses.replace(POST, picture=picture(tmp_path, url=None)), Stage())
    assert server.calls == []


def test_an_article_without_a_picture_gets_the_accounts_own_or_is_refused(
    server: FakeInstagram, client: net.Client
) -> None:
    published(adapter(server, client, default_picture=LOGO), POST)
    assert (seen(server).picture, seen(server).alt) == (LOGO, "")
    with pytest.raises(Rejected, match="`default_picture`"):
        adapter(server, client).stage(POST, Stage())


def test_an_accounts_own_picture_that_is_not_taken_is_told_as_such(server: FakeInstagram, client: net.Client) -> None:
    del server.web[LOGO]
    with pytest.raises(Rejected, match="`default_picture` is not taken: "):
        adapter(server, client, default_picture=LOGO).stage(POST, Stage())


# --- preparing -------------------------------------------------------------------------------------------------------


def stored(stage: object) -> Stage:
    """What a later run reads back."""
    assert isinstance(stage, Stage)
    return Stage(data=json.loads(json.dumps(dict(stage.data))))


def test_a_container_in_work_is_waited_for_and_made_once(
    instagram: Instagram, server: FakeInstagram, post: Post
) -> None:
    server.processing = 2
    with pytest.raises(NotReady) as first:
        instagram.stage(post, Stage())
    with pytest.raises(NotReady) as second:
        instagram.stage(post, stored(first.value.stage))
    instagram.publish(post, instagram.stage(post, stored(second.value.stage)), key=KEY)
    assert (len(server.called("create")), len(server.visible())) == (1, 1)
    assert first.value.wait == timedelta(seconds=10)


@pytest.mark.parametrize(
    "change", [{"text": "Lain"}, {"picture": None}, {"spans": ()}], ids=["caption", "picture", "nothing"]
)
def test_a_container_of_another_post_is_not_used(
    server: FakeInstagram, client: net.Client, post: Post, change: dict[str, Any]
) -> None:
    platform = adapter(server, client, default_picture=LOGO)
    stage = platform.stage(post, Stage())
    other = dataclasses.replace(post, **change)
    platform.publish(other, platform.stage(other, stored(stage)), key=KEY)
    assert seen(server).caption == other.text
    assert len(server.called("create")) == (1 if other == post else 2)


@pytest.mark.fault("D19")
def test_d19_a_container_that_expired_is_made_anew(instagram: Instagram, server: FakeInstagram, post: Post) -> None:
    stage = instagram.stage(post, Stage())
    server.clock = lambda: CREATED + timedelta(hours=25)
    instagram.publish(post, instagram.stage(post, stored(stage)), key=KEY)
    assert (len(server.called("create")), len(server.visible())) == (2, 1)


@pytest.mark.fault("D19")
@pytest.mark.parametrize("code", ["2207001", "2207052"], ids=["trouble", "not fetched"])
def test_d19_a_container_that_comes_to_nothing_is_made_three_times_at_most(
    instagram: Instagram, server: FakeInstagram, post: Post, code: str
) -> None:
    server.processing, server.failure = None, f"Error: Media upload has failed with error code {code}"
    stage = Stage()
    for _ in range(3):
        with pytest.raises(NotReady) as raised:
            instagram.stage(post, stage)
        stage = stored(raised.value.stage)
    with pytest.raises(MediaRejected, match=code):
        instagram.stage(post, stage)
    assert len(server.called("create")) == 3


def test_a_container_whose_picture_is_refused_for_good_is_not_made_again(
    instagram: Instagram, server: FakeInstagram, post: Post
) -> None:
    server.processing, server.failure = None, "Error: Media upload has failed with error code 2207009"
    with pytest.raises(NotReady) as raised:
        instagram.stage(post, Stage())
    with pytest.raises(MediaRejected, match="2207009"):
        instagram.stage(post, stored(raised.value.stage))
    assert len(server.called("create")) == 1


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(refusal(100, 33), id="not seen"),
        pytest.param(refusal(24, 2207006), id="not there yet"),
        pytest.param(Fault(status=502), id="trouble"),
        pytest.param(Fault(status=200, body=b'{"status_code":"NEW_WORD"}'), id="a new word"),
        pytest.param(Fault(status=200, body=b"{}"), id="no word"),
    ],
)
def test_a_new_container_that_is_not_shown_yet_is_kept(
    instagram: Instagram, server: FakeInstagram, post: Post, fault: Fault
) -> None:
    server.script("poll", fault)
    with pytest.raises(NotReady) as raised:
        instagram.stage(post, Stage())
    instagram.stage(post, stored(raised.value.stage))
    assert len(server.called("create")) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(9004, 2207052), MediaRejected, id="not fetched"),
        pytest.param(refusal(36003, 2207009), MediaRejected, id="shape"),
        pytest.param(refusal(100, 2207010), Rejected, id="caption"),
        pytest.param(refusal(-1, 2207001), OutcomeUnknown, id="trouble"),
        pytest.param(refusal(-2, 2207020), OutcomeUnknown, id="expired"),
        pytest.param(refusal(4, 2207051), RateLimited, id="blocked"),
        pytest.param(refusal(190), Unauthorized, id="token"),
        pytest.param(Fault(status=200, body=b"{}"), OutcomeUnknown, id="no number"),
    ],
)
def test_a_refused_container_has_its_error(
    instagram: Instagram, server: FakeInstagram, post: Post, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("create", fault)
    with pytest.raises(error):
        instagram.stage(post, Stage())
    assert server.sends == []


@pytest.mark.fault("D13")
def test_d13_an_account_that_has_made_its_posts_of_the_day_waits(
    instagram: Instagram, server: FakeInstagram, post: Post
) -> None:
    server.quota = 1
    published(instagram, post)
    with pytest.raises(RateLimited) as raised:
        instagram.stage(dataclasses.replace(post, text="Dua"), Stage())
    assert raised.value.wait == timedelta(hours=1)
    assert len(server.called("create")) == 1


@pytest.mark.parametrize(
    "body", [b"{}", b'{"data":[]}', b'{"data":[7]}', b'{"data":[{"quota_usage":"x","config":{"quota_total":1}}]}']
)
def test_an_account_whose_quota_is_not_told_posts_all_the_same(
    instagram: Instagram, server: FakeInstagram, post: Post, body: bytes
) -> None:
    server.script("limit", Fault(status=200, body=body))
    assert published(instagram, post).remote_id


# --- captions --------------------------------------------------------------------------------------------------------


def composed(platform: Instagram, template: str, picture: Picture | None = None, **words: Any) -> Post:
    rules = HashtagRules(most=9)
    account = Account(name="i", platform="instagram", template=template, hashtags=rules)
    article = Article(
        id="a", feed="f", origin="o", link=LINK, published=PUBLISHED, first_seen=PUBLISHED, **{"title": "T", **words}
    )
    return compose(article, account, platform.limits, picture=picture, now=CREATED)


@pytest.mark.parametrize(
    ("template", "caption"),
    [
        pytest.param("{{ title }}\n{{ hashtags }}", "T\n#A1 #B2 #C3 #D4 #E5", id="at the end"),
        pytest.param("{{ hashtags }} {{ title }}", "#A1 #B2 #C3 #D4 #E5 T", id="in front"),
    ],
)
def test_of_more_hashtags_than_instagram_takes_the_first_five_stay(
    server: FakeInstagram, client: net.Client, template: str, caption: str
) -> None:
    platform = adapter(server, client, default_picture=LOGO)
    post = composed(platform, template, categories=("A1", "B2", "C3", "D4", "E5", "F6", "G7"))
    receipt = published(platform, post)
    assert (seen(server).caption, caption_of(post)) == (caption, caption)
    assert platform.find(post, Stage(), key=KEY, since=SINCE) == receipt


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeInstagram, net.Client]]:
    """One server for many examples."""
    with FakeInstagram() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        server.web[LOGO] = drawn()
        server.quota = 10_000
        yield server, client


@settings(deadline=None, max_examples=25)
@given(word=st.text(st.sampled_from("aé漢👍🏽👨‍👩‍👧‍👦🇮🇩@#"), max_size=9))
def test_a_caption_that_fills_all_the_room_is_taken_however_it_is_counted(
    shared: tuple[FakeInstagram, net.Client], word: str
) -> None:
    server, client = shared
    platform = adapter(server, client, default_picture=LOGO)
    post = composed(platform, "{{ text }}", text=f"a{word}z " * 1_000)
    assert post.length == utf16_units(post.text)
    assert 2_200 - 100 < post.length <= 2_200
    published(platform, post)
    assert server.visible()[0].caption == post.text


#: Whatever may stand in a title, signs that mean something to Instagram more often than elsewhere.
_TITLES = st.text(
    st.one_of(st.sampled_from("@#＠＃_1Ab·.(<>&*`漢👍🏽é"), st.characters(codec="utf-8")), min_size=1, max_size=80
)


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@settings(deadline=None, max_examples=80)
@given(title=_TITLES.filter(lambda title: bool(clean(title))))
def test_h05_h06_any_title_is_read_as_it_is_written_and_calls_nobody(
    shared: tuple[FakeInstagram, net.Client], title: str
) -> None:
    server, client = shared
    platform = adapter(server, client, default_picture=LOGO)
    post = composed(platform, "{{ title }}{{ title }} #Kaltim", title=title)
    published(platform, post)
    found = server.visible()[0]
    assert (found.caption, found.mentions, found.hashtags) == (post.text, (), ("Kaltim",))


TITLES = [
    "@gubernur: kata @walikota dan (@ibu_kota) ＠wakil",
    "#banjir di #Samarinda, #2026 dan nomor 5#",
    "*tebal* _miring_ `kode` [x](https://a.example) <b>&amp;</b>",
    "Surat ke warga@news.example: 5/6 @ $100",
]


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize("title", TITLES)
def test_h05_h06_a_title_looks_as_its_site_has_it(server: FakeInstagram, client: net.Client, title: str) -> None:
    platform = adapter(server, client, default_picture=LOGO)
    published(platform, composed(platform, "{{ title }}\n\nTautan di bio", title=title))
    one = seen(server)
    assert one.caption.partition("\n")[0].replace("\u2060", "") == title
    assert (one.mentions, one.hashtags) == ((), ())


# --- publishing ------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D07")
@pytest.mark.fault("D09")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(None, id="refused as not available"),
        pytest.param(refusal(4, 2207051), id="action blocked"),
        pytest.param(refusal(100), id="invalid"),
        pytest.param(refusal(2, status=500), id="trouble"),
        pytest.param(Fault(status=200, body=b"{}"), id="no id"),
    ],
)
def test_d07_d09_a_container_that_was_published_gives_its_receipt_whatever_the_answer(
    instagram: Instagram, server: FakeInstagram, post: Post, fault: Fault | None
) -> None:
    stage = instagram.stage(post, Stage())
    first = instagram.publish(post, stage, key=KEY)
    server.script("publish", fault)
    assert instagram.publish(post, stage, key=KEY) == first
    assert len(server.visible()) == 1


@pytest.mark.fault("D09")
def test_d09_an_action_that_is_said_to_be_blocked_and_is_not_known_stays_unknown(
    instagram: Instagram, server: FakeInstagram, post: Post
) -> None:
    stage = instagram.stage(post, Stage())
    server.script("publish", refusal(4, 2207051))
    server.script("poll", Fault(status=502))
    with pytest.raises(OutcomeUnknown, match="2207051"):
        instagram.publish(post, stage, key=KEY)


def test_a_published_container_whose_post_cannot_be_told_gives_its_own_number(
    instagram: Instagram, server: FakeInstagram, post: Post
) -> None:
    stage = instagram.stage(post, Stage())
    instagram.publish(post, stage, key=KEY)
    container = stage.data["container"]
    server.script("find", Fault(status=502))
    assert instagram.find(post, stage, key=KEY, since=SINCE) == Receipt(remote_id=container)
    edited = dataclasses.replace(post, text="An editor changed it in the app", link=None)
    assert instagram.find(edited, stage, key=KEY, since=SINCE) == Receipt(remote_id=container)


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        pytest.param("EXPIRED", StageExpired, "has expired; .*9007", id="expired"),
        pytest.param("ERROR", MediaRejected, "9007", id="error"),
        pytest.param("IN_PROGRESS", OutcomeUnknown, "9007", id="in work"),
        pytest.param("FINISHED", OutcomeUnknown, "9007", id="contradicts itself"),
    ],
)
def test_what_the_container_says_tells_refusals_apart(
    instagram: Instagram, server: FakeInstagram, post: Post, code: str, error: type[DeliveryError], words: str
) -> None:
    stage = instagram.stage(post, Stage())
    server.script("publish", refusal(9007, 2207027))
    server.script("poll", Fault(status=200, body=json.dumps({"status_code": code}).encode()))
    with pytest.raises(error, match=words):
        instagram.publish(post, stage, key=KEY)


def test_nothing_is_sent_of_what_was_not_prepared(instagram: Instagram, server: FakeInstagram, post: Post) -> None:
    with pytest.raises(Rejected, match="nothing was prepared"):
        instagram.publish(post, Stage(), key=KEY)
    assert server.calls == []


@pytest.mark.fault("H12")
def test_h12_a_redirect_of_a_post_is_not_followed_and_the_token_stays_here(
    instagram: Instagram, server: FakeInstagram, post: Post
) -> None:
    with FakeInstagram() as elsewhere:
        location = f"{elsewhere.url}/v26.0/{server.user}/media_publish"
        server.script("publish", page(307, "Moved", Location=location))
        with pytest.raises(OutcomeUnknown):
            published(instagram, post)
        assert elsewhere.calls == []


def test_an_account_behind_a_facebook_page_may_sign_its_requests(
    server: FakeInstagram, client: net.Client, post: Post
) -> None:
    published(adapter(server, client, app_secret="0canary1secret"), post)
    proofs = {call.params.get("appsecret_proof") for call in server.calls}
    assert len(proofs) == 1
    assert None not in proofs
    assert not [call for call in server.calls if server.token in f"{call.path}{call.params}"]


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("caption", "is_it"),
    [
        pytest.param(TEXT, True, id="the caption"),
        pytest.param(TEXT.replace("\n\n", "\n"), True, id="with other line breaks"),
        pytest.param(f"Baca ({LINK}?utm_source=x).", True, id="the link"),
        pytest.param("Jembatan", False, id="another caption"),
        pytest.param(f"{LINK}lain/", False, id="another link"),
        pytest.param("", False, id="none"),
    ],
)
def test_a_post_is_known_by_caption_or_link(
    instagram: Instagram, server: FakeInstagram, caption: str, is_it: bool
) -> None:
    one = server.post_by_hand(caption)
    found = instagram.find(POST, Stage(), key=None, since=SINCE)
    assert (found and found.remote_id) == (one.id if is_it else None)


def test_older_posts_end_the_look(instagram: Instagram, server: FakeInstagram) -> None:
    server.clock = lambda: SINCE - timedelta(seconds=1)
    for _ in range(30):
        server.post_by_hand(TEXT)
    server.page_size = 10
    assert instagram.find(POST, Stage(), key=None, since=SINCE) is None
    assert len(server.called("find")) == 1


def test_a_long_list_is_read_as_far_as_needed(instagram: Instagram, server: FakeInstagram) -> None:
    wanted = server.post_by_hand(TEXT)
    for number in range(45):
        server.post_by_hand(f"Lain {number}")
    server.page_size = 20
    found = instagram.find(POST, Stage(), key=None, since=SINCE)
    assert (found and found.remote_id, len(server.called("find"))) == (wanted.id, 3)
    server.page_size = 1
    with pytest.raises(Undecided, match="more than 1000 posts"):
        instagram.find(POST, Stage(), key=None, since=SINCE)


@pytest.mark.parametrize("body", [b'{"data":[{"caption":"x"}]}', b'{"data":[7]}', b'{"data":{}}', b"<html>"])
def test_a_list_that_cannot_be_read_proves_nothing(instagram: Instagram, server: FakeInstagram, body: bytes) -> None:
    server.script("find", Fault(status=200, body=body))
    with pytest.raises(OutcomeUnknown):
        instagram.find(POST, Stage(), key=None, since=SINCE)


def test_a_container_that_is_ready_was_not_published_even_if_a_post_looks_like_it(
    instagram: Instagram, server: FakeInstagram, post: Post
) -> None:
    stage = instagram.stage(post, Stage())
    server.post_by_hand(TEXT)
    assert instagram.find(post, stage, key=KEY, since=SINCE) is None
    server.clock = lambda: CREATED + timedelta(hours=25)
    assert instagram.find(post, stage, key=KEY, since=SINCE) is None


@pytest.mark.parametrize("fault", [refusal(100, 33), Fault(status=200, body=b'{"status_code":"IN_PROGRESS"}')])
def test_a_container_that_does_not_tell_leaves_it_to_the_list(
    instagram: Instagram, server: FakeInstagram, post: Post, fault: Fault
) -> None:
    stage = instagram.stage(post, Stage())
    server.script("poll", fault, fault)
    with pytest.raises(Undecided):
        instagram.find(post, stage, key=KEY, since=SINCE)
    receipt = instagram.publish(post, stage, key=KEY)
    assert instagram.find(post, stage, key=KEY, since=SINCE) == receipt


# --- on the line -----------------------------------------------------------------------------------------------------


def instagram_line(world: World, server: FakeInstagram, **values: Any) -> Line:
    server.clock = world.clock
    folder = world.folder / "www"
    base = "https://cdn.example/ig/"

    def fetch(url: str) -> bytes | None:
        file = folder / url.removeprefix(base)
        return file.read_bytes() if url.startswith(base) and file.is_file() else server.web.get(url)

    server.fetch = fetch
    given_values = {"public_folder": folder, "public_url": base, **values}
    return open_line(
        world,
        "instagram",
        lambda http: Instagram(settings_of(server, **given_values), patient(http)),
        # The template of these tests has the link in it.
        texts=lambda: [one.caption for one in server.visible()],
        sends=lambda: len(server.sends),
        post_by_hand=server.post_by_hand,
        fail_look=lambda: server.script("find", Fault(status=502)),
    )


def test_articles_are_posted_once_with_their_pictures(unjudged_world: World, server: FakeInstagram) -> None:
    line = instagram_line(unjudged_world, server, default_picture=LOGO)
    line.show("one", picture=file_picture(line.world))
    line.show("two")
    line.world.until_quiet()
    line.world.run()
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.POSTED, State.POSTED, 2)
    pictures = {
        line.world.article(name).link: one.picture
        for one in server.visible()
        for name in ("one", "two")
        if f"/{name}/" in one.caption
    }
    assert pictures["https://news.example/two/"] == LOGO
    assert pictures["https://news.example/one/"].startswith("https://cdn.example/ig/")


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-reset": Fault(then=Then.RESET, made=Made.AT_ONCE),
    "made-then-cut": Fault(then=Then.CUT, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-without-id": Fault(status=200, body=b"{}", made=Made.AT_ONCE),
    "made-then-blocked": dataclasses.replace(refusal(4, 2207051), made=Made.AT_ONCE),
    "made-then-unlisted": dataclasses.replace(refusal(9999), made=Made.AT_ONCE),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-502": Fault(status=502),
    "never-made-blocked": refusal(4, 2207051),
    "never-made-not-available": refusal(9007, 2207027),
    "never-made-reset": Fault(then=Then.RESET_READING),
}


@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d05_d06_d09_a_lost_answer_ends_with_one_post(
    unjudged_world: World, server: FakeInstagram, fault: Fault
) -> None:
    line = instagram_line(unjudged_world, server)
    server.script("publish", fault)
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet()
    line.world.clock.move(hours=2)
    line.world.run()
    row = line.row("one")
    assert (row.state, line.seen("one")) == (State.POSTED, 1)
    assert row.receipt is not None
    assert row.receipt.remote_id == seen(server).id
    came = 0 if fault.then is Then.RESET_READING else 1
    assert line.sends() == came + (1 if fault.made is Made.NEVER else 0)
    assert len({call.body for call in server.sends}) == 1
    assert len(server.called("create")) == 1


@pytest.mark.fault("D08")
@pytest.mark.fault("D19")
def test_d08_d19_what_could_not_be_sent_for_a_day_is_prepared_anew_and_is_one_post(
    unjudged_world: World, server: FakeInstagram
) -> None:
    from autopublish.deliveries import approve

    line = instagram_line(unjudged_world, server)
    server.script("publish", Fault(status=502))
    line.show("one", picture=file_picture(line.world))
    line.world.run()
    assert line.row("one").state is State.VERIFYING
    line.world.clock.move(hours=25)
    line.world.until_quiet()
    # Nothing was posted in a day, which is too late by `max_age`.
    assert (line.row("one").state, line.row("one").reason, line.seen("one")) == (State.HELD, "stale", 0)
    line.world.decide("one", "instagram", lambda row: approve(row, "editor", line.world.clock()))
    line.world.until_quiet()
    assert (line.row("one").state, line.row("one").generation, line.seen("one")) == (State.POSTED, 1, 1)


@pytest.mark.fault("D11")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d11_a_run_that_was_killed_in_its_call_leaves_one_post(desk: Desk, server: FakeInstagram, made: Made) -> None:
    desk.configure(
        f"  ig:\n    platform: instagram\n    server: {server.url}\n    user_id: {server.user}\n"
        f"    access_token: env:IG_TOKEN\n    default_picture: {LOGO}\n    allow_private: yes\n    settle: 0s\n"
    )
    desk.environment["IG_TOKEN"] = server.token
    server.clock = lambda: datetime.now(UTC)
    desk("run")
    desk.show("one")
    server.script("publish", Fault(then=Then.SILENCE, made=made))
    kill_in_call(desk, server)
    desk("run")
    assert (desk.row("one", "ig").state, len(server.sends)) == (State.VERIFYING, 1)
    assert len(server.visible()) == (1 if made is Made.AT_ONCE else 0)


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
def test_d14_d16_a_dead_token_blocks_the_account_and_loses_nothing(
    unjudged_world: World, server: FakeInstagram
) -> None:
    line = instagram_line(unjudged_world, server, default_picture=LOGO)
    line.show("one")
    line.world.run()
    server.is_revoked = True
    line.show("two")
    line.world.run()
    assert line.world.standing("instagram").state is AccountState.AUTH_BLOCKED
    assert line.row("two").state is State.READY
    server.is_revoked = False
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two"), line.row("two").state) == (1, 1, State.POSTED)


@pytest.mark.fault("D17")
def test_d17_articles_without_a_picture_wait_for_one_and_do_not_pause_the_account(
    unjudged_world: World, server: FakeInstagram
) -> None:
    from autopublish.alerts import of_delivery
    from autopublish.deliveries import approve
    from autopublish.models import AlertKind

    line, names = instagram_line(unjudged_world, server), [f"plain{number}" for number in range(6)]
    line.show(*names)
    line.show("pictured", picture=file_picture(line.world))
    line.world.until_quiet()
    assert {line.row(name).state for name in names} == {State.HELD}
    assert (line.row("pictured").state, line.seen("pictured")) == (State.POSTED, 1)
    assert (line.row("plain0").reason or "").startswith("picture: posts on instagram need one")
    cause = of_delivery(line.row("plain0"))
    assert cause is not None
    assert (cause.kind, cause.detail) == (AlertKind.HELD, "picture"), "people hear of all of them at once"
    line.world.decide("plain0", "instagram", lambda row: approve(row, "editor", line.world.clock()))
    line.world.until_quiet()
    assert (line.row("plain0").state, len(server.containers)) == (State.HELD, 1)


def test_an_edit_that_brings_a_picture_posts_what_waited_for_one(unjudged_world: World, server: FakeInstagram) -> None:
    line = instagram_line(unjudged_world, server)
    plain = line.world.news("one")
    line.world.show(plain)
    line.world.until_quiet()
    assert line.row("one").state is State.HELD
    line.world.clock.move(minutes=5)
    line.world.show(dataclasses.replace(plain, picture=file_picture(line.world)))
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)


@pytest.mark.fault("D19")
@pytest.mark.parametrize("processing", [3, None, 10_000], ids=["in work", "fails", "never ends"])
def test_d19_a_picture_in_work_is_waited_for_and_one_that_comes_to_nothing_is_replaced(
    unjudged_world: World, server: FakeInstagram, processing: int | None
) -> None:
    line = instagram_line(unjudged_world, server, default_picture=LOGO)
    fetch = server.fetch

    def fetched(url: str) -> bytes | None:
        # The account's own picture is always good.
        server.processing = 0 if url == LOGO else processing
        return fetch(url)

    server.fetch = fetched
    line.show("one", picture=file_picture(line.world))
    line.world.until_quiet(most=500)
    assert line.row("one").state is State.POSTED
    assert (seen(server).picture == LOGO) is (processing != 3)
    assert line.world.clock() < line.row("one").created + timedelta(hours=1)


@pytest.mark.fault("D13")
def test_d13_a_used_up_day_holds_the_account_until_it_ends(unjudged_world: World, server: FakeInstagram) -> None:
    server.quota = 1
    line = instagram_line(unjudged_world, server, default_picture=LOGO)
    line.show("one", "two")
    line.world.run()
    assert (line.sends(), line.world.standing("instagram").not_before) == (1, line.world.clock() + timedelta(hours=1))
    line.world.until_quiet(most=60)
    assert (line.sends(), line.seen("one"), line.seen("two")) == (2, 1, 1)
    first, second = sorted(one.at for one in server.visible())
    assert second - first >= timedelta(hours=24)


@pytest.mark.fault("D23")
def test_d23_what_a_person_posted_meanwhile_is_found_and_not_sent(unjudged_world: World, server: FakeInstagram) -> None:
    line = instagram_line(unjudged_world, server, default_picture=LOGO)
    line.world.change_account("instagram", delay=timedelta(hours=2))
    line.show("one", "two")
    line.world.run()
    server.post_by_hand("Baca https://news.example/one/?utm_source=x")
    line.world.clock.move(hours=2)
    line.world.run()
    assert (line.row("one").state, line.row("one").reason) == (State.POSTED, "was there already")
    assert (line.seen("one"), line.seen("two"), line.sends()) == (1, 1, 1)
