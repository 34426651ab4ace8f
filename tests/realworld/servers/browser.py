"""A real browser, and what it finds wrong with a page: Debian's Chromium, driven by Playwright from npm.

Source: https://playwright.dev/docs/api/class-browsertype#browser-type-launch
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.realworld.servers._install import command, install_debian, install_node, install_npm

_CHROMIUM = "/usr/bin/chromium"
#: Without a browser of its own.
_PACKAGES = ("playwright-core@1.65.1",)
_MODULE = "node_modules/playwright-core/index.js"
_SCRIPT = Path(__file__).with_name("browser.mjs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a browser saw of one page at one width in one colour scheme."""

    #: How many pixels the page is wider than the window; 0 or less: nobody must scroll sideways.
    overflow_px: int
    articles: int
    #: Elements that stick out of their article, where they cannot be read.
    clipped: tuple[str, ...]
    #: Addresses of pictures that could not be shown.
    broken: tuple[str, ...]
    #: Lines of the console that are errors; a breach of the page's policy is one.
    errors: tuple[str, ...]
    #: Every address that was asked for.
    asked: tuple[str, ...]
    #: Computed colour behind the page.
    ground: str


class Browser:
    """A Chromium that is started anew for each look."""

    def __init__(self) -> None:
        """It is installed.

        Raises:
            Unavailable: it cannot be had on this machine.
        """
        install_debian("chromium", "fonts-dejavu-core")
        install_node()
        self._tree = install_npm("browser", _PACKAGES, native=_MODULE)

    def look(self, page: Path, *, width: int, scheme: str) -> Sight:
        """What a window of that width shows of a file."""
        environment = {
            "TREE": str(self._tree),
            "CHROMIUM": _CHROMIUM,
            "ROOT": str(int(os.geteuid() == 0)),
            "URL": page.as_uri(),
            "WIDTH": str(width),
            "SCHEME": scheme,
        }
        return _sight(json.loads(command("node", _SCRIPT, environment=environment)))


def _sight(answer: dict[str, Any]) -> Sight:
    return Sight(
        overflow_px=int(answer["overflow"]),
        articles=int(answer["articles"]),
        clipped=tuple(answer["clipped"]),
        broken=tuple(answer["broken"]),
        errors=tuple(answer["errors"]),
        asked=tuple(answer["asked"]),
        ground=str(answer["ground"]),
    )
