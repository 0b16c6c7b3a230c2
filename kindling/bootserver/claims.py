"""The rules of the one claim to initialise (design decision 11): pure functions.

A claim is granted once for each stack, cluster, purpose and incarnation. When it is done, nobody
is granted until the incarnation rises, whatever the endpoint answers: a re-installed first control
plane joins. What is not recorded is not proof: a database that was lost knows of no claim, so the
first one is granted only when nothing else that is known speaks against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kindling.bootserver.durations import age
from kindling.bootserver.states import Record
from kindling.models.documents import NodeDocument

Purpose = Literal["kubernetes", "etcd"]
PURPOSES: tuple[Purpose, ...] = ("kubernetes", "etcd")
Key = tuple[str, str, Purpose, int]  # stack, cluster, purpose, incarnation: one claim of each

_PLANE, _ETCD = "control-plane", "etcd"  # roles as documents write them


@dataclass(frozen=True, slots=True)
class Claim:
    """Who initialises what, or has done it. Times are seconds since the epoch."""

    stack: str
    cluster: str
    purpose: Purpose
    incarnation: int
    holder: str  # host name
    claimed_at: float
    done_at: float | None = None

    @property
    def key(self) -> Key:
        """What there is one claim of."""
        return (self.stack, self.cluster, self.purpose, self.incarnation)


@dataclass(frozen=True, slots=True)
class Asking:
    """What a machine asks for, authenticated as the node of ``document``."""

    document: NodeDocument
    purpose: Purpose
    generation: int
    incarnation: int  # that the machine belongs to; the published one if it does not say
    done: bool = False

    @property
    def key(self) -> Key:
        """The key of the claim that it is about."""
        document = self.document
        return (document.stack, document.cluster, self.purpose, self.incarnation)


@dataclass(frozen=True, slots=True)
class Member:
    """A published node of the cluster, with what is recorded of it."""

    document: NodeDocument
    record: Record


@dataclass(frozen=True, slots=True)
class Known:
    """What the server knows when it is asked.

    ``incarnation`` is the published one, 0 while the stack's site document is missing. ``waiting``
    is for how long (s) the database is too new to be trusted.
    """

    incarnation: int
    members: Sequence[Member]
    waiting: float = 0.0

    @property
    def documents(self) -> list[NodeDocument]:
        """Every node of the cluster."""
        return [member.document for member in self.members]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. ``claim`` is to be stored when it differs from the stored one."""

    granted: bool
    holder: str
    reason: str
    claim: Claim | None = None


def role_of(purpose: Purpose, nodes: Iterable[NodeDocument]) -> str:
    """The role that initialises such a thing; ``nodes`` are all of the cluster."""
    if purpose == "etcd" and any(node.role == _ETCD for node in nodes):
        return _ETCD
    return _PLANE


def judge(asking: Asking, claim: Claim | None, known: Known, now: float) -> Verdict:
    """Whether the claim is granted, or its end accepted; ``claim`` is the stored one."""
    forbidden = _forbidden(asking, known)
    if forbidden:
        return Verdict(False, "", forbidden)
    if asking.done:
        return _ended(asking, claim, now)
    objection = _objection(asking, known)
    if not objection and claim is not None:
        return _again(asking, claim, known, now)
    objection = objection or _not_the_first(asking, known)
    if objection:
        return Verdict(False, "", objection)
    host = asking.document.hostname
    return Verdict(True, host, f"{host} initialises {asking.purpose}", _claim(asking, now))


def ended(claim: Claim | None, asking: Asking, now: float) -> Claim:
    """The claim once it is known that what it is about exists, whoever made it."""
    known = claim or _claim(asking, now)
    return known if known.done_at is not None else replace(known, done_at=now)


def _forbidden(asking: Asking, known: Known) -> str:
    """Why this machine may say nothing about it at all; empty when it may."""
    document, purpose = asking.document, asking.purpose
    if document.role != role_of(purpose, known.documents):
        return f"a node of role {document.role} does not initialise {purpose} here"
    if not known.incarnation:
        return f"the stack {document.stack} is not published yet; ask again"
    if asking.incarnation > known.incarnation:
        return f"incarnation {asking.incarnation} of the cluster is not published yet; ask again"
    return ""


def _ended(asking: Asking, claim: Claim | None, now: float) -> Verdict:
    """The holder is done. It may say so again, and also after the records were lost."""
    host = asking.document.hostname
    if claim is not None and claim.holder != host:
        state = "initialised it" if claim.done_at is not None else "holds this claim"
        return Verdict(False, claim.holder, f"not {host} but {claim.holder} {state}")
    return Verdict(True, host, f"{asking.purpose} is initialised", ended(claim, asking, now))


def _again(asking: Asking, claim: Claim, known: Known, now: float) -> Verdict:
    """An answer from the stored claim."""
    if claim.done_at is not None:
        said = f"{claim.holder} initialised {claim.purpose} {age(now - claim.done_at)} ago; join it"
        return Verdict(False, claim.holder, said)
    if claim.holder == asking.document.hostname:
        # Its disk was written since: what it began is gone, and who joined it meanwhile has the
        # cluster, also when the word that it was done was lost.
        inside = _inside(asking, known) if _began_anew(asking, claim, known) else ""
        if inside:
            return Verdict(False, claim.holder, inside)
        return Verdict(True, claim.holder, f"{claim.holder} initialises {claim.purpose}")
    said = (
        f"{claim.holder} initialises {claim.purpose} since {age(now - claim.claimed_at)};"
        " wait for it, then join"
    )
    return Verdict(False, claim.holder, said)


def _objection(asking: Asking, known: Known) -> str:
    """What speaks against this machine as the one that initialises; empty when nothing does."""
    document = asking.document
    if asking.incarnation != known.incarnation:
        return (
            f"this machine belongs to incarnation {asking.incarnation} of the cluster, and"
            f" {known.incarnation} is published: raise its generation to install it again"
        )
    if asking.generation != document.generation:
        return (
            f"generation {document.generation} of {document.hostname} is published; it claims when"
            " that one is installed"
        )
    mine = next((m.record for m in known.members if _is_me(m, asking)), None)
    return f"{document.hostname} is held: {mine.held}" if mine and mine.held else ""


def _not_the_first(asking: Asking, known: Known) -> str:
    """What speaks against a first claim, where none is recorded; empty when nothing does."""
    if inside := _inside(asking, known):
        return inside
    role = role_of(asking.purpose, known.documents)
    others = [m for m in known.members if m.document.role == role and not _is_me(m, asking)]
    unheard = [m.document.hostname for m in others if _may_hide_a_cluster(m.record)]
    if known.waiting > 0 and unheard:
        return (
            f"the boot server's records are new, and nothing was heard of {', '.join(unheard)},"
            f" who may be in a running cluster; ask again in {age(known.waiting)}"
        )
    return ""


def _inside(asking: Asking, known: Known) -> str:
    """That somebody is in the cluster, as a sentence; empty when nobody is known to be."""
    found = next((m for m in known.members if _is_proof(m, asking)), None)
    return f"{found.document.hostname} is in the cluster already; join it" if found else ""


def _began_anew(asking: Asking, claim: Claim, known: Known) -> bool:
    """Whether the asking machine was installed after it was granted the claim."""
    mine = (m.record.installed_at for m in known.members if _is_me(m, asking))
    return any(at is not None and at > claim.claimed_at for at in mine)


def _is_proof(member: Member, asking: Asking) -> bool:
    """Whether a node was in the cluster since it was installed, so the cluster is initialised."""
    roles = (_PLANE,) if asking.purpose == "kubernetes" else (_PLANE, _ETCD)
    record = member.record
    return (
        member.document.role in roles
        and record.joined_at is not None
        and record.stage_incarnation == asking.incarnation
    )


def _may_hide_a_cluster(record: Record) -> bool:
    """Whether nothing is known of a machine that may have initialised it before.

    Not of these: one whose disk was written under the eyes of these records, and one that says
    that it is on its way in.
    """
    written = record.written_generation
    return not (
        (written and written == record.installed_generation)
        or record.phase == "installing"
        or record.stage in ("initialising", "joining")
    )


def _is_me(member: Member, asking: Asking) -> bool:
    return member.document.hostname == asking.document.hostname


def _claim(asking: Asking, now: float) -> Claim:
    return Claim(*asking.key, asking.document.hostname, now)
