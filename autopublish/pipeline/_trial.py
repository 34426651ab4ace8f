"""A person's test of an account: a post that says what it is, read back and taken away at once.

Nothing of it is an article or a delivery, and nothing of it is stored.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

from autopublish.deliveries import NotAllowed
from autopublish.errors import DeliveryError, NotReady, OutcomeUnknown, Undecided
from autopublish.models import Account, Article, HashtagRules, Identity, Post, ReadBack, Receipt, Stage
from autopublish.pipeline._parts import Parts, without_secrets
from autopublish.pipeline._tokens import renewing
from autopublish.platforms._base import Platform
from autopublish.posts import compose

#: An upload that is in work is asked for so often.
_MOST_WAITS = 10
_LOOK_BACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A test post that is ready to go."""

    platform: Platform
    identity: Identity
    post: Post
    #: Waits for an upload.
    wait: Callable[[timedelta], None]

    @property
    def price(self) -> Decimal:
        """What the network takes for it, in dollars."""
        return self.platform.price(self.post)

    def run(self, tell: Callable[[str], None]) -> bool:
        """Post it, read it back and delete it; `tell` is told each step. Gives whether all went well."""
        key = secrets.token_hex(16)
        stage = Stage()
        try:
            stage = self._staged()
            receipt = self.platform.publish(self.post, stage, key=key)
        except OutcomeUnknown as error:
            tell(f"nobody knows whether it was posted: {without_secrets(error)}")
            found = self._seen(stage, key, tell)
            return found is not None and self._deleted(found, tell)
        except DeliveryError as error:
            tell(f"not posted: {without_secrets(error)}")
            return False
        tell(f"posted: {receipt.url or receipt.remote_id}")
        self._seen(stage, key, tell)
        return self._deleted(receipt, tell)

    def _staged(self) -> Stage:
        stage = Stage()
        for _ in range(_MOST_WAITS):
            try:
                return self.platform.stage(self.post, stage)
            except NotReady as error:
                stage = error.stage if isinstance(error.stage, Stage) else stage
                self.wait(error.wait)
        return self.platform.stage(self.post, stage)

    def _seen(self, stage: Stage, key: str, tell: Callable[[str], None]) -> Receipt | None:
        if self.platform.read_back in (ReadBack.NONE, ReadBack.BY_ANSWER):
            tell("not read back: the network shows a program no posts")
            return None
        try:
            found = self.platform.find(self.post, stage, key=key, since=self.post.created_at - _LOOK_BACK)
        except (Undecided, DeliveryError) as error:
            tell(f"not read back: {without_secrets(error)}")
            return None
        tell("read back: it is there" if found else "read back: it is not among the account's posts, or not yet")
        return found

    def _deleted(self, receipt: Receipt, tell: Callable[[str], None]) -> bool:
        place = receipt.url or receipt.remote_id
        try:
            self.platform.delete(receipt)
        except NotImplementedError:
            tell(f"not deleted: the network lets no program do that; take it away by hand, at {place}")
            return True
        except DeliveryError as error:
            tell(f"not deleted: {without_secrets(error)}; take it away by hand, at {place}")
            return False
        tell("deleted")
        return True


def prepare(parts: Parts, account: Account, *, site: str | None, wait: Callable[[timedelta], None]) -> Trial:
    """A test post for the account, which is logged in as the one that it was so far.

    `site` is an address whose host the post links to; None: to an example, which leads nowhere.

    Raises:
        NotAllowed: another identity is logged in than the one that posted so far.
        SecretError: a secret is missing, empty or a sample.
        DeliveryError: the network did not say who is logged in.
        ComposeError: no post can be made for it.
    """
    connection = parts.connect(account)
    connection, identity = renewing(parts, account, connection, lambda platform: platform.whoami())
    standing = parts.store.standings().get(account.name)
    if standing is not None and standing.identity is not None and standing.identity.id != identity.id:
        raise NotAllowed(f"the credentials belong to {identity.name}, and it was {standing.identity.name} so far")
    platform = connection.platform
    platform.learn_limits()
    plain = replace(account, template="{{ title }}\n\n{{ link }}\n", hashtags=HashtagRules(most=0))
    post = compose(_article(site, parts.clock()), plain, platform.limits, picture=None, now=parts.clock())
    return Trial(platform=platform, identity=identity, post=post, wait=wait)


def _article(site: str | None, now: datetime) -> Article:
    parts = urlsplit(site or "")
    home = f"{parts.scheme}://{parts.netloc}/" if parts.scheme in ("http", "https") else "https://example.com/"
    mark = secrets.token_hex(6)
    published = now.replace(microsecond=0)
    return Article(
        id=mark,
        feed="",
        origin=mark,
        # Its own address, by which it is found again.
        link=f"{home}?autopublish-test={mark}",
        title=f"autopublish test {published:%Y-%m-%d %H:%M:%S} UTC, deleted at once",
        published=published,
        first_seen=published,
    )
