"""What the network of an account says of it, beside what the store knows."""

from __future__ import annotations

from dataclasses import replace

from autopublish.app import private_platform
from autopublish.checks._ask import Answer, wrong
from autopublish.checks._findings import Finding, Verdict
from autopublish.config import Config
from autopublish.errors import DeliveryError, SecretError
from autopublish.models import Account, AccountState, Identity, Kept, Standing
from autopublish.net import Client
from autopublish.pipeline._parts import without_secrets


def ask_account(
    account: Account, standing: Standing | None, config: Config, client: Client, kept: Kept | None = None
) -> Answer:
    """Who is logged in, whether that is who it was and may do all that is needed, and what its server takes."""
    try:
        platform = private_platform(account, config, client, kept)
        identity = platform.whoami()
        platform.learn_limits()
        missing = platform.permissions()
    except SecretError as error:
        return wrong("account", account.name, str(error))
    except DeliveryError as error:
        remedy = f"`autopublish platforms {account.platform}` tells what it needs"
        return wrong("account", account.name, f"{account.platform}: {without_secrets(error)}", remedy)
    if missing:
        words = f"{identity.name} on {account.platform}: the credentials lack {', '.join(missing)}"
        remedy = f"give them that right and take the new ones over: `autopublish platforms {account.platform}`"
        return wrong("account", account.name, words, remedy)
    words = f"{identity.name} on {account.platform}, posts of up to {platform.limits.length} characters"
    if missing is None:
        words = f"{words}; what its credentials may do, the network does not tell before a post"
    return Answer(finding=_standing(account.name, identity, standing, words))


def _standing(name: str, identity: Identity, standing: Standing | None, words: str) -> Finding:
    """An account whose network named its identity, beside what the store knows of it."""
    good = Finding(subject="account", name=name, words=words)
    if standing is None:
        return good
    pinned = standing.identity
    if pinned is not None and pinned.id != identity.id:
        return replace(
            good,
            verdict=Verdict.WRONG,
            words=f"logged in as {identity.name}, and it was {pinned.name} so far: nothing is posted",
            remedy=f"put the former credentials back, or `autopublish accounts resume {name} "
            f"--accept-identity {identity.name}`",
        )
    if standing.state is AccountState.ACTIVE:
        return good
    verdict = Verdict.NOTE if standing.state is AccountState.PAUSED else Verdict.WRONG
    words = f"{words}; {standing.state.value}: {standing.reason or 'no reason is known'}"
    is_safe = standing.state is AccountState.SAFE_MODE
    command = "go" if is_safe else f"accounts resume {name}"
    remedy = f"`autopublish {command}` lets it go on{', once you looked at its network' if is_safe else ''}"
    return replace(good, verdict=verdict, words=words, remedy=remedy)
