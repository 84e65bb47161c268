"""What steps ask of the judgement on the new version, where there is none."""

import asyncio


class NoJudgement:
    """Objects to nothing: there is no rollout, or its version is not judged."""

    acts = False

    def __init__(self) -> None:
        self.deciding = asyncio.Lock()  # held while an operator decides about a hold

    @property
    def is_blind(self) -> bool:
        """Whether too little is known to judge the version."""
        return True

    def returns(self, node: str, version: str | None) -> None:
        """Note that a node is about to be put into rotation with this version."""

    def leaves(self, node: str) -> None:
        """Note that a node is worked on from now on."""

    def failure(self, node: str) -> str:
        """Return why a node is to leave rotation at once; empty while it may stay."""
        return ""

    @property
    def refusal(self) -> str:
        """Why no node may be put into rotation with the target version; empty while one may."""
        return ""

    @property
    def hold(self) -> str:
        """Why no further node is to be drained; empty while one may be."""
        return ""

    @property
    def objection(self) -> str:
        """Why a node is not to get more traffic than it has; empty while it may."""
        return ""

    @property
    def undecided(self) -> str:
        """Why a node is to bake a little longer: it will soon be known what its errors mean; often empty."""
        return ""

    @property
    def suspicion(self) -> str:
        """Why to wait for a while before a node is taken out: one that is back looks worse; often empty."""
        return ""

    @property
    def hold_cause(self) -> str:
        """What the hold comes from: an operator decides once about each."""
        return ""

    @property
    def asks(self) -> bool:
        """Whether an operator may continue in spite of the hold."""
        return True

    def accept_hold(self, cause: str) -> None:
        """Note that an operator continues in spite of a hold."""

    def forgive(self) -> None:
        """Begin anew: an operator has decided to go on with a version that was bad."""
