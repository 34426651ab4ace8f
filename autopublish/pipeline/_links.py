"""Whether articles' links still answer: asked before a late send, and again while it is held for a dead one."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from threading import Lock

from autopublish.errors import NetworkError
from autopublish.models import Article, Feed
from autopublish.pipeline._parts import Parts

#: A page may be large; only its status matters.
LIMIT_BYTES = 5_000_000
DEADLINE = timedelta(seconds=15)


class Links:
    """What articles' links answer, asked once for each article in a round."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._answers: dict[str, int | None] = {}
        self._asking: defaultdict[str, Lock] = defaultdict(Lock)
        self._lock = Lock()

    def begin_round(self) -> None:
        """What was answered in the round before is no answer of this one."""
        with self._lock:
            self._answers.clear()
            self._asking.clear()

    def status(self, article: Article, feed: Feed) -> int | None:
        """The status that a GET of the article's link ends with; None if no answer came or it has no link."""
        with self._lock:
            asking = self._asking[article.id]
        with asking:
            if article.id not in self._answers:
                self._answers[article.id] = self._ask(article, feed)
            return self._answers[article.id]

    def _ask(self, article: Article, feed: Feed) -> int | None:
        if article.link is None:
            return None
        try:
            return self._parts.client.get(
                article.link,
                limit_bytes=LIMIT_BYTES,
                deadline=DEADLINE,
                allow_private=feed.settings.allow_private,
            ).status
        except NetworkError:
            return None
