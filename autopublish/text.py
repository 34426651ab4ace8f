"""Plain text: counting as networks count, shortening inside graphemes, HTML to text.

Knows nothing of articles or platforms; a platform names its way of counting through `TextLimits`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TextLimits:
    """How much text a network takes, and how it counts it."""

    #: Most units of `count` in one post.
    length: int
    #: How the network counts: `graphemes`, `characters`, `utf16_units`, `weighted`, or a platform's own function.
    count: Callable[[str], int]
    #: What any link counts, where that is fixed (t.co and its kin); None: as it is written.
    url_length: int | None = None
    #: Most UTF-8 bytes, where the network limits them as well.
    size_bytes: int | None = None
    #: Most characters of one hashtag without its `#`.
    hashtag_length: int = 64
