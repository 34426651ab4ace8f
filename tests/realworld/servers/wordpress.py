"""A real WordPress: Debian's package on PHP's built-in server, with SQLite instead of MariaDB."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from tests.realworld.servers._install import Unavailable, cache, command, install_debian, install_node
from tests.realworld.servers._process import ServerProcess, call, free_port

_DEBIAN = (
    "wordpress",
    "wordpress-theme-twentytwentythree",
    "php-cli",
    "php-gd",
    "php-mbstring",
    "php-mysql",
    "php-sqlite3",
    "php-xml",
)
_FILES = Path("/usr/share/wordpress")
#: Its tarball carries WordPress's SQLite plugin as a zip; nothing else of it is used.
_SQLITE_SOURCE = "@wp-playground/cli@3.1.56"
_WORKERS = 4  # PHP's built-in server answers one request at a time otherwise
_LANGUAGE = "id_ID"

_CONFIG = """<?php
define('DB_NAME', 'wordpress');
define('DB_USER', '');
define('DB_PASSWORD', '');
define('DB_HOST', '');
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
define('WP_HOME', '{url}');
define('WP_SITEURL', '{url}');
define('DISABLE_WP_CRON', true);
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('WP_DEBUG', false);
$table_prefix = 'wp_';
if (!defined('ABSPATH')) define('ABSPATH', __DIR__ . '/');
require_once ABSPATH . 'wp-settings.php';
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an editor types before pressing Publish."""

    title: str
    excerpt: str = "Ringkasan berita."
    content: str = "<p>Isi berita.</p>"
    categories: tuple[str, ...] = ("Kaltim",)
    tags: tuple[str, ...] = ()
    #: None: now.
    date: datetime | None = None
    #: The time of the last change, where WordPress's own stamp (now) is not wanted.
    modified: datetime | None = None
    #: The featured image, which no feed shows: a file of `put_file` and its alt text.
    featured: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An article that the site shows."""

    id: int
    link: str
    date: datetime


class WordPress:
    """One site; its posts are made and changed as an editor does it, behind the feed's back."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "wordpress"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.feed = f"{self.url}/feed/"
        self._server = ServerProcess(
            ["php", "-d", "opcache.enable_cli=1", "-S", f"127.0.0.1:{port}", "-t", self._root, _beside("router.php")],
            log=folder / "php.log",
            environment={"PHP_CLI_SERVER_WORKERS": str(_WORKERS)},
            ready=self.feed,
        )

    def start(self) -> None:
        """The site answers and is empty.

        Raises:
            Unavailable: it cannot be installed or started.
        """
        install_debian(*_DEBIAN)
        shutil.copytree(_FILES, self._root, ignore=shutil.ignore_patterns(".htaccess"))
        self._add_sqlite(_sqlite_plugin())
        _add_language(self._root)
        (self._root / "wp-config.php").write_text(_CONFIG.format(url=self.url))
        self._tool("install", {"url": self.url, "title": "Kaltim Kini", "language": _LANGUAGE})
        self._server.start()

    def stop(self) -> None:
        """Nothing listens on the site's port."""
        self._server.stop()

    def category_feed(self, slug: str) -> str:
        """The URL of a category's feed."""
        return f"{self.url}/category/{slug}/feed/"

    def publish(self, *drafts: Draft) -> tuple[Published, ...]:
        """The site shows the articles, written in this order."""
        answer: Sequence[dict[str, Any]] = self._tool("publish", [_fields(draft) for draft in drafts])
        return tuple(
            Published(
                id=entry["id"],
                link=entry["link"],
                date=datetime.fromisoformat(entry["date_gmt"]).replace(tzinfo=UTC),
            )
            for entry in answer
        )

    def edit(self, article: Published, *, title: str | None = None, modified: datetime | None = None) -> None:
        """The article has another title, or another time of its last change."""
        change: dict[str, Any] = {"id": article.id}
        if title is not None:
            change["title"] = title
        if modified is not None:
            change["modified_gmt"] = _stamp(modified)
        self._tool("edit", change)

    def put_file(self, name: str, content: bytes) -> str:
        """The site serves the file; its URL is returned."""
        folder = self._root / "wp-content/uploads"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        return f"{self.url}/wp-content/uploads/{name}"

    def clear(self) -> None:
        """The site has no articles."""
        self._tool("clear", None)

    def get_feed(self, headers: Mapping[str, str] | None = None) -> requests.Response:
        """The site's answer to a request for its main feed."""
        return call("GET", self.feed, headers=headers)

    def _tool(self, verb: str, argument: object) -> Any:
        done = subprocess.run(
            ["php", str(_beside("tool.php")), str(self._root), verb],
            input=json.dumps(argument),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Unavailable(f"WordPress could not {verb}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def _add_sqlite(self, source: Path) -> None:
        plugin = self._root / "wp-content/plugins" / source.name
        shutil.copytree(source, plugin)
        # The drop-in is made for WordPress 6.2, which has this property; in 6.1 a private one of that name is an error.
        driver = plugin / "wp-includes/sqlite/class-wp-sqlite-db.php"
        old, new = "private $allow_unsafe_unquoted", "protected $allow_unsafe_unquoted"
        driver.write_text(driver.read_text().replace(old, new))
        dropin = (plugin / "db.copy").read_text()
        dropin = dropin.replace("{SQLITE_IMPLEMENTATION_FOLDER_PATH}", str(plugin))
        dropin = dropin.replace("{SQLITE_PLUGIN}", f"{source.name}/load.php")
        (self._root / "wp-content/db.php").write_text(dropin)


def _sqlite_plugin() -> Path:
    """WordPress's SQLite plugin lies unpacked in the folder that is returned."""
    root = cache("wp-sqlite")
    if not list(root.glob("*/db.copy")):
        install_node()
        tarball = root / command("npm", "pack", "--silent", _SQLITE_SOURCE, folder=root).split()[-1]
        inner = "package/sqlite-database-integration.zip"
        command("tar", "xzf", tarball, inner, folder=root)
        with zipfile.ZipFile(root / inner) as archive:
            archive.extractall(root)
        tarball.unlink()
        shutil.rmtree(root / "package")
    [found] = root.glob("*/db.copy")
    return found.parent


def _add_language(root: Path) -> None:
    """WordPress takes the language for installed: it only looks whether a catalogue of that name exists."""
    folder = root / "wp-content/languages"
    folder.mkdir(exist_ok=True)
    # A catalogue of nothing but its header: https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html
    header = b"Content-Type: text/plain; charset=UTF-8\n"
    numbers = struct.pack("<11I", 0x950412DE, 0, 1, 28, 36, 0, 44, 0, 44, len(header), 45)
    (folder / f"{_LANGUAGE}.mo").write_bytes(numbers + b"\0" + header + b"\0")


def _fields(draft: Draft) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "title": draft.title,
        "excerpt": draft.excerpt,
        "content": draft.content,
        "categories": draft.categories,
        "tags": draft.tags,
    }
    if draft.date is not None:
        fields["date_gmt"] = _stamp(draft.date)
    if draft.modified is not None:
        fields["modified_gmt"] = _stamp(draft.modified)
    if draft.featured is not None:
        fields["featured"] = {"file": draft.featured[0], "alt": draft.featured[1]}
    return fields


def _stamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _beside(name: str) -> Path:
    return Path(__file__).with_name(name)
