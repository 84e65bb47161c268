"""The takeover of another machine's rollout, if it is signed or trusted, checked again under the lock."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from backends.consul.signing import Signer
from backends.secrets import Secret
from orchestrator.errors import Unauthenticated
from orchestrator.events.events import LockTaken
from orchestrator.remote.rollout import RolloutSubscriber
from orchestrator.session.takeover import break_lock_first, find_offer, take_over_again
from tests.support import forged
from tests.unit import journals
from tests.unit.test_forged import Desk, OneKey

if TYPE_CHECKING:
    from orchestrator.session.session import Session

SIGNER = Signer(Secret("0123456789abcdef"), "rolldeck/shop")
VALUE = forged.packed(forged.publication())  # of fence 3
OTHER = Signer(Secret("fedcba9876543210"), "rolldeck/shop").sign("publication", VALUE)
SIGNED = SIGNER.sign("publication", VALUE)


def desk(tmp_path: Path, value: bytes, signer: Signer | None) -> "Session":
    consul = OneKey()
    consul.value = value
    at: Any = Desk(tmp_path / "journal.db")
    at.published = RolloutSubscriber(cast("Any", consul), "rolldeck", "shop", signer)
    return cast("Session", at)


async def taken(session: "Session", *, trusted: bool = False) -> bool:
    await take_over_again(session, trusted=trusted)
    return session.work_log.last_unfinished() is not None


@pytest.mark.parametrize("value", [VALUE, SIGNED])
async def test_without_a_key_somebody_has_to_say_so(tmp_path: Path, value: bytes) -> None:
    session = desk(tmp_path, value, None)
    with pytest.raises(Unauthenticated, match=r"the upgrade of shop to 1\.5\.0 by ann@far .*--trust-"):
        await taken(session)
    assert session.work_log.last_unfinished() is None
    assert await taken(session, trusted=True)
    assert await find_offer(session) is None, "it is known now"


@pytest.mark.parametrize("value", [VALUE, OTHER])
async def test_with_a_key_it_is_as_if_it_were_not_there(tmp_path: Path, value: bytes) -> None:
    session = desk(tmp_path, value, SIGNER)
    assert not await taken(session)
    offer = await find_offer(session)
    assert offer is not None
    assert offer.ignored
    assert "key rolldeck/shop/rollout in Consul is ignored: it" in offer.reason
    assert await taken(session, trusted=True)


async def test_what_is_signed_needs_nothing_more(tmp_path: Path) -> None:
    assert await taken(desk(tmp_path, SIGNED, SIGNER))


async def test_a_lock_is_broken_first_only_for_what_is_to_be_taken_over(tmp_path: Path) -> None:
    session = desk(tmp_path, VALUE, SIGNER)
    cases = ((session, True), (desk(tmp_path, SIGNED, SIGNER), False), (desk(tmp_path, b"{", SIGNER), True))
    for at, break_lock in cases:  # not vouched for; not to be broken; and what Consul has is nothing at all
        async with break_lock_first(at, "upgrade", break_lock=break_lock, trusted=False):
            assert at.work_log._held is None
    assert session.work_log.last_unfinished() is None


async def test_unless_this_machine_has_seen_a_later_one(tmp_path: Path) -> None:
    """Also in another run of Rolldeck: whoever writes there may bring back what was once true."""
    session = desk(tmp_path, SIGNED, SIGNER)
    lock_taken = journals.numbered(LockTaken(operator="me@here", fence=4))
    journals.write(tmp_path / "journal.db", lock_taken)
    offer = await find_offer(session)
    assert offer is not None
    assert offer.reason.endswith("it was signed under fence 3, and this machine has seen 4")
    assert session.work_log.newest_fence() == 4


async def test_an_older_state_of_the_same_rollout_is_not_that_of_now(tmp_path: Path) -> None:
    published = forged.publication()
    consul = OneKey()
    following = RolloutSubscriber(cast("Any", consul), "rolldeck", "shop", SIGNER)
    for number, verified in ((2, True), (2, True), (1, False), (3, True)):
        consul.value = SIGNER.sign("publication", forged.packed(published | {"number": number}))
        seen = await following.read()
        assert seen is not None
        assert seen.verified is verified
        assert bool(seen.doubt) is not verified
