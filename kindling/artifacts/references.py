"""Names of container images, as Docker, containerd and Kubernetes read them."""

from __future__ import annotations

import re
from dataclasses import dataclass

# distribution/reference, reference.go: what stands before the first slash is a registry when it
# has a dot or a port or is localhost; docker.io is served by another name, and its images without
# a slash are in library/.
_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"
_PARTS = re.compile(
    r"(?P<name>[a-zA-Z0-9][\w.-]*(?::\d+)?(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Reference:
    """One image: ``registry`` is the name in the reference, ``host`` where that is served."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def host(self) -> str:
        """The server to ask."""
        return _HUB_HOST if self.registry == _HUB else self.registry

    @property
    def wanted(self) -> str:
        """What the server is asked for: the digest where one is given."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        """The full name: docker.io/library/haproxy:3.2.22."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """A reference, complete. Raises ValueError for what is none."""
    found = _PARTS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text}: is not the name of an image; write it like quay.io/team/app:1.0")
    first, slash, rest = found["name"].partition("/")
    named = bool(slash) and (bool(set(first) & {".", ":"}) or first == "localhost")
    registry, repository = (first, rest) if named else (_HUB, found["name"])
    if registry == _HUB and "/" not in repository:
        repository = f"library/{repository}"
    tag = found["tag"] or (None if found["digest"] else "latest")
    return Reference(registry, repository, tag, found["digest"])
