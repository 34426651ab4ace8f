"""A person's withdrawal: a post is taken away where its network lets programs do so."""

from __future__ import annotations

from autopublish import deliveries
from autopublish.models import Account, Delivery
from autopublish.pipeline._parts import Parts
from autopublish.pipeline._tokens import renewing


def withdraw(parts: Parts, account: Account, delivery: Delivery, *, actor: str) -> bool:
    """The post is not there any more, and its delivery is CANCELLED; False: somebody else changed that meanwhile.

    A post that was gone before counts as withdrawn.

    Raises:
        NotAllowed: the delivery is not POSTED, or no program may delete on this network.
        SecretError: a secret is missing, empty or a sample.
        DeliveryError: the network did not delete it; nothing was changed.
    """
    after = deliveries.withdraw(delivery, actor, parts.clock())
    receipt = delivery.receipt
    assert receipt is not None  # it is POSTED
    try:
        renewing(parts, account, parts.connect(account), lambda platform: platform.delete(receipt))
    except NotImplementedError:
        place = receipt.url or receipt.remote_id
        raise deliveries.NotAllowed(
            f"no program may delete on {account.platform}: take it away by hand, at {place}"
        ) from None
    return parts.store.change(delivery, after, actor=actor, why=f"{after.reason}: {receipt.url or receipt.remote_id}")
