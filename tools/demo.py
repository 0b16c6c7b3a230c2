"""The demonstration: a mirror, a boot server, the stack `demo` and six simulated machines.

python tools/demo.py up      build what is missing, publish, boot; doing it twice changes nothing
python tools/demo.py down    power off: destroy the stack, stop the server, remove .demo/
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
import yaml
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kindling.artifacts.catalog import load_catalog  # noqa: E402 - after the path is known
from kindling.artifacts.lock import LockFile, update_lock  # noqa: E402
from kindling.artifacts.sample import write_sample_mirror  # noqa: E402
from kindling.artifacts.selection import select_assets  # noqa: E402
from kindling.errors import KindlingError  # noqa: E402
from kindling.models.loading import load_file  # noqa: E402

STACK_FILE = ROOT / "Pulumi.demo.yaml"
HOME = ROOT / ".demo"
TOKEN = HOME / "token"
LOCK = HOME / "assets.lock.yaml"
PID = HOME / "server.pid"
console = Console(highlight=False, soft_wrap=True)


def main() -> int:
    """Run one of the two actions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("action", choices=["up", "down"])
    os.chdir(ROOT)
    try:
        return up() if parser.parse_args().action == "up" else down()
    except (KindlingError, subprocess.CalledProcessError) as error:
        console.print(f"[red]error:[/] {error}", markup=True)
        return 1


def up() -> int:
    """Everything from an empty folder to a booted fleet."""
    make_mirror()
    start_server()
    ensure_stack()
    publish()
    boot_machines()
    say_what_next()
    return 0


def down() -> int:
    """Take back everything that `up` made, in the opposite order."""
    if server_answers():
        pulumi("destroy", "--yes", "--stack", "demo", check=False)
    stop_server()
    pulumi("stack", "rm", "--yes", "--force", "--preserve-config", "demo", check=False)
    shutil.rmtree(HOME, ignore_errors=True)
    console.print("The demonstration is gone.")
    return 0


def make_mirror() -> None:
    """Sample artifacts in place of upstream's, pinned like real ones."""
    HOME.mkdir(exist_ok=True)
    if not TOKEN.exists():
        TOKEN.touch(mode=0o600)
        TOKEN.write_text(secrets.token_urlsafe(32))
    assets = select_assets(load_file(STACK_FILE), load_catalog())
    if LOCK.exists() and not LockFile.load(LOCK).resolve(assets).missing:
        return
    console.print("Making a local mirror of sample artifacts (nothing in them boots)")
    write_sample_mirror(HOME / "mirror", assets)
    update_lock(assets, LOCK, trust_download=True, mirrors=(str(HOME / "mirror"),))


def start_server() -> None:
    """The real boot server on the address that the stack names, unless it runs already."""
    if server_answers():
        return
    command = [sys.executable, "-m", "kindling", "serve", "--directory", str(HOME / "served")]
    with (HOME / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", "8080"],
            env=environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,  # it outlives this program
        )
    PID.write_text(str(process.pid))
    deadline = time.monotonic() + 30
    while not server_answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise KindlingError(f"the boot server did not start; see {HOME / 'server.log'}")
        time.sleep(0.1)


def stop_server() -> None:
    """Stop the server that this demonstration started, and wait for its end."""
    pid = int(PID.read_text()) if PID.exists() else 0
    if not pid or str(HOME / "served") not in _command_of(pid):
        return  # it ended already; its number may be another program's by now
    os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while _command_of(pid) and time.monotonic() < deadline:
        time.sleep(0.1)


def _command_of(pid: int) -> str:
    """The command line of a running process; empty when there is none."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "" if "<defunct>" in listed.stdout else listed.stdout.strip()


def server_answers() -> bool:
    """Whether our boot server, with our token, is at the stack's address."""
    try:
        answer = requests.get(
            f"{url()}/store/",
            headers={"Authorization": f"Bearer {environment()['KINDLING_STORE_TOKEN']}"},
            timeout=2,
        )
    except requests.ConnectionError:
        return False
    if answer.status_code != requests.codes.ok:
        raise KindlingError(
            f"something else answers at {url()} (status {answer.status_code}); stop it, or change "
            "bootServer.url in Pulumi.demo.yaml"
        )
    return True


def ensure_stack() -> None:
    """Make the stack in the file backend of the checkout."""
    listed = subprocess.run(
        ["pulumi", "stack", "ls", "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    if '"demo"' not in listed.stdout:
        pulumi("stack", "init", "demo")


def pulumi(*arguments: str, check: bool = True) -> None:
    """Run the command line in the checkout, with the demonstration's credentials."""
    subprocess.run(["pulumi", *arguments], env=environment(), check=check)


def publish() -> None:
    """`pulumi up`, unless its preview finds nothing to do."""
    preview = subprocess.run(
        ["pulumi", "preview", "--stack", "demo", "--expect-no-changes"],
        env=environment(),
        capture_output=True,
        check=False,
    )
    if preview.returncode == 0:
        console.print("Nothing changed: what is published is what the stack file says.")
    else:
        pulumi("up", "--yes", "--stack", "demo", "--suppress-outputs")


def boot_machines() -> None:
    """Power on six simulated machines; they know nothing but the boot server's address."""
    console.print("\nPowering on six [bold]simulated[/] machines: network first, then their disks")
    rack = HOME / "machines.yaml"
    machines = [
        # Addresses of their own, as in a real segment: the page tells machines apart by them.
        {
            "mac": node["macAddress"],
            "arch": node.get("arch", "x86-64"),
            "sourceAddress": f"127.0.0.{10 + number}",
        }
        for number, node in enumerate(nodes())
    ]
    rack.write_text(yaml.safe_dump(machines))
    subprocess.run(
        [
            *(sys.executable, "-m", "kindling", "simulate", "--url", url(), "--quiet"),
            *("--disks", str(HOME / "disks"), "--machines", str(rack)),
        ],
        env=environment(),
        check=True,
    )


def say_what_next() -> None:
    """Addresses, outputs, and what to try."""
    outputs = json.loads(
        subprocess.run(
            ["pulumi", "stack", "output", "--stack", "demo", "--json"],
            env=environment(),
            capture_output=True,
            check=True,
        ).stdout
    )
    table = Table(title="Outputs of the stack: nodes", title_justify="left")
    columns = ("hostname", "arch", "role", "mac", "generation", "digest")
    for column in columns:
        table.add_column(column)
    for node in outputs["nodes"]:
        table.add_row(*(str(node[column])[:24] for column in columns))
    console.print(table)
    console.print(
        f"bootServer: {outputs['bootServer']}   architectures: "
        f"{', '.join(outputs['architectures'])}   artifacts: {len(outputs['artifacts'])} files"
    )
    console.print(
        f"\n[bold]The page:[/] {url()}/   (six simulated machines, real files, real reports)\n"
        "[bold]Try next:[/]\n"
        "  1. edit a node in Pulumi.demo.yaml, for example its address\n"
        "  2. make preview STACK=demo     which file changes on which machine\n"
        "  3. make up STACK=demo          publish it; the page says `outdated`\n"
        "  4. raise the node's `generation` to 2, make up STACK=demo, make demo: installed again\n"
        "  5. make demo-down              take everything back"
    )


def environment() -> dict[str, str]:
    """Tools of the checkout first; the demonstration's own state, passphrase and token."""
    path = f"{ROOT}/.venv/bin:{ROOT}/.tools/bin:{os.environ['PATH']}"
    (ROOT / ".pulumi-state").mkdir(exist_ok=True)
    return {
        **os.environ,
        "PATH": path,
        "PULUMI_BACKEND_URL": f"file://{ROOT}/.pulumi-state",
        "PULUMI_CONFIG_PASSPHRASE": "demo",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "KINDLING_STORE_TOKEN": TOKEN.read_text().strip() if TOKEN.exists() else "",
    }


def url() -> str:
    """The boot server's address in the stack file."""
    return str(configuration()["bootServer"]["url"])


def nodes() -> list[dict[str, Any]]:
    """The machines of the stack file, as they would stand in the rack."""
    return list(configuration()["nodes"])


def configuration() -> dict[str, Any]:
    """The cluster of the stack file."""
    cluster = yaml.safe_load(STACK_FILE.read_text())["config"]["kindling:cluster"]
    return dict(cluster)


if __name__ == "__main__":
    sys.exit(main())
