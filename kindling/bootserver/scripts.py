"""The iPXE scripts that a machine may get, rendered from ``templates/ipxe/``."""

from __future__ import annotations

from functools import lru_cache

from kindling.bootserver.addresses import for_script
from kindling.models.documents import NodeDocument
from kindling.templating import render


def install_script(document: NodeDocument, ticket: str) -> bytes:
    """Start the installer; ``ticket`` opens its Ignition."""
    boot = document.boot
    mac = document.macs[0].replace(":", "-")
    return render(
        "ipxe/install.ipxe",
        hostname=document.hostname,
        generation=document.generation,
        base_url=boot.base_url,
        kernel=boot.kernel,
        initrds=boot.initrds,
        arguments=boot.arguments,
        ignition_url=f"{boot.base_url}/ignition/{mac}?token={ticket}",
    ).encode()


@lru_cache(maxsize=8192)
def disk_script(hostname: str | None, reason: str) -> bytes:
    """Boot the local disk."""
    return render("ipxe/disk.ipxe", hostname=hostname, reason=for_script(reason)).encode()


@lru_cache(maxsize=1024)
def stop_script(reason: str) -> bytes:
    """Say why nothing is installed, leave time to read it, then boot the local disk."""
    return render("ipxe/stop.ipxe", reason=for_script(reason)).encode()


@lru_cache(maxsize=16)
def entry_script(base_url: str) -> bytes:
    """Find out the machine's architecture and ask again."""
    return render("ipxe/boot.ipxe", base_url=base_url).encode()
