"""The article's picture: found, fetched once, checked, and fitted to what a network takes.

A step of the drain between claim and compose. What comes from outside is bounded before it is decoded, and what a
picture is said to be (name, type, extension) is never believed. This module knows no platform: limits are values.
Pillow is imported only when a picture is at hand.

    folder/notes/KEY.json   what was found for one article
    folder/fits/KEY.json    what one picture became under some limits
    folder/files/SHA256.EXT the pictures, named by their content
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from autopublish.disk import sync_names
from autopublish.errors import MediaError, NetworkError
from autopublish.models import Article, Media, MediaLimits, Picture
from autopublish.net import Client
from autopublish.text import shorten

if TYPE_CHECKING:
    from PIL import Image

#: What is read of one picture at most, and how long one may take; together they bound memory and a drain's patience.
_CONTENT_BYTES: Final = 10_000_000
_FETCH: Final = timedelta(seconds=15)
#: All pictures of one article together, and how many of them are tried.
_SEARCH: Final = timedelta(seconds=20)
_MOST_TRIED: Final = 10
#: How many articles' pictures are looked for at a time: each may hold a whole file while it waits for the decoder.
_SEARCHES: Final = 3
#: After so many pictures that a host kept us waiting for in vain, no more are asked of it.
_MOST_WAITS: Final = 2
_SKIPPED: Final = "skipped: its host let too many pictures time out"
#: Width times height; and that of a picture of which a decoder holds several copies.
_MOST_PIXELS: Final = 25_000_000
_MOST_COSTLY_PIXELS: Final = 12_500_000
_COSTLY_MODES: Final = frozenset({"RGBA", "LA", "PA", "CMYK"})
#: The shorter side.
_LEAST_SIDE: Final = 100
#: Encoders write about ten. A file of 10 MB can hold 150,000, and each is another pass over all pixels: 45 minutes.
_MOST_SCANS: Final = 100
_QUALITIES: Final = (85, 75, 65, 55)

#: How long it counts that nothing usable was found, and how long nothing is removed.
_FAILURE_SECONDS: Final = 600
_YOUNG_SECONDS: Final = 3600

#: What Pillow calls a format -> media type and extension. MPO is a JPEG with further pictures behind the first.
_FORMATS: Final = {
    "JPEG": ("image/jpeg", "jpg"),
    "MPO": ("image/jpeg", "jpg"),
    "PNG": ("image/png", "png"),
    "GIF": ("image/gif", "gif"),
    "WEBP": ("image/webp", "webp"),
}
_EXTENSIONS: Final = dict(_FORMATS.values())
#: No AVIF: few networks take it, and what negotiates would send it first.
_ACCEPT: Final = "image/jpeg, image/png, image/webp;q=0.9, image/gif;q=0.8, */*;q=0.1"
#: Where Pillow puts what describes a picture and may tell where it was taken.
_METADATA: Final = frozenset({"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})
#: EXIF orientation -> what undoes it: https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf (section 4.6.4)
_ORIENTATION: Final = 0x0112
_TURNS: Final = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_FIRST_SIDEWAYS: Final = 5
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

#: Of <malloc.h>; and from which size on memory is given back as soon as it is freed.
_M_MMAP_THRESHOLD: Final = -3
_LARGE_PIECE: Final = 1_000_000

#: Where an article has further pictures, asked once its own cannot be used.
Further = Callable[[], Sequence[Media]]

#: One decoder at a time, so that as many accounts as there are do not hold as many open pictures.
_decoding = threading.RLock()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    """What was found for one article."""

    article: str
    picture: Picture | None = None
    #: Which of the article's own pictures it is; None: one that was found beside them.
    source: int | None = None
    #: What describes one that was found beside them.
    alt: str | None = None
    #: Why the ones before it, or all of them, could not be used.
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    """A picture as bytes, and what a decoder says of it."""

    content: bytes
    type: str
    width: int
    height: int


class Pictures:
    """Pictures of articles, fetched once and kept by content hash until nobody needs them; safe between threads."""

    def __init__(self, folder: Path, client: Client) -> None:
        self._folder = folder.absolute()
        self._client = client
        # A fixed number, picked by key: two articles that share one wait for each other, and nothing grows.
        self._locks = tuple(threading.Lock() for _ in range(64))
        self._searches = threading.BoundedSemaphore(_SEARCHES)
        #: Of each host, how many pictures were waited for in vain.
        self._waits: Counter[str] = Counter()

    def of(
        self,
        article: Article,
        *,
        allow_private: bool = False,
        within: Path | None = None,
        skipped: int = 0,
        further: Further | None = None,
    ) -> Picture | None:
        """The first usable picture of the article as it was found, None if there is none.

        `skipped`: so many of the article's pictures are left out; `further` is asked for others where none of its own
        can be used. It is fetched once per article and set of URLs, for all accounts and later runs; that there is
        none counts for ten minutes, but not beyond this object if a slow host was skipped. `file:` URLs are read only
        inside `within`.
        """
        own, beyond = article.pictures[skipped:], max(skipped - len(article.pictures), 0)
        if not own and further is None:
            return None
        key = _note_key(article, own, None if further is None else beyond)
        with self._lock(key):
            note = self._noted(key)
            if note is None:
                with self._searches:
                    candidates = _candidates(own, further, beyond)
                    note = self._search(article, candidates, allow_private=allow_private, within=within)
                if note.picture is not None or _SKIPPED not in note.reasons:
                    self._write_down(self._folder / "notes" / f"{key}.json", asdict(note))
        if note.picture is None:
            return None
        alt = note.alt if note.source is None else own[note.source].alt
        return replace(note.picture, alt=(alt or "").strip())

    def reasons(self, article: Article) -> tuple[str, ...]:
        """Why the article's own pictures could not be used, in the order tried; empty if that is not known."""
        note = self._read_note(self._folder / "notes" / f"{_note_key(article, article.pictures, None)}.json")
        return note.reasons if note else ()

    def fitted(self, picture: Picture, limits: MediaLimits) -> Picture:
        """The picture as a network with these limits takes it; itself, byte for byte, if it is so already.

        Raises:
            MediaError: it cannot be read or made to fit.
        """
        key = _key(picture.sha256, sorted(limits.types), limits.size_bytes, limits.side)
        with self._lock(key):
            result = self._read_fit(self._folder / "fits" / f"{key}.json")
            if result is None:
                with _decoding:  # read in turn too: ten files that wait are 100 MB
                    result = self._keep(_fit(_kept_content(picture), limits))
                fit: dict[str, object] = {"source": picture.sha256, "picture": asdict(result)}
                self._write_down(self._folder / "fits" / f"{key}.json", fit)
        url = picture.url if _is_within(picture, limits) else None
        return replace(result, alt=_cut(picture.alt, limits.alt_length), url=url)

    def forget(self, keep: Collection[str]) -> int:
        """Remove what only articles outside `keep` (ids) use and what is of no use, if older than an hour.

        Returns:
            How many files were removed.
        """
        wanted = frozenset(keep)
        used: set[str] = set()
        removed = 0
        for file in self._files("notes"):
            note = self._read_note(file)
            if note is not None and (note.article in wanted or _is_young(file)):
                used |= {note.picture.sha256} if note.picture else set()
            else:
                removed += _remove_old(file)
        for file in self._files("fits"):
            source = (_read_json(file) or {}).get("source")
            result = self._read_fit(file)
            if result is not None and (source in used or _is_young(file)):
                used.add(result.sha256)
            else:
                removed += _remove_old(file)
        return removed + sum(_remove_old(file) for file in self._files("files") if file.stem not in used)

    # --- finding ---

    def _search(
        self,
        article: Article,
        candidates: Iterable[tuple[int | None, Media]],
        *,
        allow_private: bool,
        within: Path | None,
    ) -> _Note:
        """The first of the article's pictures that can be fetched and used; it is kept."""
        reasons: list[str] = []
        ends = time.monotonic() + _SEARCH.total_seconds()
        for source, media in candidates:
            left = timedelta(seconds=ends - time.monotonic())
            if left <= timedelta(0):
                reasons.append("no time left")
                break
            try:
                content = self._content(media.url, min(left, _FETCH), allow_private=allow_private, within=within)
                picture = replace(self._keep(_examined(content)), url=_web_address(media.url))
            except MediaError as error:
                reasons.append(str(error))
            else:
                alt = media.alt if source is None else None
                return _Note(article=article.id, picture=picture, source=source, alt=alt, reasons=tuple(reasons))
        return _Note(article=article.id, reasons=tuple(reasons))

    def _content(self, url: str, deadline: timedelta, *, allow_private: bool, within: Path | None) -> bytes:
        """What stands at `url`.

        Raises:
            MediaError: nothing whole, too much, not to be asked, or not asked since its host has been too slow.
        """
        if url[:5].lower() == "file:":
            return _local_content(url, within)
        host = _host(url)
        if self._waits[host] >= _MOST_WAITS:
            raise MediaError(_SKIPPED)
        began = time.monotonic()
        try:
            return self._fetched(url, deadline, allow_private=allow_private)
        except MediaError:
            # A fetch that had but a moment left at the end of its article says nothing of the host.
            if time.monotonic() - began >= _FETCH.total_seconds() / 4:
                self._waits[host] += 1
            raise

    def _fetched(self, url: str, deadline: timedelta, *, allow_private: bool) -> bytes:
        """What a server gives for `url`.

        Raises:
            MediaError: nothing whole, too much, or not to be asked.
        """
        try:
            reply = self._client.get(
                url,
                headers={"Accept": _ACCEPT},
                limit_bytes=_CONTENT_BYTES,
                deadline=deadline,
                allow_private=allow_private,
            )
        except NetworkError as error:
            raise MediaError(str(error)) from error
        if reply.status != 200:
            raise MediaError(f"status {reply.status}")
        if reply.cut_short is not None:
            raise MediaError(reply.cut_short)
        return reply.body

    # --- keeping ---

    def _lock(self, key: str) -> threading.Lock:
        return self._locks[int(key[:8], 16) % len(self._locks)]

    def _path(self, digest: str, media_type: str) -> Path:
        return self._folder / "files" / f"{digest}.{_EXTENSIONS[media_type]}"

    def _keep(self, encoded: _Encoded) -> Picture:
        """The picture, in the folder under its content's hash.

        Raises:
            MediaError: the disk refused.
        """
        digest = hashlib.sha256(encoded.content).hexdigest()
        path = self._path(digest, encoded.type)
        try:
            if _size(path) == len(encoded.content):
                os.utime(path)  # young again: `forget` in another thread must not take it before the note stands
            else:
                self._put(path, encoded.content)
        except OSError as error:
            raise MediaError(f"the picture cannot be kept: {error.strerror}") from error
        return Picture(
            path=str(path),
            sha256=digest,
            type=encoded.type,
            width=encoded.width,
            height=encoded.height,
            size_bytes=len(encoded.content),
        )

    def _write_down(self, path: Path, values: dict[str, object]) -> None:
        """Note it if the disk lets us: without a note the work is done again, no more."""
        with contextlib.suppress(OSError):
            self._put(path, json.dumps(values).encode())

    def _put(self, target: Path, content: bytes) -> None:
        """The file is in place, whole and durable, for its owner alone."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".new")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        sync_names(target.parent)

    def _noted(self, key: str) -> _Note | None:
        """What is known of an article and still counts."""
        path = self._folder / "notes" / f"{key}.json"
        note = self._read_note(path)
        if note is None:
            return None
        return note if note.picture is not None or _age(path) < _FAILURE_SECONDS else None

    def _read_note(self, path: Path) -> _Note | None:
        """The note at `path`; None if there is none, or it names a picture that is not there any more."""
        raw = _read_json(path)
        if raw is None:
            return None
        try:
            picture = None if raw["picture"] is None else self._picture(raw["picture"])
            reasons = tuple(map(str, _list(raw["reasons"])))
            source = None if raw["source"] is None else _int(raw["source"])
            alt = None if raw["alt"] is None else str(raw["alt"])
            return _Note(article=str(raw["article"]), picture=picture, source=source, alt=alt, reasons=reasons)
        except (KeyError, TypeError, ValueError, OSError):
            return None

    def _read_fit(self, path: Path) -> Picture | None:
        """The result noted at `path`; None if there is none, or its file is not there any more."""
        raw = _read_json(path)
        try:
            return None if raw is None else self._picture(raw["picture"])
        except (KeyError, TypeError, ValueError, OSError):
            return None

    def _picture(self, raw: object) -> Picture:
        """The picture that a note names, with its file in place.

        Raises:
            KeyError, TypeError, ValueError, OSError: it is not one, or not there.
        """
        if not isinstance(raw, dict) or not _DIGEST.fullmatch(str(raw["sha256"])):
            raise TypeError("not a picture")
        digest, media_type, size_bytes = str(raw["sha256"]), str(raw["type"]), _int(raw["size_bytes"])
        path = self._path(digest, media_type)
        if _size(path) != size_bytes:
            raise FileNotFoundError(path)
        return Picture(
            path=str(path),
            sha256=digest,
            type=media_type,
            width=_int(raw["width"]),
            height=_int(raw["height"]),
            size_bytes=size_bytes,
            url=None if raw.get("url") is None else str(raw["url"]),
        )

    def _files(self, name: str) -> list[Path]:
        """All files of one of our folders, drafts of a crash included."""
        try:
            return [Path(entry.path) for entry in os.scandir(self._folder / name) if entry.is_file()]
        except FileNotFoundError:
            return []


def _candidates(own: Sequence[Media], further: Further | None, beyond: int) -> Iterator[tuple[int | None, Media]]:
    """The pictures to try, the article's own with their places, each URL once; others are only asked for after them.

    `beyond`: so many of the others are left out.
    """
    tried: set[str] = set()
    for source, media in enumerate(own):
        if media.url not in tried and len(tried) < _MOST_TRIED:
            tried.add(media.url)
            yield source, media
    for media in further()[beyond:] if further is not None else ():
        if media.url not in tried and len(tried) < _MOST_TRIED:
            tried.add(media.url)
            yield None, media


def _host(url: str) -> str:
    """Whom the address asks; empty if it asks nobody."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _web_address(url: str) -> str | None:
    """The address if others may fetch from it."""
    return None if url[:5].lower() == "file:" else url


def _is_within(picture: Picture, limits: MediaLimits) -> bool:
    """Whether a picture as it was found is within the limits; metadata is no matter where it stands in public."""
    is_small = picture.size_bytes <= limits.size_bytes and max(picture.width, picture.height) <= limits.side
    return is_small and picture.type in limits.types


def _cut(alt: str, length: int) -> str:
    """The alt text within `length` characters; as it is where there is no alt text."""
    return shorten(alt, lambda text: len(text) <= length) if length else alt


# --- local files -----------------------------------------------------------------------------------------------------


def _local_content(url: str, within: Path | None) -> bytes:
    """What the file holds that a `file:` URL names.

    Raises:
        MediaError: it does not lie inside `within`, or is no file that can be read and is small enough.
    """
    if within is None:
        raise MediaError("a local file is not allowed here")
    try:
        parts = urlsplit(url)
        path = Path(url2pathname(parts.path))
        if parts.netloc not in ("", "localhost") or not path.is_absolute():
            raise MediaError("not a local file")
        path = path.resolve(strict=True)
        if not path.is_relative_to(within.resolve(strict=True)):
            raise MediaError("a local file outside the feed's folder")
        return _read_file(path)
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: links in a circle
        raise MediaError("the local file cannot be read") from error


def _read_file(path: Path) -> bytes:
    """The content of a regular file of bounded size; a pipe is not waited for and a late link not followed.

    Raises:
        MediaError: it is something else, or larger.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise MediaError("not a file")
        content = file.read(_CONTENT_BYTES + 1)
    if len(content) > _CONTENT_BYTES:
        raise MediaError(f"larger than {_CONTENT_BYTES} bytes")
    return content


# --- our own files ---------------------------------------------------------------------------------------------------


def _key(*parts: object) -> str:
    """A file's name that holds nothing of what it stands for."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _note_key(article: Article, own: Sequence[Media], beyond: int | None) -> str:
    return _key(article.id, [media.url for media in own], beyond)


def _kept_content(picture: Picture) -> bytes:
    """The bytes of a kept picture.

    Raises:
        MediaError: they are gone or not what they were.
    """
    try:
        content = Path(picture.path).read_bytes()
    except OSError as error:
        raise MediaError(f"the picture cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise MediaError("the picture was changed on disk")
    return content


def _read_json(path: Path) -> dict[str, object] | None:
    """The object in a file; None if there is no such file or no such object."""
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return raw if isinstance(raw, dict) else None


def _int(raw: object) -> int:
    if not isinstance(raw, int):
        raise TypeError("not a number")
    return raw


def _list(raw: object) -> list[object]:
    if not isinstance(raw, list):
        raise TypeError("not a list")
    return raw


def _size(path: Path) -> int | None:
    """The file's size, None if there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _age(path: Path) -> float:
    """Seconds between the file's time and now, whichever is first: a clock set back must not make it young for long."""
    try:
        return abs(time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return float("inf")


def _is_young(path: Path) -> bool:
    return _age(path) < _YOUNG_SECONDS


def _remove_old(path: Path) -> int:
    """1 if the file was old and is gone, else 0: what cannot be removed now may be the next time."""
    if _is_young(path):
        return 0
    try:
        path.unlink()
    except OSError:
        return 0
    return 1


# --- decoding --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _decoder() -> Iterator[None]:
    """The only decoder at work; whatever it raises is a MediaError, and its warnings are nobody's concern.

    What it took is given back before the next one starts, so a picture must not be a variable of the function that
    holds this, which lives on until the lock is free.

    Raises:
        MediaError: the bytes are not a picture that can be used.
    """
    with _decoding, warnings.catch_warnings():
        _give_back_at_once()
        # By module: should another thread restore the filters in the wrong order, no other warnings are lost.
        warnings.filterwarnings("ignore", module=r"PIL\b")
        try:
            yield
        except Exception as error:  # a reader of foreign bytes raises what its author never thought of
            _let_go(error)
            if isinstance(error, MediaError):
                raise
            raise MediaError(_broken(error)) from error


def _let_go(error: BaseException) -> None:
    """Neither the error nor what led to it holds a picture any more; their frames did."""
    chained: BaseException | None = error
    while chained is not None:
        traceback.clear_frames(chained.__traceback__)
        chained = chained.__context__


def _broken(error: Exception) -> str:
    """Why Pillow could not read a picture."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not a picture of a known format"
    return f"a broken picture ({type(error).__name__})"


def _give_back_at_once() -> None:
    """What is freed in large pieces goes back to the operating system at once, as far as the C library can do it.

    glibc learns to keep pieces of a picture's size, for each thread its own, until a fixed threshold makes it stop:
    https://man7.org/linux/man-pages/man3/mallopt.3.html (M_MMAP_THRESHOLD)
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_PIECE)


def _opened(content: bytes) -> Image.Image:
    """The picture with its header read and nothing decoded, within our bounds.

    Raises:
        MediaError: more pixels or passes than we decode.
        Exception: whatever Pillow raises.
    """
    # Pillow knows the others from the start; for a format that it does not know it loads all of its forty readers.
    from PIL import Image
    from PIL import WebPImagePlugin as _  # noqa: F401

    if content.startswith(b"\xff\xd8") and content.count(b"\xff\xda") > _MOST_SCANS:
        raise MediaError(f"more than {_MOST_SCANS} scans")
    image = Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "GIF", "WEBP"))
    most = _MOST_COSTLY_PIXELS if _is_costly(image) else _MOST_PIXELS
    if image.width * image.height > most:
        raise MediaError(f"{image.width} x {image.height} pixels are too many")
    return image


def _is_costly(image: Image.Image) -> bool:
    """Whether reading it takes several copies: the decoder's own, or one with and one without what shines through."""
    return image.format == "WEBP" or image.mode in _COSTLY_MODES or "transparency" in image.info


def _examined(content: bytes) -> _Encoded:
    """The picture of these bytes, decoded once to know that it can be; its sides are as shown, orientation applied.

    Raises:
        MediaError: not a picture, broken, too large or too small.
    """
    with _decoder():
        return _examined_alone(_without_avif(content) if _is_avif(content) else content)


def _examined_alone(content: bytes) -> _Encoded:
    with _opened(content) as image:
        if min(image.size) < _LEAST_SIDE:
            raise MediaError(f"{image.width} x {image.height} pixels are too few")
        image.load()
        width, height = image.size
        if _orientation(image) >= _FIRST_SIDEWAYS:
            width, height = height, width
        return _Encoded(content=content, type=_FORMATS[str(image.format)][0], width=width, height=height)


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 1 to 8; 1 if that cannot be read."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken metadata says nothing about the picture
        return 1
    return value if value in _TURNS else 1


# Its header does not bound what the decoder takes: a file that says 200 x 200 pixels can hold 16,384 x 16,384, and the
# decoder unpacks them all before it scales them down. Hence another process, which dies instead of ours and has no
# secrets in its environment. Most of the memory is that of the most pixels in three forms.
_AVIF_BYTES: Final = 350_000_000
_AVIF_SECONDS: Final = 10
_AVIF_PROGRAM: Final = f"""
import io, resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({_AVIF_BYTES}, {_AVIF_BYTES}))
resource.setrlimit(resource.RLIMIT_CPU, ({_AVIF_SECONDS}, {_AVIF_SECONDS}))
from PIL import AvifImagePlugin, Image
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
image = Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=["AVIF"])
if image.width * image.height > {_MOST_COSTLY_PIXELS}:
    sys.exit(1)
image.save(sys.stdout.buffer, "PNG", compress_level=1, exif=image.info.get("exif", b""))
"""


def _is_avif(content: bytes) -> bool:
    # Brands: https://aomediacodec.github.io/av1-avif/#brands
    return content[4:8] == b"ftyp" and content[8:12] in (b"avif", b"avis", b"mif1", b"msf1")


def _without_avif(content: bytes) -> bytes:
    """The same picture as PNG, without loss.

    Raises:
        MediaError: it cannot be decoded within bounds, or this Pillow cannot decode AVIF.
    """
    command = (sys.executable, "-I", "-c", _AVIF_PROGRAM)
    # One arena: malloc reserves address space for each, which the limit counts.
    environment = {"MALLOC_ARENA_MAX": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - our own program, given nothing but bytes
            command, input=content, capture_output=True, env=environment, timeout=_AVIF_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise MediaError("a broken AVIF picture, or one too large") from error
    return done.stdout


# --- fitting ---------------------------------------------------------------------------------------------------------


def _fit(content: bytes, limits: MediaLimits) -> _Encoded:
    """The picture within the limits.

    Raises:
        MediaError: it cannot be read or made to fit.
    """
    with _decoder():
        return _fit_alone(content, limits)


def _fit_alone(content: bytes, limits: MediaLimits) -> _Encoded:
    with _opened(content) as image:
        media_type = _FORMATS[str(image.format)][0]
        if media_type in limits.types and _fits(image, content, limits) and _is_plain(image, content):
            return _Encoded(content=content, type=media_type, width=image.width, height=image.height)
        if "image/jpeg" not in limits.types:
            raise MediaError(f"{media_type} cannot be made one of {', '.join(limits.types)}")
        return _squeezed(_drawn(image, limits.side), limits.size_bytes)


def _fits(image: Image.Image, content: bytes, limits: MediaLimits) -> bool:
    return len(content) <= limits.size_bytes and max(image.size) <= limits.side


def _is_plain(image: Image.Image, content: bytes) -> bool:
    """Whether it is one picture in a screen's colours and nothing else: no metadata, no frames, no bytes behind it."""
    if image.mode == "CMYK" or getattr(image, "is_animated", False) or not _ENDS[str(image.format)](content):
        return False
    image.load()  # PNG may say more behind the pixels
    return not _METADATA & image.info.keys()


def _riff_ends(content: bytes) -> bool:
    return len(content) == 8 + int.from_bytes(content[4:8], "little")


#: Whether a file of the format ends where its picture ends; what follows is another file in the same bytes.
_ENDS: Final[dict[str, Callable[[bytes], bool]]] = {
    "JPEG": lambda content: content.endswith(b"\xff\xd9"),
    "MPO": lambda content: content.endswith(b"\xff\xd9"),
    "PNG": lambda content: content.endswith(b"\0\0\0\0IEND\xae\x42\x60\x82"),
    "GIF": lambda content: content.endswith(b"\0;"),
    "WEBP": _riff_ends,
}


def _drawn(image: Image.Image, side: int) -> Image.Image:
    """What a reader sees, in sRGB, upright, on white, its longer side at most `side`."""
    from PIL import Image

    orientation = _orientation(image)
    profile = image.info.get("icc_profile")
    picture = _opaque(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    picture = _in_srgb(picture, profile)
    if orientation in _TURNS:
        picture = picture.transpose(Image.Transpose[_TURNS[orientation]])
    picture.info = {}  # the encoder would copy comments
    return picture


def _opaque(image: Image.Image) -> Image.Image:
    """The picture in RGB, grey or CMYK, on white where it lets something shine through."""
    from PIL import Image

    if image.mode.startswith("I"):
        # `convert` alone cuts 16 bits off at 255.
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.has_transparency_data:
        layer = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(layer, mask=layer)
        return paper
    return image if image.mode in ("RGB", "L", "CMYK") else image.convert("RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture in RGB, in the colours that its profile means."""
    from PIL import ImageCms

    if profile:
        # A broken profile, or one of another colour space, is no reason to lose the picture.
        with contextlib.suppress(ImageCms.PyCMSError, OSError, ImportError):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def _squeezed(image: Image.Image, size_bytes: int) -> _Encoded:
    """The best JPEG of at most `size_bytes`: lower quality first, then fewer pixels.

    Raises:
        MediaError: nothing that small can be looked at.
    """
    while max(image.size) >= _LEAST_SIDE:
        for quality in _QUALITIES:
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality, optimize=True)
            if file.tell() <= size_bytes:
                return _Encoded(content=file.getvalue(), type="image/jpeg", width=image.width, height=image.height)
        image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)))
    raise MediaError(f"the picture cannot be made as small as {size_bytes} bytes")
