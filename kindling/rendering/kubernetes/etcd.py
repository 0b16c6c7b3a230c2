"""etcd on a machine: its service, certificates and membership, and its snapshots.

Who the members are is never rendered: machines find each other (`templates/kubernetes/etcd`).
"""

from __future__ import annotations

from urllib.parse import quote

from kindling.errors import RenderError
from kindling.models.kubernetes import S3Location
from kindling.models.plan import Member, NodePlan
from kindling.rendering.containerd import version_of
from kindling.rendering.kubernetes.scripts import (
    cluster_of,
    etcd_place,
    library,
    program,
    timed,
    unit,
)
from kindling.rendering.parts import SystemFile, SystemLink, SystemPart, SystemUnit
from kindling.rendering.secrets import NodeSecrets
from kindling.rendering.text import render_text

_PKI = "/etc/kubernetes/pki/etcd"
# The extension's file of this name starts etcd whenever it stops, also during a restore.
# Source: sighupio/installer-immutable-sysext, etcd.sysext/files/usr/lib/systemd/system.
_UPHOLDER = "/etc/systemd/system/multi-user.target.d/10-etcd.conf"


def etcd_part(plan: NodePlan, secrets: NodeSecrets) -> SystemPart:
    """What a machine that runs or uses etcd gets. Raises `RenderError` without the S3 keys."""
    if plan.kubernetes is None:
        return SystemPart()
    match etcd_place(plan):
        case "local":
            return _programs(plan) + _prepared(plan) + _service(plan) + _snapshots(plan, secrets)
        case "static-pod":
            mask = SystemUnit("etcd.service", "etcd.mode", mask=True)
            return _programs(plan) + SystemPart(units=(mask,)) + _snapshots(plan, secrets)
        case "external":
            return _programs(plan) + _prepared(plan)
        case _:
            return SystemPart()


def etcd_live(plan: NodePlan) -> dict[str, str]:
    """Texts of the live document: the members, or where API servers find them."""
    cluster = plan.kubernetes
    if cluster is None:
        return {}
    members = cluster.live.etcd_members
    if plan.runs_etcd:
        return {"etcd-members": "".join(f"{each.hostname} {each.address}\n" for each in members)}
    if etcd_place(plan) == "external":
        return {"etcd-endpoints": ",".join(map(_client_url, members)) + "\n"}
    return {}


def _programs(plan: NodePlan) -> SystemPart:
    return SystemPart(
        files=(
            library(plan, "members"),
            program(plan, "etcd"),
            program(plan, "etcd-certificates"),
        )
    )


def _prepared(plan: NodePlan) -> SystemPart:
    return SystemPart(units=(unit(plan, "kindling-etcd.service", enabled=True),))


def _service(plan: NodePlan) -> SystemPart:
    given = cluster_of(plan).etcd.extra_args
    settings = {
        _variable(name): value
        for name, value in _settings(plan).items()
        if name not in given  # etcd refuses a setting that it is given both ways
    }
    arguments = [_word(f"--{name}={value}") for name, value in sorted(given.items())]
    return SystemPart(
        files=(_environment(plan, "etcd.env", settings),),
        units=(unit(plan, "etcd.service", enabled=True, arguments=arguments),),
    )


def _settings(plan: NodePlan) -> dict[str, str]:
    """Arguments of etcd by name, as kubeadm gives them to its own.

    Source: k8s.io/kubernetes/cmd/kubeadm/app/phases/etcd/local.go, getEtcdCommand.
    """
    node, incarnation = plan.node, cluster_of(plan).settings.incarnation
    host = _in_url(node.reached_at or node.hostname)
    return {
        "name": node.hostname,
        "data-dir": "/var/lib/etcd",
        "listen-client-urls": f"https://127.0.0.1:2379,https://{host}:2379",
        "advertise-client-urls": f"https://{host}:2379",
        "listen-peer-urls": f"https://{host}:2380",
        "initial-advertise-peer-urls": f"https://{host}:2380",
        "initial-cluster-token": f"{plan.cluster}-{incarnation}",
        "cert-file": f"{_PKI}/server.crt",
        "key-file": f"{_PKI}/server.key",
        "trusted-ca-file": f"{_PKI}/ca.crt",
        "client-cert-auth": "true",
        "peer-cert-file": f"{_PKI}/peer.crt",
        "peer-key-file": f"{_PKI}/peer.key",
        "peer-trusted-ca-file": f"{_PKI}/ca.crt",
        "peer-client-cert-auth": "true",
        "listen-metrics-urls": "http://127.0.0.1:2381",
        "snapshot-count": "10000",
        **_by_version(version_of("etcd", plan.sysexts)),
    }


def _by_version(version: str | None) -> dict[str, str]:
    """The same two settings: 3.6 gave them names, and 3.7 no longer knows the old ones."""
    if version and version.removeprefix("v").startswith("3.5."):
        return {
            "experimental-initial-corrupt-check": "true",
            "experimental-watch-progress-notify-interval": "5s",
        }
    return {"feature-gates": "InitialCorruptCheck=true", "watch-progress-notify-interval": "5s"}


def _snapshots(plan: NodePlan, secrets: NodeSecrets) -> SystemPart:
    """Every machine with a member takes them, and looks after the members."""
    snapshots = cluster_of(plan).etcd.snapshots
    settings = {
        "KINDLING_SNAPSHOT_DIRECTORY": snapshots.directory,
        "KINDLING_SNAPSHOT_KEEP": str(snapshots.keep),
    }
    keys: tuple[SystemFile, ...] = ()
    if snapshots.s3:
        settings["KINDLING_SNAPSHOT_URL"] = _object_url(snapshots.s3)
        settings["KINDLING_SNAPSHOT_REGION"] = snapshots.s3.region
        keys = (_keys(plan, secrets),)
    programs = [program(plan, name) for name in ("snapshot", "restore", "live.d/etcd-members")]
    timer = unit(
        plan, "kindling-snapshot.timer", enabled=snapshots.enabled, schedule=snapshots.schedule
    )
    return SystemPart(
        files=(*programs, _environment(plan, "snapshot.env", settings), *keys),
        links=(SystemLink(_UPHOLDER, "/dev/null", "etcd"),),
        units=(
            unit(plan, "kindling-snapshot.service"),
            timer,
            *timed(plan, "kindling-etcd-check"),
        ),
    )


def _environment(plan: NodePlan, name: str, settings: dict[str, str]) -> SystemFile:
    source = f"kubernetes/{name}"
    text = render_text(source, plan.node.hostname, settings=settings)
    return SystemFile(f"/etc/kindling/{name}", text, source)


def _keys(plan: NodePlan, secrets: NodeSecrets) -> SystemFile:
    keys = secrets.credentials.s3
    if keys is None:
        raise RenderError(
            f"{plan.node.hostname}: etcd.snapshots.s3 needs the keys of the object store; set the "
            "secret configuration s3AccessKey and s3SecretKey"
        )
    user = f"{keys.access_key}:{keys.secret_key}".replace("\\", "\\\\").replace('"', '\\"')
    path = "/etc/kindling/snapshot-keys.conf"
    return SystemFile(path, f'user = "{user}"\n', "s3AccessKey, s3SecretKey", 0o600, secret=True)


def _object_url(place: S3Location) -> str:
    """What an object's name is put behind; the bucket is in the path, which every store knows."""
    return f"{place.endpoint.rstrip('/')}/{quote(place.bucket)}/{quote(place.prefix)}"


def _client_url(member: Member) -> str:
    return f"https://{_in_url(member.address)}:2379"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _variable(argument: str) -> str:
    """The environment variable that etcd reads an argument from."""
    return "ETCD_" + argument.upper().replace("-", "_")


def _word(text: str) -> str:
    """One word of a systemd command line; $ and % would be expanded."""
    for mark, written in (("\\", "\\\\"), ('"', '\\"'), ("$", "$$"), ("%", "%%")):
        text = text.replace(mark, written)
    return f'"{text}"'
