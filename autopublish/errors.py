"""Every error of autopublish, named by the reaction it needs.

    AutopublishError
      ConfigError            exit 2; names file, line, key, what was expected
      SecretError            a secret is missing, empty or a sample: that account is blocked, the others run
      ExtraMissing           what was asked for needs a package that is not installed
      StoreError             the run stops; nothing was half written
        StoreBusy            another run is at work
        StoreLocked          another program held it for too long: what was begun is tried again
        StoreLost            damaged, or not in its place any more: nobody goes on with it
        StoreTooNew          made by a newer version of the program
      FeedError              the next poll is the retry
        FeedUnreachable      no usable answer; carries what the server asked for
        FeedMalformed        an answer that is not a feed
      LoginError             a login did not come to its end: nothing was changed
      ChannelError           a notice was not taken by this channel: the next one, or later
      MediaError             a picture that cannot be used: the next source, then none
      ComposeError           no post can be made of this article for this account: a person looks
      NetworkError           raised by `net` only; tells whether the first byte had left
      DeliveryError          raised by platforms only; tells what is true of the post
        NotSent              surely not posted: try again later
        NotReady             an upload is still in work (from `stage` only)
        RateLimited          refused for now, nothing was created
        Unauthorized         pause the account until a person acts
        MediaRejected        the picture was refused, nothing was created: once again without it
        StageExpired         what was made ready cannot become a post any more, and has not: it is made anew
        Rejected             never will be: give up on this delivery, keep the platform's words
        AlreadyPosted        the platform says that it has it
        OutcomeUnknown       may be live: verify, never resend blindly
        Undecided            from `find` only: the list ended too early or lags

The text of an error never holds a secret, a header or a request body.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autopublish.models import Receipt


class AutopublishError(Exception):
    """The base of every error that autopublish raises on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with the configuration, where it stands and what mends it."""

    file: str
    message: str
    #: Counted from 1; None where the whole file is meant.
    line: int | None = None
    column: int | None = None
    #: The path of keys, as `accounts.x.platform`.
    key: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class ConfigError(AutopublishError):
    """The configuration or the command line is wrong; nothing was changed."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class SecretError(AutopublishError):
    """A secret cannot be had; the text names the reference, never the value."""


class ExtraMissing(AutopublishError):
    """What was asked for needs a package that is not installed; the rest of the program works without it."""

    def __init__(self, extra: str, package: str) -> None:
        super().__init__(f"this needs the package {package}, which the extra `{extra}` installs: pip install {package}")
        self.extra = extra
        self.package = package


class StoreError(AutopublishError):
    """The store cannot be used; nothing was half written."""


class StoreBusy(StoreError):
    """Another run holds the store."""


class StoreLocked(StoreError):
    """Another program held the store for longer than is waited; what was begun can be tried again."""


class StoreLost(StoreError):
    """The store is damaged, or not in its place any more: whoever stays must not go on with it."""


class StoreTooNew(StoreError):
    """The store was made by a newer version of the program."""


class FeedError(AutopublishError):
    """A poll failed; what is known is unchanged and the next poll is the retry."""


class FeedUnreachable(FeedError):
    """No usable answer came; `status` is the HTTP status if there was one."""

    def __init__(self, reason: str, *, status: int | None = None, wait: timedelta | None = None) -> None:
        super().__init__(reason)
        self.status = status
        #: How long the server asked us to stay away (Retry-After), relative to its own clock.
        self.wait = wait


class FeedMalformed(FeedError):
    """The answer is not a feed that can be read."""


class LoginError(AutopublishError):
    """A login did not come to its end; what was kept of an earlier one still is."""


class ChannelError(AutopublishError):
    """A channel did not take a notice, or lacks what it needs."""


class MediaError(AutopublishError):
    """A picture cannot be fetched or used."""


class ComposeError(AutopublishError):
    """No post can be made of this article for this account.

    `hold` is the reason under which the delivery waits for a person: `template` or `link`.
    """

    def __init__(self, message: str, *, hold: str = "template") -> None:
        super().__init__(message)
        self.hold = hold


class NetworkError(AutopublishError):
    """No complete answer came; `started` tells whether the first byte of the request had left."""

    def __init__(self, reason: str, *, started: bool) -> None:
        super().__init__(reason)
        self.started = started


class DeliveryError(AutopublishError):
    """What a platform's call came to when it did not give a receipt; `str()` is the evidence."""


class NotSent(DeliveryError):
    """Surely not posted: no byte of the request had left."""


class NotReady(DeliveryError):
    """An upload is still in work; from `stage` only."""

    def __init__(self, evidence: str, *, wait: timedelta, stage: object = None) -> None:
        super().__init__(evidence)
        self.wait = wait
        #: What is done so far (a `Stage`); handed to the next call of `stage`.
        self.stage = stage


class RateLimited(DeliveryError):
    """Refused for now and nothing was created; `wait` is None if the platform did not say how long."""

    def __init__(self, evidence: str, *, wait: timedelta | None = None) -> None:
        super().__init__(evidence)
        self.wait = wait


class Unauthorized(DeliveryError):
    """The credentials are dead or lack a permission; nothing was created."""


class MediaRejected(DeliveryError):
    """The picture was refused for good and nothing was created."""


class StageExpired(DeliveryError):
    """The network itself says that what was made ready has not become a post and never will.

    That closes every earlier attempt as well, which can have been made with nothing else.
    """


class Rejected(DeliveryError):
    """Refused for good by an answer on the platform's own list of definite refusals."""


class AlreadyPosted(DeliveryError):
    """The platform says that it has the post; `receipt` if it told which one."""

    def __init__(self, evidence: str, *, receipt: Receipt | None = None, ours: bool = False) -> None:
        super().__init__(evidence)
        self.receipt = receipt
        #: True only if the answer proves that the post stands under our own key.
        self.ours = ours


class OutcomeUnknown(DeliveryError):
    """The post may be live: everything that is not proved to be something else."""


class Undecided(DeliveryError):
    """A look that was answered but cannot decide: the list ended too early, or it lags."""
