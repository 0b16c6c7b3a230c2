"""An installed node: its first disk boot with Ignition; the reporter and the cluster at every."""

from __future__ import annotations

import posixpath

from kindling.errors import SimulationError
from kindling.simulator import cluster
from kindling.simulator.cluster import Membership, Place
from kindling.simulator.faults import Point
from kindling.simulator.kernel import CommandLine
from kindling.simulator.outcome import State, Stopped
from kindling.simulator.running import Running
from kindling.simulator.system import System

UNIT = "kindling-report.service"
_CONFIGURATION = "/etc/kindling/"
_ENVIRONMENT = "/etc/kindling/node.env"
_TOKEN = "/etc/kindling/status.token"
_EXTENSIONS = "/etc/extensions/"
_OWN = "/usr/"  # the image's own files, which are not simulated
_NOTHING = "/dev/null"  # how an extension of the system is switched off


def boot(running: Running) -> str | None:
    """Boot the node on the disk: its stage in the cluster, empty where there is none.

    None when the server asks it to restart.

    Raises `Stopped` when the first boot fails or the report is not accepted, `SimulationError`
    for what a real machine could not follow.
    """
    state = running.disk.state
    running.console.line("boots its disk")
    with running.in_initramfs(CommandLine.parse(state.oem_arguments)) as started:
        if not state.first_boot_done:
            _first_boot(started)
        return _report(started)


def _first_boot(running: Running) -> None:
    """Ignition runs once; after a failure the disk is as it was, and the next boot tries again."""
    executor = running.executor()
    body = (running.disk.state.ignition or "").encode()
    try:
        system = executor.apply(body, "/oem/config.ign")
        _check_extensions(system)
        _keep(running, system)
    except SimulationError as error:
        _report_failure(running, executor.system, str(error))
        raise Stopped(State.FAILED, f"first boot: {error}") from error
    running.faults.pass_point(Point.FIRST_BOOT)


def _check_extensions(system: System) -> None:
    """A link into nowhere would silently leave out an extension."""
    for path, link in system.links.items():
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
        known = target in system.files or target == _NOTHING or target.startswith(_OWN)
        if path.startswith(_EXTENSIONS) and not known:
            raise SimulationError(f"{path}: links to {target}, which is not there")


def _keep(running: Running, system: System) -> None:
    """Later boots have the files that Ignition wrote, but no Ignition."""
    reporter = system.starts(UNIT)
    if reporter:
        system.environment(_ENVIRONMENT)
        system.secret(_TOKEN)
    kept = {
        path: system.bytes_of(path).decode()
        for path in system.files
        if path.startswith(_CONFIGURATION)
    }
    running.disk.change(files=kept, reporter=reporter, first_boot_done=True)


def _report_failure(running: Running, system: System, reason: str) -> None:
    """A failed first boot tells what it can, with the token that its Ignition brought."""
    running.console.line(f"first boot failed: {reason}")
    if _ENVIRONMENT not in system.files or _TOKEN not in system.files:
        return
    settings = system.environment(_ENVIRONMENT)
    reporter = running.reporter(settings["KINDLING_STATUS_URL"], system.secret(_TOKEN))
    marker = running.disk.state.marker
    digest = marker.digest if marker else None
    reporter.post("failed", int(settings["KINDLING_GENERATION"]), digest, f"first boot: {reason}")


def _report(running: Running) -> str | None:
    disk = running.disk
    if not disk.state.reporter:
        raise Stopped(State.UNREPORTED, f"{UNIT} is not enabled on this node")
    kept = System.of_texts(disk.state.files)
    settings = kept.environment(_ENVIRONMENT)
    running.console.name = settings["KINDLING_HOST"]
    token = disk.state.files[_TOKEN].strip()
    reporter = running.reporter(settings["KINDLING_STATUS_URL"], token)
    marker = disk.state.marker
    answer = reporter.post(
        "booted", int(settings["KINDLING_GENERATION"]), marker.digest if marker else None
    )
    if not answer.accepted:
        raise Stopped(State.UNREPORTED, f"`booted` was not accepted: {answer.reason}")
    running.faults.pass_point(Point.BOOTED)
    _clean_up(running, settings.get("KINDLING_FIRST_BOOT_ARGUMENTS"))
    stage = ""
    if cluster.ENVIRONMENT in kept.files and not answer.reboot:
        generation = int(settings["KINDLING_GENERATION"])
        member = Membership(running, Place.read(kept), reporter, generation)
        answer, stage = member.enter(), member.stage
    return None if answer.reboot else stage


def _clean_up(running: Running, first_boot_arguments: str | None) -> None:
    """Secrets and first-boot network arguments go after the first good answer."""
    disk = running.disk
    arguments = disk.state.oem_arguments.split()
    if first_boot_arguments is None:
        kept = [word for word in arguments if not word.startswith("ip=")]
    else:
        kept = [word for word in arguments if word not in first_boot_arguments.split()]
    if disk.state.ignition is None and kept == arguments:
        return
    disk.change(ignition=None, oem_arguments=" ".join(kept))
    running.console.line("removed the secrets of the installation from the disk")
