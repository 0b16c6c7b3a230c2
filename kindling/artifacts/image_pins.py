"""Checking that every image of a stack's manifests exists for every architecture that needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from kindling.artifacts.archives import platforms_of
from kindling.artifacts.references import parse_reference
from kindling.artifacts.registry import NoSuchImage, Registry
from kindling.artifacts.web import Patience, SourceFailed, persist
from kindling.errors import DigestMismatch
from kindling.models.architecture import Architecture

_WORKERS = 4


class ImagePin(BaseModel):
    """What an image was when the stack was locked; ``digest`` of its index or only manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str = Field(pattern=r"sha256:[0-9a-f]{64}")
    architectures: tuple[Architecture, ...]


@dataclass(frozen=True)
class NeededImage:
    """An image as manifests write it: who names it, and the architectures it is needed for."""

    reference: str
    users: tuple[str, ...]  # flannel, manifest-site
    architectures: tuple[Architecture, ...]

    @property
    def named(self) -> str:
        """For messages."""
        return f"{', '.join(self.users)}: image {self.reference}"


@dataclass
class Findings:
    """``problems`` are the user's to mend; ``unknown`` are images that could not be asked for."""

    pins: dict[str, ImagePin] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)


def check_images(
    needed: Iterable[NeededImage], known: Mapping[str, ImagePin], patience: Patience
) -> Findings:
    """Ask registries for what ``known`` (the lock file) does not answer."""
    findings = Findings()
    asked = []
    for image in needed:
        pin = known.get(image.reference)
        if pin is not None and set(image.architectures) <= set(pin.architectures):
            findings.pins[image.reference] = pin
        else:
            asked.append(image)
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="image") as pool:
        for image, answer in zip(asked, pool.map(lambda e: _ask(e, patience), asked), strict=True):
            _note(image, answer, findings)
    return findings


def _ask(image: NeededImage, patience: Patience) -> ImagePin | SourceFailed | DigestMismatch:
    try:
        reference = parse_reference(image.reference)
    except ValueError as error:
        return NoSuchImage(str(error))
    try:
        with Registry(reference, patience) as registry:
            found, platforms = persist(patience, lambda: platforms_of(registry))
    except (SourceFailed, DigestMismatch) as error:
        return error
    has = {platform.architecture for platform in platforms if platform.os == "linux"}
    return ImagePin(
        digest=found.digest, architectures=tuple(each for each in Architecture if each.go in has)
    )


def _note(
    image: NeededImage, answer: ImagePin | SourceFailed | DigestMismatch, findings: Findings
) -> None:
    if isinstance(answer, NoSuchImage):
        findings.problems.append(f"{image.named}: its registry {answer}")
    elif isinstance(answer, Exception):
        findings.unknown.append(f"{image.named}: {answer}")
    else:
        findings.pins[image.reference] = answer
        missing = [str(a) for a in image.architectures if a not in answer.architectures]
        if missing:
            has = ", ".join(answer.architectures) or "none of ours"
            findings.problems.append(
                f"{image.named}: has no manifest for {' and '.join(missing)}, which nodes of the "
                f"stack have (it has: {has}); take another version, or patch the image"
            )
