"""A small real interpreter of iPXE scripts: exactly the commands that Kindling's scripts may use.

What real iPXE would fail on without harm (a missing file, a false comparison) fails the same way
here and can be answered with ``||``; a line that fails without an answer ends its script. What is
a mistake of the script's author (an unknown command or option, an undefined label, an endless loop)
is a `SimulationError` that names script, line and command.
Source of the rules: https://ipxe.org/cmd and iPXE's ``core/exec.c``, ``image/script.c``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn
from urllib.parse import urljoin

from kindling.simulator.call import Call
from kindling.simulator.console import Console, redact
from kindling.simulator.ends import BootDisk, End, Exit, Fetcher, Finished, Jump, Leave
from kindling.simulator.firmware import Firmware
from kindling.simulator.images import Images
from kindling.simulator.script import Command, Line, Place, Script, expand, parse
from kindling.simulator.transport import TransferFailed

_STEP_LIMIT = 1000  # commands in all scripts of one boot
_SLEEP_LIMIT = 24 * 3600  # seconds of waiting in one boot
_DEPTH_LIMIT = 16  # scripts inside scripts
_FIRST_DISK = "0x80"
_LONG_MODE = ("--ext", "29")  # the only CPU feature that scripts ask for


class Interpreter:
    """Runs scripts for one firmware. ``sleep`` gets seconds; by default time is virtual."""

    def __init__(
        self,
        firmware: Firmware,
        fetcher: Fetcher,
        console: Console,
        *,
        sleep: Callable[[float], None] = lambda _seconds: None,
        step_limit: int = _STEP_LIMIT,
    ) -> None:
        self._firmware = firmware
        self._fetcher = fetcher
        self._console = console
        self._sleep = sleep
        self._steps_left = self._step_limit = step_limit
        self._slept = 0.0
        self._scripts: list[Script] = []
        self._settings: dict[str, bytes | str] = dict(firmware.settings())
        self._images = Images(fetcher, self._url, console.line, self._failed)
        self._why = ""
        self.said: list[str] = []  # what the scripts told the person at the console

    def run(self, url: str) -> End:
        """Fetch a script and follow it to its end."""
        try:
            status = self._follow(url, self._fetcher.script(url))
        except TransferFailed as failure:
            return Exit(1, str(failure))
        except Finished as finished:
            return finished.end
        return Exit(status, self._why if status else "the script ended")

    def _follow(self, url: str, text: str) -> int:
        script = parse(url, text)
        self._check(script)
        self._scripts.append(script)
        try:
            return self._run_lines(script)
        except Leave as leave:
            return leave.status
        finally:
            self._scripts.pop()

    def _check(self, script: Script) -> None:
        """Commands and labels that are written out are looked up before anything runs."""
        for line in script.lines:
            for command in line.commands:
                name = command.words[0] if command.words else "echo"
                if "${" not in name and name not in _COMMANDS:
                    raise line.place.error(f'unknown command "{name}"')
                label = command.words[1] if name == "goto" and len(command.words) == 2 else "${"
                if "${" not in label and label not in script.labels:
                    raise line.place.error(f'label "{label}" is not defined')

    def _run_lines(self, script: Script) -> int:
        position = 0
        while position < len(script.lines):
            line = script.lines[position]
            position += 1
            try:
                status = self._run_line(line)
            except Jump as jump:
                if jump.label not in script.labels:
                    raise line.place.error(f'label "{jump.label}" is not defined') from None
                position = script.labels[jump.label]
                continue
            if status:
                self._why = self._why or redact(f"`{line.place.text}` failed")
                return status
        return 0

    def _run_line(self, line: Line) -> int:
        status = 0
        for command in line.commands:
            if (command.operator == "&&" and status) or (command.operator == "||" and not status):
                continue
            status = self._run_command(command, line.place)
        if not status:
            self._why = ""
        return status

    def _run_command(self, command: Command, place: Place) -> int:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise place.error(f"endless loop: no end after {self._step_limit} commands")
        words = [expand(word, self._look_up, place) for word in command.words]
        if not words:
            return 0  # iPXE: an empty command does nothing, successfully
        implementation = _COMMANDS.get(words[0])
        if implementation is None:
            raise place.error(f'unknown command "{words[0]}"')
        return implementation(self, Call(words[0], words[1:], place))

    def _look_up(self, name: str) -> bytes | str:
        if name == "cwuri":
            return self._scripts[-1].url
        return self._settings.get(name, "")

    def _url(self, reference: str) -> str:
        return urljoin(self._scripts[-1].url, reference)

    def _failed(self, reason: str) -> int:
        self._why = redact(reason)
        self._console.line(f"iPXE: {reason}")
        return 1

    # Commands: each returns a status, 0 for success.

    def _set(self, call: Call) -> int:
        name, *words = call.arguments(1, None)
        self._settings[name.partition(":")[0]] = " ".join(words)
        return 0

    def _iseq(self, call: Call) -> int:
        one, other = call.arguments(2, 2)
        return int(one != other)

    def _isset(self, call: Call) -> int:
        return int(not call.arguments(1, 1)[0])

    def _cpuid(self, call: Call) -> int:
        if not self._firmware.is_x86:
            return self._failed("cpuid: command not found")  # as arm64's iPXE says
        if tuple(call.words) != _LONG_MODE:
            raise call.place.error("simulated machines know `cpuid --ext 29` only")
        return 0

    def _goto(self, call: Call) -> NoReturn:
        raise Jump(call.arguments(1, 1)[0])

    def _chain(self, call: Call) -> int:
        options = call.options({"--replace", "--autofree"}, {"--timeout", "--name"})
        url = self._url(call.arguments(1, None)[0])
        if len(self._scripts) >= _DEPTH_LIMIT:
            raise call.place.error(f"more than {_DEPTH_LIMIT} scripts inside each other")
        try:
            text = self._fetcher.script(url)
        except TransferFailed as failure:
            return self._failed(str(failure))
        status = self._follow(url, text)
        if "--replace" in options:
            raise Leave(status)
        return status

    def _echo(self, call: Call) -> int:
        text = " ".join(call.words)
        if text:
            self.said.append(text)
            self._console.line(text)
        return 0

    def _sleep_for(self, call: Call) -> int:
        seconds = call.number(call.arguments(1, 1)[0])
        self._slept += seconds
        if self._slept > _SLEEP_LIMIT:
            raise call.place.error(f"endless loop: waited for {self._slept:.0f} s without an end")
        self._sleep(seconds)
        return 0

    def _exit(self, call: Call) -> NoReturn:
        status = call.number((call.arguments(0, 1) or ["0"])[0])
        self._why = f"`exit {status}`" if status else ""
        raise Leave(status)

    def _sanboot(self, call: Call) -> int:
        options = call.options({"--no-describe", "--keep"}, {"--drive"})
        if call.arguments(0, 1):
            raise call.place.error("simulated machines have no network disks")
        if options.get("--drive", _FIRST_DISK) != _FIRST_DISK:
            return self._failed("sanboot: there is only one disk, 0x80")
        if self._firmware.is_efi:
            return self._failed("sanboot: UEFI cannot boot a BIOS drive")
        if not self._firmware.disk_boots:
            return self._failed("sanboot: the disk has nothing to boot")
        raise Finished(BootDisk())

    def _network(self, call: Call) -> int:
        known = {"net", *(f"net{index}" for index in range(len(self._firmware.macs)))}
        unknown = [name for name in call.arguments(0, None) if name not in known | {"netX"}]
        return self._failed(f"{call.name}: no device {unknown[0]}") if unknown else 0


_COMMANDS: dict[str, Callable[[Interpreter, Call], int]] = {
    "set": Interpreter._set,
    "iseq": Interpreter._iseq,
    "isset": Interpreter._isset,
    "cpuid": Interpreter._cpuid,
    "goto": Interpreter._goto,
    "chain": Interpreter._chain,
    "kernel": lambda machine, call: machine._images.kernel(call),
    "initrd": lambda machine, call: machine._images.initrd(call),
    "boot": lambda machine, call: machine._images.boot(call),
    "imgfree": lambda machine, call: machine._images.imgfree(call),
    "imgverify": lambda machine, call: machine._images.imgverify(call),
    "imgtrust": lambda machine, call: machine._images.imgtrust(call),
    "echo": Interpreter._echo,
    "sleep": Interpreter._sleep_for,
    "exit": Interpreter._exit,
    "sanboot": Interpreter._sanboot,
    "ifopen": Interpreter._network,
    "dhcp": Interpreter._network,
}
