"""The control plane's components: their arguments, and the files that these name.

Sources: the reference pages of kube-apiserver, kube-controller-manager and kube-scheduler;
https://kubernetes.io/docs/tasks/administer-cluster/encrypt-data/, .../debug-cluster/audit/,
.../access-authn-authz/admission-controllers/#eventratelimit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kindling.models.kubernetes import ApiServer, AuditPolicy, EventRateLimit, Kubernetes, Oidc
from kindling.rendering.kubernetes.documents import Document, to_yaml, without_empty
from kindling.rendering.parts import SystemFile

_FOLDER = "/etc/kubernetes/kindling"
AUDIT_POLICY = f"{_FOLDER}/audit-policy.yaml"
ENCRYPTION = f"{_FOLDER}/encryption.yaml"
ADMISSION = f"{_FOLDER}/admission.yaml"
OIDC_CA = f"{_FOLDER}/oidc-ca.crt"
_AUDIT_LOGS = "/var/log/kubernetes"

Arguments = dict[str, str]


def api_server(settings: Kubernetes) -> Document:
    """``apiServer`` of kubeadm's ClusterConfiguration, with arguments as a mapping."""
    server = settings.api_server
    volumes = [_volume("kindling", _FOLDER, "Directory")]
    if server.audit:
        volumes.append(_volume("audit-logs", _AUDIT_LOGS, "DirectoryOrCreate", writable=True))
    arguments = dict(_api_arguments(server)) | _common(settings) | server.extra_args
    return {"extraArgs": dict(sorted(arguments.items())), "extraVolumes": volumes}


def controller_manager(settings: Kubernetes) -> Arguments:
    """Arguments of kube-controller-manager."""
    return dict(sorted((_common(settings) | settings.controller_manager.extra_args).items()))


def scheduler(settings: Kubernetes) -> Arguments:
    """Arguments of kube-scheduler."""
    return dict(sorted((_common(settings) | settings.scheduler.extra_args).items()))


def component_files(settings: Kubernetes, encryption_key: str | None) -> tuple[SystemFile, ...]:
    """The files that the API server's arguments name; ``encryption_key`` is base64."""
    server = settings.api_server
    files = []
    if server.audit:
        files.append(_file(AUDIT_POLICY, _policy(server.audit), "kubernetes.apiServer.audit"))
    document = _encryption(server, encryption_key or "")
    origin = "kubernetes.apiServer.encryption"
    files.append(SystemFile(ENCRYPTION, to_yaml(document), origin, 0o600, secret=True))
    if server.admission.event_rate_limit:
        document = _admission(server.admission.event_rate_limit)
        files.append(_file(ADMISSION, document, "kubernetes.apiServer.admission"))
    if server.oidc and server.oidc.ca:
        files.append(SystemFile(OIDC_CA, server.oidc.ca, "kubernetes.apiServer.oidc"))
    return tuple(files)


def gates(settings: Kubernetes) -> str:
    """Feature gates as an argument."""
    return ",".join(
        f"{name}={str(on).lower()}" for name, on in sorted(settings.feature_gates.items())
    )


def _common(settings: Kubernetes) -> Arguments:
    """What the API server says of TLS and profiles holds for every component."""
    server = settings.api_server
    arguments = {
        "profiling": str(server.profiling).lower(),
        "tls-min-version": server.tls_min_version,
    }
    if server.tls_cipher_suites:
        arguments["tls-cipher-suites"] = ",".join(server.tls_cipher_suites)
    if settings.feature_gates:
        arguments["feature-gates"] = gates(settings)
    return arguments


def _api_arguments(server: ApiServer) -> Iterator[tuple[str, str]]:
    admission = server.admission
    plugins = [
        *(["NodeRestriction"] if admission.node_restriction else []),
        *(["EventRateLimit"] if admission.event_rate_limit else []),
        *admission.extra_plugins,
    ]
    if plugins:
        yield "enable-admission-plugins", ",".join(dict.fromkeys(plugins))
    if admission.event_rate_limit:
        yield "admission-control-config-file", ADMISSION
    yield "encryption-provider-config", ENCRYPTION
    if server.audit:
        yield from _audit_arguments(server.audit)
    if server.oidc:
        yield from _oidc_arguments(server.oidc)


def _audit_arguments(audit: AuditPolicy) -> Iterator[tuple[str, str]]:
    yield "audit-policy-file", AUDIT_POLICY
    yield "audit-log-path", f"{_AUDIT_LOGS}/audit.log"
    yield "audit-log-maxage", str(audit.max_age)
    yield "audit-log-maxbackup", str(audit.max_backup)
    yield "audit-log-maxsize", str(audit.max_size)


def _oidc_arguments(oidc: Oidc) -> Iterator[tuple[str, str]]:
    given = {
        "oidc-issuer-url": oidc.issuer_url,
        "oidc-client-id": oidc.client_id,
        "oidc-username-claim": oidc.username_claim,
        "oidc-username-prefix": oidc.username_prefix,
        "oidc-groups-claim": oidc.groups_claim,
        "oidc-groups-prefix": oidc.groups_prefix,
        "oidc-ca-file": OIDC_CA if oidc.ca else None,
    }
    yield from ((name, value) for name, value in given.items() if value is not None)


def _volume(name: str, path: str, kind: str, *, writable: bool = False) -> Document:
    return {
        "name": name,
        "hostPath": path,
        "mountPath": path,
        "readOnly": not writable,
        "pathType": kind,
    }


def _file(path: str, document: Mapping[str, object], origin: str) -> SystemFile:
    return SystemFile(path, to_yaml(document), origin, 0o600)


def _policy(audit: AuditPolicy) -> Document:
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        **(audit.policy or {"rules": [{"level": "Metadata"}]}),
    }


def _encryption(server: ApiServer, key: str) -> Document:
    """Writes as the stack says now, and reads what was written as it said before.

    So the provider can be changed, and encryption switched on and off, on a cluster that runs.
    """
    keys = {"keys": [{"name": "kindling", "secret": key}]}
    known: dict[str, Document] = {"secretbox": keys, "aescbc": keys, "identity": {}}
    first = server.encryption.provider if server.encryption.enabled else "identity"
    order = [first, *(name for name in known if name != first)]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [
            {
                "resources": list(server.encryption.resources),
                "providers": [{name: known[name]} for name in order],
            }
        ],
    }


def _admission(limits: tuple[EventRateLimit, ...]) -> Document:
    configuration = {
        "apiVersion": "eventratelimit.admission.k8s.io/v1alpha1",
        "kind": "Configuration",
        "limits": [without_empty(each.model_dump(by_alias=True)) for each in limits],
    }
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": "EventRateLimit", "configuration": configuration}],
    }
