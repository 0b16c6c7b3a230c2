"""The interpreter follows iPXE's rules, and refuses what a script's author got wrong."""

from __future__ import annotations

import pytest

from kindling.errors import SimulationError
from kindling.simulator.architecture import Architecture
from kindling.simulator.console import Console
from kindling.simulator.ends import Boot, BootDisk, End, Exit
from kindling.simulator.firmware import Firmware, FirmwareKind
from kindling.simulator.ipxe import Interpreter
from kindling.simulator.script import Place, expand
from kindling.simulator.transport import Fetched, TransferFailed

MAC = "52:54:00:ab:cd:01"
BASE = "http://boot.test/kindling/"


class Files:
    """Scripts and images by URL; everything that was asked for is remembered."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = {BASE + name: text for name, text in texts.items()}
        self.asked: list[str] = []

    def script(self, url: str) -> str:
        self.asked.append(url)
        if url not in self.texts:
            raise TransferFailed(url, "HTTP 404 Not Found", 404)
        return self.texts[url]

    def image(self, url: str) -> Fetched:
        return Fetched(url, len(self.script(url)), "0" * 64)


class Run:
    """One interpreted boot with all that can be seen of it."""

    def __init__(
        self,
        lines: str,
        *,
        arch: Architecture = Architecture.X86_64,
        kind: FirmwareKind = FirmwareKind.EFI,
        disk_boots: bool = True,
        extra: dict[str, str] | None = None,
        **files: str,
    ) -> None:
        others = {name.replace("_", "."): text for name, text in files.items()} | (extra or {})
        self.files = Files({"boot.ipxe": f"#!ipxe\n{lines}\n", **others})
        self.lines: list[str] = []
        self.slept: list[float] = []
        firmware = Firmware((MAC, "52:54:00:ab:cd:02"), arch, kind, disk_boots)
        self.interpreter = Interpreter(
            firmware, self.files, Console(MAC, self.lines.append), sleep=self.slept.append
        )
        self.end: End = self.interpreter.run(BASE + "boot.ipxe")

    @property
    def said(self) -> list[str]:
        return self.interpreter.said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo ${netX/mac}", MAC),
        ("echo ${net1/mac}", "52:54:00:ab:cd:02"),
        ("echo ${net0/mac:hexhyp}", "52-54-00-ab-cd-01"),
        ("echo ${mac:hexraw}", "525400abcd01"),
        ("echo ${product:uristring}", "simulated%20machine"),
        ("echo [${nothing}]", "[]"),
        ("set one two ${buildarch} && echo ${one}", "two x86_64"),
        ("set name serial && echo ${${name}}", "SIM-525400abcd01"),
        ("echo ${cwuri}", BASE + "boot.ipxe"),
        ("echo shown # not shown", "shown"),
        ("echo one \\\ntwo", "one two"),
    ],
)
def test_settings_are_expanded_as_ipxe_does(line: str, said: str) -> None:
    assert Run(line).said == [said]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("iseq a a && echo yes || echo no", ["yes"]),
        ("iseq a b && echo yes || echo no", ["no"]),
        ("iseq a b || iseq a a && echo yes", ["yes"]),
        ("isset ${nothing} || echo unset", ["unset"]),
        ("isset ${mac} && echo set", ["set"]),
        ("iseq ${nothing} ${nothing} && echo same", ["same"]),
        ("iseq a b ; echo always", ["always"]),
        ("iseq a b ||\necho next line", ["next line"]),
        ("iseq a b\necho never", []),
        ("set x a b && iseq ${x} a || echo one word", ["one word"]),
        ("ifopen net0 && dhcp net1 && echo up", ["up"]),
        ("ifopen net7 || echo none", ["none"]),
    ],
)
def test_words_are_split_before_expansion_and_operators_read_from_left_to_right(
    line: str, said: list[str]
) -> None:
    assert Run(line).said == said


def test_goto_jumps_to_its_label_and_drops_the_rest_of_the_line() -> None:
    run = Run("goto end && echo never\necho never\n:end ignored words\necho end")
    assert run.said == ["end"]
    assert run.end == Exit(0, "the script ended")


def test_a_32_bit_bios_ipxe_tells_the_64_bit_machine_by_its_cpu() -> None:
    run = Run("echo ${buildarch} ${platform}\ncpuid --ext 29 && echo 64", kind=FirmwareKind.BIOS)
    assert run.said == ["i386 pcbios", "64"]


def test_arm64_has_no_cpuid_and_a_script_can_answer_that() -> None:
    run = Run("cpuid --ext 29 || echo ${buildarch}", arch=Architecture.ARM64)
    assert run.said == ["arm64"]


def test_relative_urls_are_resolved_against_the_current_script() -> None:
    run = Run(
        "chain sub/next.ipxe && echo back",
        extra={
            "sub/next.ipxe": "#!ipxe\nkernel vmlinuz || echo gone\nchain http://o.test/x || exit"
        },
    )
    assert run.files.asked[1:] == [
        BASE + "sub/next.ipxe",
        BASE + "sub/vmlinuz",
        "http://o.test/x",
    ]
    assert run.said == ["gone", "back"]


def test_a_chained_script_returns_its_status_to_its_caller() -> None:
    run = Run("chain next_ipxe || echo failed", next_ipxe="")
    assert run.said == ["failed"]
    run = Run("chain next.ipxe || echo failed", next_ipxe="#!ipxe\nexit 7\necho never")
    assert run.said == ["failed"]


def test_chain_replace_does_not_come_back() -> None:
    run = Run("chain --replace next.ipxe || echo never\necho never", next_ipxe="#!ipxe\nexit 1")
    assert run.said == []
    assert run.end == Exit(1, "`exit 1`")


def test_a_line_that_fails_without_an_answer_ends_the_boot_with_its_reason() -> None:
    run = Run("chain gone.ipxe\necho never")
    assert isinstance(run.end, Exit)
    assert run.end.status == 1
    assert "gone.ipxe: HTTP 404" in run.end.reason


def test_a_missing_first_script_goes_on_with_the_next_boot_device() -> None:
    firmware = Firmware((MAC,), Architecture.ARM64)
    end = Interpreter(firmware, Files({}), Console(MAC)).run(BASE + "boot.ipxe")
    assert isinstance(end, Exit)
    assert end.status == 1


def test_boot_gives_kernel_initrds_and_command_line() -> None:
    run = Run(
        "kernel old x=y\nimgfree\nkernel vmlinuz initrd=one.img ip=dhcp\n"
        "initrd one.img\ninitrd --name second two.img\nboot",
        old="k", vmlinuz="k", one_img="i", two_img="i",
    )  # fmt: skip
    assert isinstance(run.end, Boot)
    assert run.end.kernel.url == BASE + "vmlinuz"
    assert [each.url for each in run.end.initrds] == [BASE + "one.img", BASE + "two.img"]
    assert run.end.command_line == "initrd=one.img ip=dhcp"


def test_boot_without_a_kernel_fails() -> None:
    assert Run("boot || echo none").said == ["none"]
    assert Run("kernel k\nimgfree k\nboot || echo none", k="k").said == ["none"]
    assert Run("imgfree k || echo none").said == ["none"]


def test_trust_needs_a_signature_that_could_be_fetched() -> None:
    trusted = "imgtrust\nkernel k\nimgverify k k.sig || echo unsigned\nboot || echo untrusted"
    assert isinstance(Run(trusted, k="k", k_sig="s").end, Boot)
    assert Run(trusted, k="k").said == ["unsigned", "untrusted"]
    assert isinstance(Run("imgtrust\nimgtrust --allow\nkernel k\nboot", k="k").end, Boot)


def test_bios_boots_its_first_disk_and_uefi_cannot() -> None:
    line = "sanboot --no-describe --drive 0x80 || exit 1"
    assert Run(line, kind=FirmwareKind.BIOS).end == BootDisk()
    assert Run(line, kind=FirmwareKind.BIOS, disk_boots=False).end == Exit(1, "`exit 1`")
    assert Run(line).end == Exit(1, "`exit 1`")
    assert Run("sanboot --drive 0x81 || echo no", kind=FirmwareKind.BIOS).said == ["no"]


def test_sleep_is_virtual_and_adds_up() -> None:
    assert Run("sleep 20\nsleep 0x10").slept == [20, 16]


@pytest.mark.parametrize(
    ("lines", "place", "message"),
    [
        ("echo x\nmenu Choose", "boot.ipxe, line 3: `menu Choose`", 'unknown command "menu"'),
        ("iseq a a || shell", "line 2", 'unknown command "shell"'),
        ("set c shell\n${c}", "line 3: `${c}`", 'unknown command "shell"'),
        ("iseq a a || goto nowhere", "line 2", 'label "nowhere" is not defined'),
        ("set l nowhere\ngoto ${l}", "line 3", 'label "nowhere" is not defined'),
        ("  :indented\necho x", "line 2", 'unknown command ":indented"'),
        (":again\ngoto again", "line 3: `goto again`", "endless loop: no end after 1000 commands"),
        (":again\nsleep 9999\ngoto again", "line 3", "endless loop: waited"),
        ("chain boot.ipxe", "line 2", "scripts inside each other"),
        ("iseq a", "line 2", "iseq takes 2 arguments, not 1"),
        ("kernel --shiny k", "line 2", 'kernel has no option "--shiny"'),
        ("sleep long", "line 2", '"long" is not a number'),
        ("echo ${mac:base32}", "line 2", '"base32" is not a setting type'),
        ("cpuid 5", "line 2", "cpuid --ext 29"),
        ("sanboot iscsi:x", "line 2", "no network disks"),
    ],
)
def test_a_mistake_in_a_script_names_script_line_and_command(
    lines: str, place: str, message: str
) -> None:
    with pytest.raises(SimulationError) as raised:
        Run(lines)
    assert place in str(raised.value)
    assert message in str(raised.value)


def test_a_setting_that_expands_to_itself_is_found() -> None:
    place = Place(BASE, 2, "echo ${serial}")
    with pytest.raises(SimulationError, match="expands to itself"):
        expand("${serial}", lambda _name: "${serial}", place)


def test_what_is_no_script_is_refused() -> None:
    with pytest.raises(SimulationError, match=r"next\.ipxe: not an iPXE script"):
        Run("chain next.ipxe", next_ipxe="<html>")


def test_errors_and_console_never_show_a_ticket() -> None:
    with pytest.raises(SimulationError) as raised:
        Run("bogus http://x/ignition/a?token=secretticket")
    assert "secretticket" not in str(raised.value)
    run = Run("echo http://x/ignition/a?token=secretticket&x=1")
    assert run.lines == [f"[simulated] {MAC} http://x/ignition/a?token=...&x=1"]
