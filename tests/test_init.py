"""`init`: a newcomer's first file is asked for or given by options, is right, and takes the place of no other."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, SecretStr

from autopublish import platforms
from autopublish.config import load, resolve_secrets
from autopublish.config._schema import AccountKeys, FeedKeys, HashtagKeys, TopKeys
from autopublish.config.first import NewAccount, NewFile, local_timezone, name_of, questions, secrets_of, text_of
from autopublish.errors import SecretError
from autopublish.models import FirstRun, FirstRunRule
from tests.bench.newsroom import News, document
from tests.desk import Desk, Said
from tests.servers.feed_site import Answer, FeedSite

PATIENCE_SECONDS = 30

#: An account of each platform of this repository.
EXAMPLES = Path(__file__).parents[1] / "config" / "platforms"
PAGE = ("--platform", "page", "--set", "page.folder=out", "--set", "page.title=Kaltim News")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An empty folder, in which the command is called, but for a feed."""
    folder = tmp_path / "desk"
    folder.mkdir()
    made = Desk(folder)
    made.show("one", "two", "three")
    monkeypatch.chdir(folder)
    return made


@pytest.fixture
def site() -> Iterator[FeedSite]:
    """A site whose page names its feed."""
    with FeedSite() as one:
        page = b'<link rel="alternate" type="application/rss+xml" href="/feed/">'
        news = [News(name="first", published=datetime.now(UTC) - timedelta(minutes=5))]
        one.script("/", Answer(body=page, headers={"Content-Type": "text/html"}))
        one.script("/feed/", Answer(body=document(news)))
        yield one


def init(desk: Desk, *words: str) -> Said:
    """The command without a terminal, for the feed beside it."""
    return desk("init", "--feed", "feed.xml", *words)


def given(platform: str) -> list[str]:
    """Options that choose a platform and say all that it needs."""
    values = [("--set", f"{platform}.{key}={value}") for key, value in needs(platform).items()]
    return ["--platform", platform, *(word for pair in values for word in pair)]


def needs(platform: str) -> Mapping[str, str]:
    """What an account of the platform needs, as its example has it; of an outside platform nobody here knows."""
    example = EXAMPLES / f"{platform}.yaml"
    if not example.exists():
        return {}
    (account,) = yaml.safe_load(example.read_text())["accounts"].values()
    fields = platforms.load(platform).Settings.model_fields
    needed = (key for key, field in fields.items() if field.is_required() and field.annotation is not SecretStr)
    return {key: str(account[key]) for key in needed}


# --- what is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("platform", platforms.available())
def test_the_file_for_each_platform_is_right_and_only_secrets_are_missing(desk: Desk, platform: str) -> None:
    said = init(desk, *given(platform))
    assert said.code == 0, said.err
    config = load(desk.file)
    (account,) = config.accounts
    assert (account.name, account.platform, config.warnings) == (platform, platform, ())
    checked = desk("config", "check", "--json").json()
    names = {line.partition("=")[0] for line in _lines(desk.folder / ".env") if not line.startswith("#")}
    assert set(checked["secrets"]) == ({platform} if names else set())
    assert all(any(name in reason for name in names) for reason in checked["secrets"].values())


@pytest.mark.parametrize("platform", platforms.available())
def test_once_the_named_variables_are_set_no_secret_is_missing(
    desk: Desk, platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(desk, *given(platform))
    for line in _lines(desk.folder / ".env"):
        if not line.startswith("#"):
            monkeypatch.setenv(line.removesuffix("="), "kl4-sdf8-werk")
    assert desk("config", "check").code == 0


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_all_platforms_may_stand_in_one_file(desk: Desk) -> None:
    said = init(desk, *(word for platform in platforms.available() for word in given(platform)))
    assert said.code == 0
    assert [account.platform for account in load(desk.file).accounts] == [*platforms.available()]


def test_a_platform_chosen_twice_is_two_accounts_with_secrets_of_their_own(desk: Desk) -> None:
    own = ("--set", "bluesky.identifier=a.example", "--set", "bluesky-2.identifier=b.example")
    assert init(desk, "--platform", "bluesky", "--platform", "bluesky", *own).code == 0
    first, second = load(desk.file).accounts
    assert (first.name, second.name) == ("bluesky", "bluesky-2")
    names = [line for line in _lines(desk.folder / ".env") if not line.startswith("#")]
    assert names == ["BLUESKY_APP_PASSWORD=", "BLUESKY_2_APP_PASSWORD="]


def test_nothing_of_what_the_feed_shows_already_will_be_posted(desk: Desk) -> None:
    init(desk, *PAGE)
    (feed,) = load(desk.file).feeds
    assert feed.first_run == FirstRunRule(kind=FirstRun.NONE)
    assert desk("run").code == 0
    assert desk.pages() == set()
    desk.show("four")
    assert desk("run").code == 0
    assert desk.pages() == {"four"}


def test_every_default_that_the_file_shows_as_a_comment_is_the_default(desk: Desk) -> None:
    init(desk, *(word for platform in platforms.available() for word in given(platform)))
    before = load(desk.file)
    settings = (platforms.load(platform).Settings for platform in platforms.available())
    models: list[type[BaseModel]] = [TopKeys, FeedKeys, HashtagKeys, AccountKeys, *settings]
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()} - {"contact"}
    live, count = re.subn(rf"(?m)^( *)# ((?:{'|'.join(keys)}): )", r"\1\2", desk.file.read_text())
    desk.file.write_text(live)
    after = load(desk.file)
    assert count > 10
    assert after.feeds == before.feeds
    assert [_values(account) for account in after.accounts] == [_values(account) for account in before.accounts]


def _values(account: object) -> dict[str, object]:
    """What an account says, however it came to say it."""
    values = {name: getattr(account, name) for name in type(account).__dataclass_fields__}  # type: ignore[attr-defined] # a dataclass
    return values | {"settings": values["settings"].model_dump()}


def test_what_an_account_needs_is_explained_beside_it(desk: Desk) -> None:
    init(desk, *given("page"))
    lines = [line.strip() for line in _lines(desk.file)]
    assert lines[lines.index("folder: page") - 1] == "# Where the page is; made with the first post."


@pytest.mark.parametrize("platform", platforms.available())
def test_every_key_that_is_asked_for_is_explained_to_who_is_asked(platform: str) -> None:
    assert all(question.words for question in questions(platform))


@pytest.mark.parametrize(
    "title",
    [
        "Kaltim: \"Kini\" & 'Nanti' # 1",
        "no",
        "12:30",
        "010",
        "- a",
        "{{ x }}",
        "@news",
        "null",
        "東カリマンタン 🗞️",
        "it's",
        "%",
        "a: b",
        "!tag",
        "~",
        "*all",
        "1e5",
        "=",
    ],
)
def test_an_answer_stands_in_the_file_as_it_was_given(tmp_path: Path, title: str) -> None:
    file = tmp_path / "autopublish.yaml"
    account = NewAccount(name="page", platform="page", keys={"folder": "out", "title": title})
    answers = NewFile(timezone="UTC", url="https://news.example/feed/", accounts=(account,))
    file.write_text(text_of(answers))
    (read,) = load(file).accounts
    assert read.settings.title == title


def test_a_secret_may_be_referred_to_elsewhere_and_never_stands_in_a_file(desk: Desk) -> None:
    said = init(desk, *given("bluesky"), "--set", "bluesky.app_password=file:secrets/bluesky")
    assert said.code == 0
    assert "app_password: file:secrets/bluesky" in desk.file.read_text()
    assert not (desk.folder / ".env").exists()
    (account,) = load(desk.file).accounts
    with pytest.raises(SecretError, match="secrets/bluesky"):
        resolve_secrets(account, base=desk.folder)


def test_a_secret_itself_is_refused_unseen_and_nothing_is_written(desk: Desk) -> None:
    said = init(desk, *given("bluesky"), "--set", "bluesky.app_password=abcd-efgh-ijkl")
    assert said.code == 2
    assert "bluesky.app_password: expected a reference, never the secret itself" in said.err
    assert "abcd-efgh" not in said.err + said.out
    assert not desk.file.exists()


def test_the_files_for_secrets_hold_none_and_the_one_to_fill_in_is_for_its_owner_alone(desk: Desk) -> None:
    before = os.umask(0o000)
    try:
        init(desk, *given("bluesky"))
    finally:
        os.umask(before)
    filled, template = desk.folder / ".env", desk.folder / ".env.example"
    assert filled.stat().st_mode & 0o777 == 0o600
    assert filled.read_text() == template.read_text()
    assert [line for line in _lines(template) if not line.startswith("#")] == ["BLUESKY_APP_PASSWORD="]


def test_the_step_that_is_told_for_a_shell_sets_the_variables(desk: Desk, tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    said = init(desk, *given("bluesky"), "--output", str(folder / "own.yaml"))
    step = re.search(r"2\. (set -a; .*)", said.err)
    assert step is not None
    (folder / ".env").write_text("BLUESKY_APP_PASSWORD=abcd-efgh\n")
    shell = subprocess.run(
        ["sh", "-c", f"{step[1]}; printenv BLUESKY_APP_PASSWORD"], capture_output=True, text=True, check=True
    )
    assert shell.stdout == "abcd-efgh\n"
    assert f"autopublish check --config {shlex.quote(str(folder / 'own.yaml'))}" in said.err


# --- the feed --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["argument", "option"])
def test_the_feed_of_a_site_is_found_and_its_newest_articles_are_shown_as_posts(
    desk: Desk, site: FeedSite, spelling: str
) -> None:
    words = [site.url("/")] if spelling == "argument" else ["--site", site.url("/")]
    said = desk("init", *words, "--allow-private", *PAGE)
    assert said.code == 0, said.err
    assert "Article first" in said.out
    assert "https://news.example/first/" in said.out
    (feed,) = load(desk.file).feeds
    assert (feed.url, feed.allow_private) == (site.url("/feed/"), True)


def test_a_site_in_the_own_network_is_not_asked_unless_that_is_allowed(desk: Desk, site: FeedSite) -> None:
    said = desk("init", site.url("/"), *PAGE)
    assert (said.code, site.asked, desk.file.exists()) == (1, [], False)


def test_a_site_without_a_feed_is_told_and_nothing_is_written(desk: Desk, site: FeedSite) -> None:
    site.script("/", Answer(body=b"<p>Hello"))
    site.script("/feed/", Answer(status=404))
    said = desk("init", site.url("/"), "--allow-private", *PAGE)
    assert said.code == 1
    assert "no feed was found" in said.err
    assert not desk.file.exists()


def test_a_feed_that_is_named_and_away_just_now_is_written_all_the_same(desk: Desk, site: FeedSite) -> None:
    site.script("/feed/", Answer(status=503))
    said = desk("init", "--feed", site.url("/feed/"), "--allow-private", *PAGE)
    assert said.code == 0
    assert "cannot be read now" in said.err
    assert load(desk.file).feeds[0].url == site.url("/feed/")


def test_a_platform_that_does_not_exist_is_told_before_the_site_is_asked(desk: Desk, site: FeedSite) -> None:
    said = desk("init", site.url("/"), "--allow-private", "--platform", "mastodo")
    assert (said.code, said.out, site.asked) == (2, "", [])
    assert "did you mean mastodon?" in said.err


def test_what_is_named_as_a_feed_and_is_none_is_refused(desk: Desk, site: FeedSite) -> None:
    said = desk("init", "--feed", site.url("/"), "--allow-private", *PAGE)
    assert (said.code, desk.file.exists()) == (1, False)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://www.kaltimnews.id/feed/", "kaltimnews"),
        ("https://news.example/feed/", "news"),
        ("https://xn--bcher-kva.example/", "news"),
        ("https://127.0.0.1:8000/feed/", "news"),
        ("file:///srv/feed.xml", "news"),
        ("https://kabar_ikn.example/", "news"),
        ("https://[::1]/feed/", "news"),
    ],
)
def test_a_feed_is_called_after_its_site_where_that_makes_a_name(url: str, name: str) -> None:
    assert name_of(url) == name


# --- without a terminal ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param([], "which site?", id="no site"),
        pytest.param(["--feed", "feed.xml"], "--platform NAME, once or more: bluesky", id="no platform"),
        pytest.param(
            ["--feed", "feed.xml", "--platform", "page"], "page needs `folder` (Where the page is", id="no value"
        ),
        pytest.param(["--feed", "feed.xml", "--platform", "blusky"], "did you mean bluesky?", id="unknown platform"),
        pytest.param(
            ["--feed", "feed.xml", *PAGE, "--set", "paeg.title=A"], "paeg.title: the accounts are page", id="stranger"
        ),
        pytest.param(["--feed", "feed.xml", *PAGE, "--set", "title"], "expected ACCOUNT.KEY=VALUE", id="no account"),
        pytest.param(["--feed", "feed.xml", *PAGE, "--set", "page.a: b=c"], "ACCOUNT.KEY=VALUE", id="no key"),
        pytest.param(["--feed", "feed.xml", *PAGE, "--set", "page.a=b\nc"], "expected one line", id="two lines"),
        pytest.param(
            ["--feed", "feed.xml", *PAGE, "--set", "page.newest=many"], "accounts.page.newest: ", id="bad value"
        ),
        pytest.param(["--feed", "feed.xml", *PAGE, "--set", "page.titel=A"], 'did you mean "title"?', id="bad key"),
        pytest.param(["--feed", "feed.xml", *PAGE, "--timezone", "Asia/Makasar"], "Asia/Makassar", id="bad zone"),
        pytest.param(
            ["--feed", "https://me:secret@127.0.0.1:1/", "--allow-private", *PAGE], "a user and password", id="password"
        ),
        pytest.param(["--feed", "feed.xml", *PAGE, "--output", "no/a.yaml"], "there is no folder no", id="no folder"),
        pytest.param(["--feed", "nonsense", *PAGE], "an address begins with https://", id="bad address"),
    ],
)
@pytest.mark.parametrize("yes", [[], ["--yes"]], ids=["silent", "yes"])
def test_what_is_missing_or_wrong_is_said_and_nothing_is_written(
    desk: Desk, words: list[str], told: str, yes: list[str]
) -> None:
    said = desk("init", *words, *yes)
    assert (said.code, told in said.err) == (2, True), said.err
    assert {path.name for path in desk.folder.iterdir()} == {"feed.xml"}


@pytest.mark.parametrize("yes", [[], ["--yes"]], ids=["silent", "yes"])
def test_a_file_that_is_there_stays_as_it_is_and_is_told(desk: Desk, yes: list[str]) -> None:
    desk.file.write_text("mine\n")
    said = init(desk, *PAGE, *yes)
    assert (said.code, desk.file.read_text()) == (2, "mine\n")
    assert "is there already" in said.err


def test_files_of_secrets_that_are_there_stay_and_what_they_must_hold_is_told(desk: Desk) -> None:
    for name in (".env", ".env.example"):
        (desk.folder / name).write_text("MINE=1\n")
    said = init(desk, *given("bluesky"))
    assert said.code == 0
    assert {(desk.folder / name).read_text() for name in (".env", ".env.example")} == {"MINE=1\n"}
    assert ".env stays as it is; it must set BLUESKY_APP_PASSWORD" in said.err


# --- the time zone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "link", "file", "zone"),
    [
        pytest.param(":Asia/Makassar", "Europe/Berlin", "", "Asia/Makassar", id="variable"),
        pytest.param(None, "Europe/Berlin", "Asia/Jakarta", "Europe/Berlin", id="link"),
        pytest.param("WITA-8", "", "Asia/Jakarta\n", "Asia/Jakarta", id="file"),
        pytest.param(None, "", "", "UTC", id="nothing"),
        pytest.param("../../etc/passwd", "", "No/Where", "UTC", id="nonsense"),
    ],
)
def test_the_time_zone_is_that_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, link: str, file: str, zone: str
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    if variable is not None:
        monkeypatch.setenv("TZ", variable)
    if link:
        target = tmp_path / "zoneinfo" / link
        target.parent.mkdir(parents=True)
        target.touch()
        (tmp_path / "localtime").symlink_to(target)
    if file:
        (tmp_path / "timezone").write_text(file)
    assert local_timezone(tmp_path) == zone


def test_the_time_zone_that_is_given_counts(desk: Desk) -> None:
    init(desk, *PAGE, "--timezone", "Asia/Makassar")
    assert load(desk.file).timezone == "Asia/Makassar"


def test_an_account_whose_name_begins_with_a_digit_has_a_variable_that_a_shell_takes() -> None:
    account = NewAccount(name="1st", platform="bluesky", keys={})
    answers = NewFile(timezone="UTC", url="https://news.example/feed/", accounts=(account,))
    assert secrets_of(answers) == ("_1ST_APP_PASSWORD",)


# --- at a terminal ---------------------------------------------------------------------------------------------------


def at_terminal(desk: Desk, *words: str, answers: str) -> tuple[int, str]:
    """How the command ends for a person who types these lines, and what the terminal shows."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "autopublish", "init", *words],
        cwd=desk.folder,
        env={**desk.variables(), "TERM": "dumb", "TZ": "Asia/Makassar"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    os.write(ours, answers.encode())
    seen = bytearray()
    with suppress(OSError):  # Linux ends a terminal without readers so
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    return process.wait(PATIENCE_SECONDS), seen.decode()


def test_a_newcomer_is_asked_for_everything_and_may_correct_each_answer(desk: Desk, site: FeedSite) -> None:
    lines = [
        "nonsense",  # no site
        site.url("/"),
        "y",  # the right feed
        "facebok page",  # one is none
        "page, bluesky",
        "",  # the machine's time zone
        "out",
        "Kaltim News",
        "no handle",
        "news.example",
        "n",  # not now
    ]
    code, seen = at_terminal(desk, "--allow-private", answers="".join(f"{line}\n" for line in lines))
    assert code == 0, seen
    assert "Article first" in seen
    assert "facebok: no such platform" in seen
    assert "expected a handle like news.example" in seen
    config = load(desk.file)
    assert [account.name for account in config.accounts] == ["page", "bluesky"]
    assert (config.timezone, config.feeds[0].url) == ("Asia/Makassar", site.url("/feed/"))


def test_a_newcomer_may_have_it_checked_at_once(desk: Desk) -> None:
    code, seen = at_terminal(desk, "--feed", "feed.xml", *PAGE, answers="y\n\ny\n")
    assert code == 0, seen
    assert "account page: Kaltim News on page" in seen
    assert "first poll: 3 articles recorded as known, none posted" in seen


def test_a_feed_that_is_not_meant_is_asked_for_again(desk: Desk, site: FeedSite) -> None:
    answers = f"n\n{site.url('/')}\ny\n\nn\n"
    code, seen = at_terminal(desk, "--allow-private", "--feed", "feed.xml", *PAGE, answers=answers)
    assert code == 0, seen
    assert load(desk.file).feeds[0].url == site.url("/feed/")


def test_a_feed_that_cannot_be_read_is_asked_for_again(desk: Desk) -> None:
    answers = f"{(desk.folder / 'no.xml').as_uri()}\nfeed.xml\ny\n\nn\n"
    code, seen = at_terminal(desk, *PAGE, answers=answers)
    assert code == 0, seen
    assert "no feed can be read: " in seen
    assert load(desk.file).feeds[0].url == (desk.folder / "feed.xml").as_uri()


@pytest.mark.fault("S01")
@pytest.mark.parametrize("before", [None, "mine\n"], ids=["new", "in place of another"])
def test_s01_a_full_disk_leaves_no_half_file(desk: Desk, before: str | None) -> None:
    if before is not None:
        desk.file.write_text(before)
    command = f"ulimit -f 1; exec {sys.executable} -m autopublish init --feed feed.xml {shlex.join(PAGE)}"
    ours, theirs = os.openpty()
    with closing(os.fdopen(ours, "wb")) as keyboard:
        keyboard.write(b"y\ny\n\nn\n"[(0 if before else 2) :])
        keyboard.flush()
        ran = subprocess.run(
            ["sh", "-c", command],
            cwd=desk.folder,
            env={**desk.variables(), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=theirs,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    os.close(theirs)
    assert (ran.returncode, b"this machine refused" in ran.stderr) == (1, True), ran.stderr
    assert (desk.file.read_text() if desk.file.exists() else None) == before
    assert [path.name for path in desk.folder.iterdir() if path.name.endswith(".part")] == []


@pytest.mark.parametrize(("answer", "replaced"), [("n", False), ("", False), ("y", True)])
def test_a_file_that_is_there_is_replaced_only_if_the_person_says_so(desk: Desk, answer: str, replaced: bool) -> None:
    desk.file.write_text("mine\n")
    code, _ = at_terminal(desk, "--feed", "feed.xml", *PAGE, answers=f"{answer}\ny\n\nn\n")
    assert (code, desk.file.read_text() != "mine\n") == ((0, True) if replaced else (2, False))


def test_what_an_option_says_wrongly_is_told_before_more_is_asked(desk: Desk) -> None:
    words = ("--feed", "feed.xml", "--platform", "page", "--set", "page.newest=many")
    code, seen = at_terminal(desk, *words, answers="y\n\n")
    assert (code, "accounts.page.newest: " in seen, desk.file.exists()) == (2, True, False)


def test_with_yes_nobody_is_asked_at_a_terminal_either(desk: Desk) -> None:
    code, seen = at_terminal(desk, "--feed", "feed.xml", "--yes", *PAGE, answers="")
    assert (code, desk.file.exists(), "?" in seen.partition("Next:")[2]) == (0, True, False)
