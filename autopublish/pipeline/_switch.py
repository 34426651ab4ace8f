"""A person's big switch for categories: what waits is held in the same moment, and goes on in the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches

from autopublish import deliveries
from autopublish.models import Article, Delivery, Standing, Stop
from autopublish.posts import category_key, stops_of
from autopublish.store import Store

#: So many of the newest articles show which categories there are.
_ARTICLES_ASKED = 5000


def stop_category(store: Store, stop: Stop) -> tuple[Stop | None, Sequence[Delivery]]:
    """Nothing of the category is sent; gives the earlier stop if there was one, and what is held for this one."""
    assert stop.category is not None

    def held(delivery: Delivery, article: Article) -> Delivery | None:
        return deliveries.hold_stopped(delivery, stops_of(article, (stop,)), stop.since)

    return store.stop_category(stop, category_key(stop.category), held=held)


def go_category(store: Store, category: str, *, actor: str, now: datetime) -> tuple[Stop | None, Sequence[Delivery]]:
    """What was held for the stop of the category goes on; gives that stop, if there was one, and what was held."""

    def released(delivery: Delivery, article: Article, left: Sequence[Stop], standing: Standing | None) -> Delivery:
        return deliveries.release_stopped(delivery, stops_of(article, left), standing, now)

    return store.go_category(
        category_key(category), reason=deliveries.held_for, released=released, actor=actor, now=now
    )


def near_categories(store: Store, category: str) -> Sequence[str] | None:
    """None if an article of late has the category, else those that are spelt nearly so."""
    known = {category_key(one): one for article in store.newest_articles(_ARTICLES_ASKED) for one in article.categories}
    key = category_key(category)
    if key in known:
        return None
    return tuple(known[near] for near in get_close_matches(key, known, n=3))
