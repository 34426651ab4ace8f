"""Pictures: what is fetched, what is refused before it can hurt, and what a network is given."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import random
import re
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import pytest
from PIL import Image, ImageCms, ImageDraw, features

from autopublish import media
from autopublish.errors import MediaError
from autopublish.media import Pictures
from autopublish.models import Article, Media, MediaLimits, Picture
from autopublish.net import Client
from tests.servers import wire as wires
from tests.servers.wire import Peer, Wire, always, routes

LONG_AGO = datetime(2026, 8, 1, tzinfo=UTC)
WIDE = MediaLimits(types=("image/jpeg", "image/png", "image/gif", "image/webp"), size_bytes=10_000_000, side=10_000)
NAME = re.compile(r"(?:notes|fits)/[0-9a-f]{64}\.json|files/[0-9a-f]{64}\.(?:jpg|png|gif|webp)")

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow was built without AVIF")


# --- pictures to work with -------------------------------------------------------------------------------------------


def drawing(width: int = 300, height: int = 200, mode: str = "RGB") -> Image.Image:
    """Something with edges and colours, the upper left quarter red."""
    image = Image.new("RGB", (width, height), "navy")
    draw = ImageDraw.Draw(image)
    draw.ellipse((width // 3, height // 3, width - 5, height - 5), fill="gold")
    draw.rectangle((0, 0, width // 2 - 1, height // 2 - 1), fill="red")
    return image.convert(mode)


def noise(width: int, height: int) -> Image.Image:
    """What no encoder makes small."""
    return Image.frombytes("RGB", (width, height), random.Random(7).randbytes(width * height * 3))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def oriented(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def frames(form: str) -> bytes:
    more = [drawing().transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    return encoded(drawing(), form, save_all=True, append_images=more)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_zeros(width: int, height: int) -> bytes:
    """A PNG in RGB that is all black, made without ever holding it."""
    packer = zlib.compressobj(1)
    row = bytes(1 + width * 3)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")


def many_scans(count: int) -> bytes:
    """A progressive JPEG whose last pass over the pixels comes `count` times again."""
    content = encoded(drawing(), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xc4") : -2]
    return content[:-2] + last * count + b"\xff\xd9"


def shown(picture: Picture) -> Image.Image:
    """What a reader sees of it, decoded anew."""
    with Image.open(picture.path) as image:
        return image.convert("RGB")


def is_about(pixel: object, colour: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(got - wanted) < 40 for got, wanted in zip(pixel, colour, strict=True))


JPEG = encoded(drawing(), "JPEG")
PNG = encoded(drawing(), "PNG")
RED, NAVY, WHITE = (255, 0, 0), (0, 0, 128), (255, 255, 255)


# --- the bench -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store.d" / "pictures"


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(user_agent="autopublish-test/1")
    yield client
    client.close()


@pytest.fixture
def pictures(folder: Path, client: Client) -> Pictures:
    return Pictures(folder, client)


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer on a connection that ends with it, so that no server waits for more."""
    return wires.answer(status, body, {"Connection": "close", **(headers or {})})


def article(*urls: str, name: str = "a1", alt: str | None = None) -> Article:
    return Article(
        id=name,
        feed="f",
        origin="o",
        link="https://news.example/a",
        title="T",
        published=LONG_AGO,
        first_seen=LONG_AGO,
        pictures=tuple(Media(url=url, alt=alt) for url in urls),
    )


def local(content: bytes, folder: Path, name: str = "given") -> str:
    """The `file:` URL of a new file with this content."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path.as_uri()


@pytest.fixture
def take(pictures: Pictures, tmp_path: Path) -> Callable[[bytes], Picture]:
    """The picture of an article that shows these bytes."""

    def take(content: bytes) -> Picture:
        url = local(content, tmp_path / "site", hashlib.sha256(content).hexdigest())
        picture = pictures.of(article(url, name=url), within=tmp_path / "site")
        assert picture is not None, pictures.reasons(article(url, name=url))
        return picture

    return take


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def age(folder: Path, seconds: float) -> None:
    """All files in the folder were written that long ago."""
    then = time.time() - seconds
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


# --- finding ---------------------------------------------------------------------------------------------------------


def test_a_picture_is_fetched_and_kept_under_the_hash_of_its_content(folder: Path, pictures: Pictures) -> None:
    with Wire(always(answer(200, JPEG))) as wire:
        found = pictures.of(article(f"{wire.url}/a.jpg", alt=" A red field "), allow_private=True)
    digest = hashlib.sha256(JPEG).hexdigest()
    assert found == Picture(
        path=str(folder / "files" / f"{digest}.jpg"),
        sha256=digest,
        type="image/jpeg",
        width=300,
        height=200,
        size_bytes=len(JPEG),
        alt="A red field",
        url=f"{wire.url}/a.jpg",
    )
    assert Path(found.path).read_bytes() == JPEG


@pytest.mark.parametrize(
    ("form", "limits", "stands"),
    [
        pytest.param("JPEG", MediaLimits(), True, id="within the limits"),
        pytest.param("PNG", MediaLimits(types=("image/jpeg",)), False, id="another type"),
        pytest.param("JPEG", MediaLimits(side=200), False, id="too large"),
        pytest.param("JPEG", MediaLimits(size_bytes=2_000), False, id="too many bytes"),
    ],
)
def test_a_fitted_picture_knows_whether_one_within_the_limits_stands_on_the_web(
    pictures: Pictures, form: str, limits: MediaLimits, stands: bool
) -> None:
    with Wire(always(answer(200, encoded(drawing(), form, exif=oriented(1))))) as wire:
        url = f"{wire.url}/a"
        found = [pictures.of(article(url), allow_private=True) for _ in range(2)]
    assert [one and one.url for one in found] == [url, url]
    assert found[0] is not None
    fitted = pictures.fitted(found[0], limits)
    assert (fitted.sha256 == found[0].sha256, fitted.url) == (False, url if stands else None)


def test_a_local_picture_stands_nowhere_on_the_web(take: Callable[[bytes], Picture]) -> None:
    assert take(JPEG).url is None


def test_an_article_without_pictures_has_none_and_leaves_nothing_on_disk(folder: Path, pictures: Pictures) -> None:
    assert pictures.of(article()) is None
    assert not folder.exists()


def test_pillow_is_not_loaded_for_an_article_without_pictures(tmp_path: Path) -> None:
    program = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from autopublish.media import Pictures
from autopublish.models import Article
from autopublish.net import Client
now = datetime.now(UTC)
article = Article(id="a", feed="f", origin="o", link=None, title="T", published=now, first_seen=now)
assert Pictures(Path({str(tmp_path)!r}), Client(user_agent="x")).of(article) is None
assert "PIL" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("content", "media_type", "extension"),
    [
        pytest.param(JPEG, "image/jpeg", ".jpg", id="JPEG"),
        pytest.param(PNG, "image/png", ".png", id="PNG"),
        pytest.param(encoded(drawing(), "GIF"), "image/gif", ".gif", id="GIF"),
        pytest.param(encoded(drawing(), "WEBP"), "image/webp", ".webp", id="WebP"),
        pytest.param(frames("MPO"), "image/jpeg", ".jpg", id="two JPEGs in one"),
        pytest.param(encoded(drawing(), "AVIF"), "image/png", ".png", id="AVIF", marks=needs_avif),
    ],
)
@pytest.mark.fault("H02")
def test_h02_the_type_is_what_the_bytes_say_not_what_the_server_says(
    pictures: Pictures, content: bytes, media_type: str, extension: str
) -> None:
    with Wire(always(answer(200, content, {"Content-Type": "text/html"}))) as wire:
        found = pictures.of(article(f"{wire.url}/picture.php?as=.exe"), allow_private=True)
    assert found is not None
    assert (found.type, Path(found.path).suffix, found.width, found.height) == (media_type, extension, 300, 200)


UNUSABLE = {
    "not there": (answer(404, JPEG), "status 404"),
    "empty": (answer(200), "not a picture of a known format"),
    "a page": (answer(200, b"<!doctype html><title>Log in</title>"), "not a picture of a known format"),
    "a drawing in SVG": (answer(200, b'<svg xmlns="http://www.w3.org/2000/svg"/>'), "not a picture of a known format"),
    "a format that is not on the list": (answer(200, encoded(drawing(), "TIFF")), "not a picture of a known format"),
    "a bitmap called JPEG": (answer(200, encoded(drawing(), "BMP")), "not a picture of a known format"),
    "too small": (answer(200, encoded(drawing(400, 99), "PNG")), "400 x 99 pixels are too few"),
    "too many pixels": (answer(200, png_of_zeros(5001, 5000)), "5001 x 5000 pixels are too many"),
    "a bomb for the reader itself": (
        answer(
            200,
            b"\x89PNG\r\n\x1a\n"
            + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
            + PNG[33:],
        ),
        "a broken picture (DecompressionBombError)",
    ),
    "too many passes": (answer(200, many_scans(101)), "more than 100 scans"),
    "half a JPEG": (answer(200, JPEG[: len(JPEG) // 2]), "a broken picture (OSError)"),
    "half a PNG": (answer(200, PNG[: len(PNG) // 2]), "a broken picture (OSError)"),
    "a PNG with a false sum": (answer(200, PNG[:29] + b"\0\0\0\0" + PNG[33:]), "not a picture of a known format"),
    "half an AVIF": (answer(200, b"\0\0\0\x20ftypavif" + bytes(100)), "a broken AVIF picture, or one too large"),
    "a body that ends early": (answer(200, JPEG, {"Content-Length": "99999"}), "the body is shorter than it said"),
    "too many bytes": (answer(200, b"", {"Content-Length": "10000001"}), "body larger than 10000000 bytes"),
    "a way to a local file": (answer(302, b"", {"Location": "file:///etc/passwd"}), None),
}


@pytest.mark.parametrize(("reply", "reason"), UNUSABLE.values(), ids=UNUSABLE)
@pytest.mark.fault("H02")
def test_h02_a_picture_that_cannot_be_used_is_left_for_the_next_one(
    pictures: Pictures, reply: bytes, reason: str | None
) -> None:
    def script(peer: Peer) -> None:
        request = peer.read_request()
        peer.write(answer(200, PNG) if b"/good" in request.split(b"\r\n")[0] else reply)

    with Wire(script) as wire:
        subject = article(f"{wire.url}/bad", f"{wire.url}/good")
        found = pictures.of(subject, allow_private=True)
    assert found is not None
    assert found.sha256 == hashlib.sha256(PNG).hexdigest()
    (told,) = pictures.reasons(subject)
    assert reason in (told, None)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "data:image/png;base64,AAAA",
        "ftp://news.example/a",
        "http://",
        "http://[::1/a",
        "\0",
        "http://\ud800/",
        "//a",
    ],
)
def test_an_address_that_cannot_be_asked_is_no_picture(pictures: Pictures, url: str) -> None:
    assert pictures.of(article(url), allow_private=True) is None
    assert len(pictures.reasons(article(url))) == 1


@pytest.mark.fault("H01")
def test_h01_a_private_address_is_not_asked_unless_allowed(pictures: Pictures) -> None:
    with Wire(always(answer(200, JPEG))) as wire:
        assert pictures.of(article(wire.url)) is None
        assert wire.connections == 0


def test_each_address_is_asked_once_and_no_more_than_ten(pictures: Pictures) -> None:
    with Wire(always(answer(404))) as wire:
        urls = [f"{wire.url}/{number}" for number in range(12)]
        assert pictures.of(article(urls[0], *urls), allow_private=True) is None
        assert [request.split()[1] for request in wire.requests] == [f"/{number}".encode() for number in range(10)]


def test_the_search_for_one_article_ends_in_time(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_SEARCH", timedelta(seconds=0.3))
    with Wire(lambda peer: peer.hold()) as wire:
        subject = article(f"{wire.url}/a", f"{wire.url}/b", f"{wire.url}/c")
        assert pictures.of(subject, allow_private=True) is None
    assert pictures.reasons(subject) == ("deadline passed", "no time left")


# --- beside the feed -------------------------------------------------------------------------------------------------


def test_others_are_asked_for_once_and_only_where_none_of_the_articles_own_can_be_used(pictures: Pictures) -> None:
    asked = []

    def script(peer: Peer) -> None:
        request = peer.read_request()
        peer.write(answer(200, PNG) if b"/good" in request.split(b"\r\n")[0] else answer(404))

    with Wire(script) as wire:

        def further() -> tuple[Media, ...]:
            asked.append(1)
            return (Media(url=f"{wire.url}/gone"), Media(url=f"{wire.url}/good", alt=" A harbour "))

        good = pictures.of(article(f"{wire.url}/good", alt="own"), allow_private=True, further=further)
        assert (good is not None and good.alt, asked) == ("own", [])
        for _ in range(2):
            other = pictures.of(article(f"{wire.url}/bad", name="b"), allow_private=True, further=further)
            assert other is not None
            assert (other.alt, other.sha256) == ("A harbour", hashlib.sha256(PNG).hexdigest())
        assert asked == [1]


@pytest.mark.parametrize(
    ("skipped", "expected"),
    [(0, "own"), (1, "first"), (2, "second"), (3, None)],
    ids=["none skipped", "its own", "the first of the others", "all"],
)
def test_what_a_network_refused_is_skipped_among_its_own_and_the_others(
    pictures: Pictures, tmp_path: Path, skipped: int, expected: str | None
) -> None:
    def one(alt: str) -> Media:
        return Media(url=local(PNG, tmp_path / "site", alt), alt=alt)

    subject = replace(article(), pictures=(one("own"),))
    found = pictures.of(
        subject, within=tmp_path / "site", skipped=skipped, further=lambda: (one("first"), one("second"))
    )
    assert (found.alt if found else None) == expected


def says_much_and_sends_little(peer: Peer) -> None:
    """A host that announces 100,000 bytes, sends three, and then nothing; except of what is called good."""
    if b"/good" in peer.read_request().split(b"\r\n")[0]:
        peer.write(answer(200, JPEG))
    else:
        peer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 100000\r\n\r\n\xff\xd8\xff")
        peer.hold()


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_FETCH", timedelta(seconds=0.2))


def test_the_waits_for_pictures_are_seconds() -> None:
    assert timedelta(seconds=15) == media._FETCH
    assert timedelta(seconds=20) == media._SEARCH


def test_after_two_pictures_that_timed_out_their_host_is_skipped(
    folder: Path, pictures: Pictures, client: Client, short_waits: None
) -> None:
    with Wire(says_much_and_sends_little) as slow, Wire(always(answer(200, PNG))) as other:
        first = article(*(f"{slow.url}/{number}" for number in range(3)), name="first")
        second = article(f"{slow.url}/good", name="second")
        third = article(f"{slow.url}/good", f"{other.url}/p", name="third")
        assert pictures.of(first, allow_private=True) is None
        assert pictures.of(second, allow_private=True) is None
        assert len(slow.requests) == 2
        assert pictures.of(third, allow_private=True) is not None
        assert pictures.reasons(second) == pictures.reasons(first) == ()
        assert "skipped" in pictures.reasons(third)[0]
        assert Pictures(folder, client).of(second, allow_private=True) is not None
        assert len(slow.requests) == 3


def test_a_host_that_timed_out_once_is_asked_again(folder: Path, pictures: Pictures, short_waits: None) -> None:
    with Wire(says_much_and_sends_little) as wire:
        assert pictures.of(article(f"{wire.url}/a", f"{wire.url}/good"), allow_private=True) is not None
        assert len(wire.requests) == 2


def test_a_host_that_had_but_a_moment_is_not_taken_for_slow(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media, "_FETCH", timedelta(seconds=4))
    monkeypatch.setattr(media, "_SEARCH", timedelta(seconds=0.3))
    with Wire(says_much_and_sends_little) as wire:
        for number in range(2):
            assert pictures.of(article(f"{wire.url}/{number}"), allow_private=True) is None
        monkeypatch.setattr(media, "_SEARCH", timedelta(seconds=4))
        assert pictures.of(article(f"{wire.url}/good"), allow_private=True) is not None


def test_no_more_than_three_files_are_fetched_at_a_time(pictures: Pictures) -> None:
    lock, fourth = threading.Lock(), threading.Event()
    now: list[int] = []
    most: list[int] = []

    def script(peer: Peer) -> None:
        peer.read_request()
        with lock:
            now.append(1)
            most.append(len(now))
            if len(now) > 3:
                fourth.set()
        fourth.wait(0.3)
        with lock:
            now.pop()
        peer.write(answer(200, JPEG))

    with Wire(script) as wire:
        subjects = [article(f"{wire.url}/{number}", name=str(number)) for number in range(6)]
        threads = [
            threading.Thread(target=pictures.of, args=(subject,), kwargs={"allow_private": True})
            for subject in subjects
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(most) == 6
    assert not fourth.is_set()
    assert [pictures.reasons(subject) for subject in subjects] == [()] * 6


def test_a_host_that_fails_at_once_is_not_taken_for_slow(pictures: Pictures) -> None:
    with Wire(always(answer(404))) as wire:
        urls = [f"{wire.url}/{number}" for number in range(5)]
        assert pictures.of(article(*urls), allow_private=True) is None
        assert pictures.reasons(article(*urls)) == ("status 404",) * 5


@pytest.mark.fault("H02")
def test_h02_no_name_from_outside_becomes_a_file(tmp_path: Path, folder: Path, pictures: Pictures) -> None:
    with Wire(always(answer(200, JPEG, {"Content-Disposition": 'attachment; filename="../../evil"'}))) as wire:
        for path in ("/../../../evil.jpg", "/%2e%2e/%00.jpg", "//etc/passwd", "/CON", "/" + "x" * 3000):
            subject = article(wire.url + path, name="../../" + path)
            found = pictures.of(subject, allow_private=True)
            assert found is not None
            pictures.fitted(found, MediaLimits(size_bytes=3000))
    assert len(files(folder)) == 5 + 1 + 2
    assert [name for name in files(folder) if not NAME.fullmatch(name)] == []
    assert [str(folder / name) for name in files(folder)] == sorted(map(str, filter(Path.is_file, tmp_path.rglob("*"))))


def test_what_is_kept_is_for_its_owner_alone(folder: Path, take: Callable[[bytes], Picture]) -> None:
    take(JPEG)
    paths = [folder, *folder.rglob("*")]
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in paths if path.is_file()} == {"0o600"}


def test_a_disk_that_takes_nothing_means_no_picture(tmp_path: Path, client: Client) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    url = local(JPEG, tmp_path / "site")
    assert Pictures(tmp_path / "taken", client).of(article(url), within=tmp_path / "site") is None


def test_a_disk_that_fills_up_leaves_no_half_file(
    folder: Path, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    url = local(JPEG, tmp_path / "site")
    monkeypatch.setattr(os, "fsync", full)
    assert pictures.of(article(url), within=tmp_path / "site") is None
    assert files(folder) == []
    monkeypatch.undo()
    assert pictures.of(article(url), within=tmp_path / "site") is not None


# --- once ------------------------------------------------------------------------------------------------------------


def test_five_accounts_at_once_and_a_later_run_fetch_a_picture_once(
    folder: Path, pictures: Pictures, client: Client
) -> None:
    found: list[Picture | None] = []
    with Wire(always(answer(200, JPEG))) as wire:
        subject = article(wire.url)
        together = threading.Barrier(5)

        def account() -> None:
            together.wait()
            found.append(pictures.of(subject, allow_private=True))

        threads = [threading.Thread(target=account) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found.append(Pictures(folder, client).of(subject, allow_private=True))
        assert len(wire.requests) == 1
    assert len(found) == 6
    assert found[0] is not None
    assert set(found) == {found[0]}


@pytest.mark.parametrize(("seconds", "requests"), [(590, 1), (610, 2)], ids=["9:50 later", "10:10 later"])
def test_that_there_is_no_picture_counts_for_ten_minutes(
    folder: Path, pictures: Pictures, seconds: float, requests: int
) -> None:
    with Wire(always(answer(503))) as wire:
        assert pictures.of(article(wire.url), allow_private=True) is None
        age(folder, seconds)
        assert pictures.of(article(wire.url), allow_private=True) is None
        assert len(wire.requests) == requests


def test_a_found_picture_counts_for_good(folder: Path, pictures: Pictures) -> None:
    with Wire(always(answer(200, JPEG))) as wire:
        pictures.of(article(wire.url), allow_private=True)
        age(folder, 30 * 24 * 3600)
        assert pictures.of(article(wire.url), allow_private=True) is not None
        assert len(wire.requests) == 1


def test_an_edited_alt_text_needs_no_new_fetch(pictures: Pictures) -> None:
    with Wire(always(answer(200, JPEG))) as wire:
        pictures.of(article(wire.url, alt="Befor"), allow_private=True)
        found = pictures.of(article(wire.url, alt="Before"), allow_private=True)
        assert len(wire.requests) == 1
    assert found is not None
    assert found.alt == "Before"


def test_other_pictures_of_the_same_article_are_fetched(pictures: Pictures) -> None:
    with Wire(routes({"/a": answer(200, JPEG), "/b": answer(200, PNG)})) as wire:
        found = [pictures.of(article(wire.url + path), allow_private=True) for path in ("/a", "/b")]
    assert [picture and picture.type for picture in found] == ["image/jpeg", "image/png"]


def _remove(folder: Path) -> None:
    for name in files(folder):
        if name.startswith("files/"):
            (folder / name).unlink()


def _cut_short(folder: Path) -> None:
    for name in files(folder):
        if name.startswith("files/"):
            (folder / name).write_bytes(JPEG[:100])


def _rewrite(text: str) -> Callable[[Path], None]:
    def rewrite(folder: Path) -> None:
        for path in (folder / "notes").iterdir():
            path.write_text(text)

    return rewrite


def _point_elsewhere(folder: Path) -> None:
    (folder.parent.parent / "elsewhere.jpg").write_bytes(JPEG)
    for path in (folder / "notes").iterdir():
        note = json.loads(path.read_text())
        note["picture"]["sha256"] = "../../../elsewhere"
        path.write_text(json.dumps(note))


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(_remove, id="its file is gone"),
        pytest.param(_cut_short, id="its file is cut short"),
        pytest.param(_rewrite(""), id="empty"),
        pytest.param(_rewrite('{"article": '), id="cut short"),
        pytest.param(_rewrite("[]"), id="another shape"),
        pytest.param(
            _rewrite('{"article": "a1", "picture": {"sha256": 1}, "source": 0, "reasons": []}'), id="no picture"
        ),
        pytest.param(_rewrite("[" * 100_000), id="bottomless"),
        pytest.param(_point_elsewhere, id="it names another file"),
    ],
)
def test_a_note_that_does_not_hold_is_made_anew(
    folder: Path, pictures: Pictures, spoil: Callable[[Path], None]
) -> None:
    with Wire(always(answer(200, JPEG))) as wire:
        before = pictures.of(article(wire.url), allow_private=True)
        spoil(folder)
        after = pictures.of(article(wire.url), allow_private=True)
        assert len(wire.requests) == 2
    assert after is not None
    assert after == before
    assert Path(after.path).read_bytes() == JPEG


# --- local files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with pictures, and things around it that are nobody's business."""
    site = tmp_path / "site"
    (site / "more").mkdir(parents=True)
    (site / "more" / "a b.jpg").write_bytes(JPEG)
    (site / "inner").symlink_to(site / "more" / "a b.jpg")
    (site / "circle").symlink_to(site / "circle")
    os.mkfifo(site / "pipe")
    (tmp_path / "private.jpg").write_bytes(JPEG)
    (tmp_path / "site2").mkdir()
    (tmp_path / "site2" / "private.jpg").write_bytes(JPEG)
    (site / "way-out").symlink_to(tmp_path / "private.jpg")
    (site / "way-up").symlink_to(tmp_path)
    with (site / "large.jpg").open("wb") as file:
        file.write(JPEG)
        file.truncate(10_000_001)
    return site


@pytest.mark.parametrize(
    ("url", "usable"),
    [
        pytest.param("file://{site}/more/a%20b.jpg", True, id="inside"),
        pytest.param("file:{site}/inner", True, id="a link to a file inside"),
        pytest.param("FILE://localhost{site}/inner", True, id="of this host"),
        pytest.param("file://{site}/more/../inner", True, id="by a detour"),
        pytest.param("file://{site}/../private.jpg", False, id="outside"),
        pytest.param("file://{site}/%2e%2e/private.jpg", False, id="outside, hidden"),
        pytest.param("file://{site}2/private.jpg", False, id="a folder of a like name"),
        pytest.param("file://{site}/way-out", False, id="a link to a file outside"),
        pytest.param("file://{site}/way-up/private.jpg", False, id="a link to a folder outside"),
        pytest.param("file://{site}/circle", False, id="a link to itself"),
        pytest.param("file://{site}/pipe", False, id="a pipe"),
        pytest.param("file://{site}", False, id="the folder"),
        pytest.param("file://{site}/none.jpg", False, id="nothing"),
        pytest.param("file://{site}/%00.jpg", False, id="NUL"),
        pytest.param("file://{site}/large.jpg", False, id="too many bytes"),
        pytest.param("file://other.example{site}/inner", False, id="of another host"),
        pytest.param("file:inner", False, id="not from the root"),
        pytest.param("file://[{site}/inner", False, id="no URL"),
    ],
)
@pytest.mark.fault("H01")
def test_h01_a_local_file_is_read_only_inside_its_folder(
    pictures: Pictures, site: Path, monkeypatch: pytest.MonkeyPatch, url: str, usable: bool
) -> None:
    monkeypatch.chdir(site)
    found = pictures.of(article(url.format(site=site)), within=site)
    assert (found is not None) is usable


@pytest.mark.fault("H01")
def test_h01_a_local_file_is_never_read_for_a_feed_from_the_network(pictures: Pictures, site: Path) -> None:
    assert pictures.of(article(f"file://{site}/inner"), allow_private=True) is None


# --- what could hurt -------------------------------------------------------------------------------------------------


class Peak:
    """The most memory that this process held since the start of the block, beyond what it held then, in megabytes."""

    def __enter__(self) -> Self:
        Path("/proc/self/clear_refs").write_text("5")
        self.before = self.now()
        return self

    def __exit__(self, *_: object) -> None:
        self.megabytes = self._field("VmHWM") - self.before

    @classmethod
    def now(cls) -> int:
        """What this process holds."""
        return cls._field("VmRSS")

    @staticmethod
    def _field(name: str) -> int:
        match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert match
        return int(match[1]) // 1024

    @staticmethod
    def of_a_process(path: Path, accounts: int) -> int:
        """The same for a process that takes and fits the picture for so many accounts at once, each in a thread."""
        program = f"""
import re, sys, threading
from pathlib import Path
from tests.test_media import Client, MediaLimits, Peak, Pictures, article
pictures = Pictures(Path({str(path.parent / "kept")!r}), Client(user_agent="x"))
def work(name):
    found = pictures.of(article(Path({str(path)!r}).as_uri(), name=name), within=Path({str(path.parent)!r}))
    pictures.fitted(found, MediaLimits(types=("image/jpeg",), side=1000 + int(name)))
with Peak() as peak:
    threads = [threading.Thread(target=work, args=(str(number),)) for number in range({accounts})]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
assert len(list(Path({str(path.parent / "kept" / "fits")!r}).iterdir())) == {accounts}
print(peak.megabytes)
"""
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
        return int(done.stdout)


def _large(form: str, mode: str, size: tuple[int, int], **options: object) -> Callable[[], bytes]:
    return lambda: encoded(Image.new(mode, size), form, **options)


COSTLIEST = (4100, 3040)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(_large("WEBP", "RGBA", COSTLIEST), id="WebP"),
        pytest.param(
            _large("PNG", "LA", COSTLIEST, compress_level=1), id="PNG that lets shine through", marks=pytest.mark.long
        ),
        pytest.param(
            _large("JPEG", "RGB", (5000, 4990), progressive=True, subsampling=0),
            id="JPEG in passes",
            marks=pytest.mark.long,
        ),
    ],
)
@pytest.mark.fault("H02")
def test_h02_the_costliest_picture_for_five_accounts_at_once_costs_less_than_300_mb(
    tmp_path: Path, make: Callable[[], bytes]
) -> None:
    (tmp_path / "picture").write_bytes(make())
    assert Peak.of_a_process(tmp_path / "picture", accounts=5) < 300


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(_large("WEBP", "RGB", (5000, 2501)), id="WebP"),
        pytest.param(_large("PNG", "RGBA", (5000, 2501), compress_level=1), id="RGBA"),
        pytest.param(_large("PNG", "RGB", (5000, 2501), compress_level=1, transparency=(0, 0, 0)), id="one colour"),
        pytest.param(_large("JPEG", "CMYK", (5000, 2501)), id="colours of a printer"),
    ],
)
@pytest.mark.fault("H02")
def test_h02_a_picture_that_takes_several_copies_may_have_half_as_many_pixels(make: Callable[[], bytes]) -> None:
    with pytest.raises(MediaError, match="5000 x 2501 pixels are too many"):
        media._examined(make())


@pytest.mark.fault("H02")
def test_h02_what_a_decoder_took_is_given_back_though_it_failed() -> None:
    content = encoded(Image.new("RGB", (5000, 4990)), "PNG", compress_level=1)
    with Peak() as peak, pytest.raises(MediaError, match="broken") as caught:
        media._examined(content[: len(content) // 2])
    # How much of its 75 MB shows as a peak depends on what the process had to spare: only the end is judged.
    assert caught.value.__cause__ is not None
    assert Peak.now() - peak.before < 20


@pytest.mark.fault("H02")
def test_h02_a_small_file_that_opens_to_507_mb_is_refused_by_its_header(pictures: Pictures, tmp_path: Path) -> None:
    bomb = png_of_zeros(13_000, 13_000)
    assert len(bomb) < 3_000_000
    url = local(bomb, tmp_path / "site")
    with Peak() as peak:
        assert pictures.of(article(url), within=tmp_path / "site") is None
    assert peak.megabytes < 40


@pytest.mark.fault("F13")
def test_f13_a_compressed_body_is_not_inflated_beyond_its_bound(pictures: Pictures) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(100)) + packer.flush()
    with Wire(always(answer(200, bomb, {"Content-Encoding": "gzip"}))) as wire, Peak() as peak:
        assert pictures.of(article(wire.url), allow_private=True) is None
    assert peak.megabytes < 64


@needs_avif
@pytest.mark.fault("H02")
def test_h02_an_avif_that_needs_more_memory_than_it_may_have_kills_its_decoder_alone(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = local(encoded(drawing(2000, 2000), "AVIF", speed=10), tmp_path / "site")
    little = media._AVIF_PROGRAM.replace(str(media._AVIF_BYTES), "60000000")
    monkeypatch.setattr(media, "_AVIF_PROGRAM", little)
    assert pictures.of(article(url), within=tmp_path / "site") is None
    monkeypatch.undo()
    assert pictures.of(article(url, name="again"), within=tmp_path / "site") is not None


@needs_avif
@pytest.mark.fault("H02")
def test_h02_an_avif_with_too_many_pixels_is_refused(pictures: Pictures, tmp_path: Path) -> None:
    content = encoded(drawing(), "AVIF")
    place = content.index(b"ispe") + 8
    lie = content[:place] + struct.pack(">II", 5001, 5000) + content[place + 8 :]
    url = local(lie, tmp_path / "site")
    assert pictures.of(article(url), within=tmp_path / "site") is None


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.fault("H02")
def test_h02_a_damaged_picture_is_used_or_refused_and_nothing_else(form: str) -> None:
    options = {} if form == "GIF" else {"exif": oriented(6)}
    whole = encoded(drawing(120, 110), form, **options)
    chance = random.Random(form)
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            content[chance.randrange(min(len(content), 400))] = chance.randrange(256)
        try:
            media._fit(media._examined(bytes(content)).content, MediaLimits(side=100))
        except MediaError:
            refused += 1
    assert 0 < refused < 150


# --- fitting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "limits"),
    [
        pytest.param(encoded(drawing(3000, 1500), "PNG"), MediaLimits(), id="too many pixels"),
        pytest.param(
            encoded(noise(900, 700), "PNG"), MediaLimits(size_bytes=300_000), id="too many bytes, quality gives"
        ),
        pytest.param(encoded(noise(900, 700), "PNG"), MediaLimits(size_bytes=20_000), id="too many bytes, pixels give"),
        pytest.param(encoded(drawing(), "WEBP"), MediaLimits(), id="another type"),
        pytest.param(encoded(drawing(), "GIF"), MediaLimits(types=("image/jpeg",)), id="only JPEG"),
        pytest.param(encoded(drawing(101, 4000), "JPEG"), MediaLimits(side=200), id="narrow"),
    ],
)
def test_a_fitted_picture_holds_every_limit(
    pictures: Pictures, take: Callable[[bytes], Picture], content: bytes, limits: MediaLimits
) -> None:
    given = take(content)
    result = pictures.fitted(given, limits)
    with Image.open(result.path) as image:
        assert (image.format, image.size) == ("JPEG", (result.width, result.height))
        image.load()
    assert result.type == "image/jpeg"
    assert max(result.width, result.height) <= limits.side
    assert result.size_bytes == Path(result.path).stat().st_size <= limits.size_bytes
    assert result.width / result.height == pytest.approx(given.width / given.height, rel=0.1)
    assert result.sha256 == hashlib.sha256(Path(result.path).read_bytes()).hexdigest()


def test_a_fitted_picture_is_no_smaller_than_it_must_be(pictures: Pictures, take: Callable[[bytes], Picture]) -> None:
    given = take(encoded(noise(900, 700), "PNG"))
    steps = [pictures.fitted(given, MediaLimits(size_bytes=size)) for size in (1_000_000, 300_000, 60_000)]
    assert steps[0].size_bytes > 400_000
    assert [(step.width, step.height) for step in steps[:2]] == [(900, 700)] * 2
    assert steps[0].size_bytes > steps[1].size_bytes > 150_000
    assert steps[2].width < 900


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(JPEG, id="JPEG"),
        pytest.param(encoded(drawing(), "JPEG", comment=b"gd-jpeg", progressive=True), id="JPEG with a comment"),
        pytest.param(encoded(drawing(mode="L"), "JPEG"), id="JPEG in grey"),
        pytest.param(encoded(drawing(mode="RGBA"), "PNG"), id="PNG with transparency"),
        pytest.param(encoded(drawing(), "GIF"), id="GIF"),
        pytest.param(encoded(drawing(), "WEBP"), id="WebP"),
    ],
)
def test_a_picture_that_fits_is_left_byte_for_byte(
    pictures: Pictures, take: Callable[[bytes], Picture], content: bytes
) -> None:
    given = take(content)
    assert pictures.fitted(given, WIDE) == given
    assert Path(given.path).read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(encoded(drawing(), "JPEG", exif=oriented(1), comment=b"who, where"), id="EXIF in a JPEG"),
        pytest.param(encoded(drawing(), "PNG", exif=oriented(1)), id="EXIF in a PNG"),
        pytest.param(
            PNG[:-12] + png_chunk(b"eXIf", oriented(1).tobytes()[6:]) + PNG[-12:], id="EXIF behind the pixels"
        ),
        pytest.param(encoded(drawing(), "WEBP", exif=oriented(1)), id="EXIF in a WebP"),
        pytest.param(encoded(drawing(), "JPEG", xmp=b"<x:xmpmeta/>"), id="XMP"),
        pytest.param(JPEG + b"PK\x03\x04 an archive behind it", id="JPEG and archive"),
        pytest.param(PNG + b"<script>alert(1)</script>", id="PNG and page"),
        pytest.param(encoded(drawing(), "GIF") + b"=1;/* and script */", id="GIF and script"),
        pytest.param(encoded(drawing(), "WEBP") + b"PK\x03\x04", id="WebP and archive"),
        pytest.param(frames("GIF"), id="moving GIF"),
        pytest.param(frames("PNG"), id="moving PNG"),
        pytest.param(frames("WEBP"), id="moving WebP"),
        pytest.param(frames("MPO"), id="two JPEGs in one"),
        pytest.param(encoded(drawing(mode="CMYK"), "JPEG"), id="colours of a printer"),
    ],
)
@pytest.mark.fault("H02")
def test_h02_a_picture_that_is_more_than_a_picture_is_drawn_anew(
    pictures: Pictures, take: Callable[[bytes], Picture], content: bytes
) -> None:
    result = pictures.fitted(take(content), WIDE)
    with Image.open(result.path) as image:
        assert image.format == "JPEG"
        assert image.mode == "RGB"
        assert not {"exif", "xmp", "comment", "icc_profile"} & image.info.keys()
    assert Path(result.path).read_bytes().endswith(b"\xff\xd9")
    assert is_about(shown(result).getpixel((20, 20)), RED)
    assert is_about(shown(result).getpixel((280, 5)), NAVY)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "red"),
    [(1, (0, 0)), (2, (1, 0)), (3, (1, 1)), (4, (0, 1)), (5, (0, 0)), (6, (1, 0)), (7, (1, 1)), (8, (0, 1))],
)
def test_a_picture_taken_on_its_side_is_shown_upright(
    pictures: Pictures,
    take: Callable[[bytes], Picture],
    form: str,
    orientation: int,
    red: tuple[int, int],
) -> None:
    given = take(encoded(drawing(), form, exif=oriented(orientation)))
    result = pictures.fitted(given, WIDE)
    size = (300, 200) if orientation < 5 else (200, 300)
    assert (given.width, given.height) == (result.width, result.height) == size
    place = (size[0] * (1 + 2 * red[0]) // 4, size[1] * (1 + 2 * red[1]) // 4)
    image = shown(result)
    assert is_about(image.getpixel(place), RED)
    assert not is_about(image.getpixel((size[0] - 1 - place[0], size[1] - 1 - place[1])), RED)


def _with_clear_corner(mode: str) -> bytes:
    image = drawing(mode=mode)
    image.paste(0, (150, 0, 300, 60))
    return encoded(image, "PNG")


def _palette() -> bytes:
    image = drawing().quantize(8)
    clear = image.getpixel((280, 5))
    return encoded(image, "PNG", transparency=clear)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_with_clear_corner("RGBA"), id="RGBA"),
        pytest.param(_with_clear_corner("LA"), id="grey"),
        pytest.param(_palette(), id="palette"),
        pytest.param(encoded(drawing(), "PNG", transparency=NAVY), id="one colour"),
    ],
)
def test_what_shines_through_becomes_white(
    pictures: Pictures, take: Callable[[bytes], Picture], content: bytes
) -> None:
    result = pictures.fitted(take(content), MediaLimits(types=("image/jpeg",)))
    assert is_about(shown(result).getpixel((280, 5)), WHITE)
    assert not is_about(shown(result).getpixel((20, 20)), WHITE)


def test_a_picture_of_16_bits_keeps_its_greys(pictures: Pictures, take: Callable[[bytes], Picture]) -> None:
    content = encoded(Image.new("I;16", (200, 200), 32_768), "PNG")
    result = pictures.fitted(take(content), MediaLimits(types=("image/jpeg",)))
    assert is_about(shown(result).getpixel((100, 100)), (128, 128, 128))


def _profile_with_red_and_green_swapped() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ").replace(b"?XYZ", b"gXYZ")


@pytest.mark.parametrize(
    ("profile", "colour"),
    [
        pytest.param(_profile_with_red_and_green_swapped(), (0, 255, 0), id="another colour space"),
        pytest.param(b"no profile at all", RED, id="broken"),
        pytest.param(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(), RED, id="of another kind"),
    ],
)
def test_the_colours_are_those_that_the_profile_means(
    pictures: Pictures, take: Callable[[bytes], Picture], profile: bytes, colour: tuple[int, int, int]
) -> None:
    content = encoded(drawing(), "PNG", icc_profile=profile)
    result = pictures.fitted(take(content), MediaLimits(types=("image/jpeg",)))
    assert is_about(shown(result).getpixel((20, 20)), colour)


def test_the_same_picture_and_limits_give_the_same_bytes_anywhere(
    pictures: Pictures, take: Callable[[bytes], Picture], tmp_path: Path, client: Client
) -> None:
    given = take(encoded(noise(400, 300), "WEBP"))
    limits = MediaLimits(size_bytes=40_000)
    here, there = pictures.fitted(given, limits), Pictures(tmp_path / "other", client).fitted(given, limits)
    assert here.path != there.path
    assert Path(here.path).read_bytes() == Path(there.path).read_bytes()


def test_a_picture_is_fitted_once_for_all_accounts_with_the_same_limits(
    pictures: Pictures, take: Callable[[bytes], Picture], folder: Path, client: Client
) -> None:
    given = take(encoded(drawing(), "WEBP"))
    first = pictures.fitted(given, MediaLimits(types=("image/jpeg", "image/png")))
    Path(given.path).unlink()
    again = Pictures(folder, client).fitted(given, MediaLimits(types=("image/png", "image/jpeg")))
    assert again == first
    with pytest.raises(MediaError, match="cannot be read"):
        pictures.fitted(given, MediaLimits(side=150))


@pytest.mark.parametrize(
    ("length", "alt"),
    [
        (0, "Ministers stand in front of the new bridge"),
        (42, "Ministers stand in front of the new bridge"),
        (30, "Ministers stand in front of…"),
        (1, ""),
    ],
)
def test_the_alt_text_is_cut_at_a_word(
    pictures: Pictures, take: Callable[[bytes], Picture], length: int, alt: str
) -> None:
    given = replace(take(JPEG), alt="Ministers stand in front of the new bridge")
    assert pictures.fitted(given, replace(WIDE, alt_length=length)).alt == alt


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (MediaLimits(size_bytes=500), "as small as 500 bytes"),
        (MediaLimits(types=("image/png",)), "image/webp cannot be made one of image/png"),
    ],
)
def test_what_cannot_be_made_to_fit_is_an_error(
    pictures: Pictures, take: Callable[[bytes], Picture], limits: MediaLimits, reason: str
) -> None:
    given = take(encoded(noise(200, 200), "WEBP"))
    with pytest.raises(MediaError, match=reason):
        pictures.fitted(given, limits)


def test_a_picture_that_was_changed_on_disk_is_an_error(pictures: Pictures, take: Callable[[bytes], Picture]) -> None:
    given = take(JPEG)
    Path(given.path).write_bytes(PNG)
    with pytest.raises(MediaError, match="changed on disk"):
        pictures.fitted(given, MediaLimits())


# --- forgetting ------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(pictures: Pictures, tmp_path: Path) -> list[Picture]:
    """Articles `a`, `b` and `c`, each with a fitted picture; `c` shows the same as `b`."""
    results = []
    for name, content in (("a", encoded(drawing(), "WEBP")), ("b", encoded(drawing(), "GIF")), ("c", b"")):
        url = local(content or encoded(drawing(), "GIF"), tmp_path / "site", name)
        found = pictures.of(article(url, name=name), within=tmp_path / "site")
        assert found is not None
        results += [found, pictures.fitted(found, MediaLimits())]
    return results


@pytest.mark.parametrize(
    ("keep", "removed", "left"),
    [
        pytest.param({"a", "b", "c"}, 0, {0, 1, 2, 3}, id="all"),
        pytest.param({"a", "b"}, 1, {0, 1, 2, 3}, id="a picture that another article shows"),
        pytest.param({"a"}, 5, {0, 1}, id="one"),
        pytest.param({"b", "c"}, 4, {2, 3}, id="two that share"),
        pytest.param(set(), 9, set(), id="none"),
        pytest.param({"z"}, 9, set(), id="only one unknown"),
    ],
)
def test_what_only_other_articles_used_is_removed(
    folder: Path, pictures: Pictures, three: list[Picture], keep: set[str], removed: int, left: set[int]
) -> None:
    age(folder, 3700)
    assert pictures.forget(keep) == removed
    assert {place for place in range(4) if Path(three[place].path).exists()} == left
    assert len(files(folder)) == 9 - removed
    assert pictures.forget(keep) == 0


def test_nothing_younger_than_an_hour_is_removed(folder: Path, pictures: Pictures, three: list[Picture]) -> None:
    age(folder, 3500)
    assert pictures.forget(()) == 0
    assert len(files(folder)) == 9


def test_a_picture_of_a_young_note_stays_however_old_its_file_is(
    folder: Path, pictures: Pictures, three: list[Picture]
) -> None:
    age(folder, 3700)
    age(folder / "notes", 10)
    assert pictures.forget(()) == 0


def test_a_picture_that_is_found_again_is_young_again(folder: Path, pictures: Pictures, tmp_path: Path) -> None:
    url = local(JPEG, tmp_path / "site")
    pictures.of(article(url, name="a"), within=tmp_path / "site")
    age(folder, 3700)
    pictures.of(article(url, name="b"), within=tmp_path / "site")
    _rewrite("")(folder)
    assert pictures.forget(()) == 0


def test_what_a_crash_left_is_removed(folder: Path, pictures: Pictures, three: list[Picture]) -> None:
    (folder / "files" / ".half.new").write_bytes(JPEG[:100])
    (folder / "notes" / f"{'0' * 64}.json").write_text("{")
    age(folder, 3700)
    assert pictures.forget({"a", "b", "c"}) == 2


def test_there_may_be_nothing_to_forget(folder: Path, pictures: Pictures) -> None:
    assert pictures.forget({"a"}) == 0
    assert not folder.exists()
