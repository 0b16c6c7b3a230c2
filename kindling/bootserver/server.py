"""Running the boot server: granian, its workers, its end."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes
from granian.log import LogLevels

from kindling.bootserver.settings import COUNTERS_VARIABLE, Settings
from kindling.errors import BootServerError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

_STOP_AFTER = 10  # seconds that requests under way get after SIGTERM or SIGINT
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished first.

    Raises `BootServerError` when the address cannot be used.
    """
    settings.prepare()
    _check_address(settings)
    address = f"[{settings.host}]" if ":" in settings.host else settings.host
    log.info("boot server at %s://%s:%d", settings.scheme, address, settings.port)
    if settings.workers > 1:
        _share_counters(settings.private / "metrics")
    server = Granian(
        "kindling.bootserver.app:create_app",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGI,
        workers=settings.workers,
        # One runtime thread beside the Python thread of each worker: the fewest hand-overs
        # between threads for small answers; files are read by the runtime's blocking threads.
        runtime_mode=RuntimeModes.st,
        loop=Loops.uvloop,
        http=HTTPModes.http1,  # iPXE, curl and Ignition ask for nothing else without TLS
        websockets=False,
        backlog=4096,  # a rack that is switched on asks all at once
        log_level=LogLevels.warning,
        log_access=False,  # request lines carry boot tickets
        ssl_cert=settings.tls_cert,
        ssl_key=settings.tls_key,
        workers_kill_timeout=_STOP_AFTER,
        respawn_failed_workers=True,  # one that lost the records starts again with what is there
    )
    server.serve(target_loader=partial(_load, settings, os.getpid()), wrap_loader=False)


def _load(settings: Settings, main: int) -> ASGIApp:
    """Make the application, in the worker: neither database nor files are shared across a fork."""
    from kindling.bootserver.app import create_app

    _end_with(main)
    return create_app(settings, end=_end_worker)


def _end_with(main: int) -> None:
    """Let a killed main process take this worker with it: an orphan would keep the port."""
    if sys.platform == "linux":  # at once; elsewhere within a second
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != main:  # it ended before it was asked for
        raise SystemExit(1)
    threading.Thread(target=_wait_for_the_end_of, args=(main,), daemon=True).start()


def _wait_for_the_end_of(main: int) -> None:
    """Nobody else would end an orphan whose last client neither reads nor goes away."""
    while os.getppid() == main:
        time.sleep(1.0)
    _end_worker()


def _end_worker() -> None:
    """Stop as after SIGTERM, but in any case; a living main process then makes a new worker."""
    killer = threading.Timer(_STOP_AFTER, os.kill, (os.getpid(), signal.SIGKILL))
    killer.daemon = True
    killer.start()
    os.kill(os.getpid(), signal.SIGTERM)


def _share_counters(directory: Path) -> None:
    """Make the workers count together, from zero; see `kindling.bootserver.metrics`."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    os.environ[COUNTERS_VARIABLE] = str(directory)


def _check_address(settings: Settings) -> None:
    """Refuse an address in use: granian would share it silently with the server that has it."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        target: tuple[Any, ...] = (settings.host, settings.port)
        try:
            probe.bind(target)
            probe.listen(1)
        except OSError as error:
            raise BootServerError(
                f"{settings.host}:{settings.port} cannot be used: {error.strerror or error};"
                " choose another with --host and --port, or stop the program that has it"
            ) from error
