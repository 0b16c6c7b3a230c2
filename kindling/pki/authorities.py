"""The cluster's authorities, its service-account key and the admin's credential."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from kindling.models.credentials import Authorities, KeyPair
from kindling.pki.brought_in import SERVICE_ACCOUNT, BroughtIn
from kindling.pki.certificates import end_of, make_authority, make_client, make_key

# Part, as the configuration names it -> common name that kubeadm gives it
# (cmd/kubeadm/app/phases/certs/certlist.go).
COMMON_NAMES = {"kubernetes": "kubernetes", "frontProxy": "front-proxy-ca", "etcd": "etcd-ca"}
# The group that kubeadm binds to cluster-admin since 1.29; unlike system:masters, its rights can
# be taken away (cmd/kubeadm/app/constants/constants.go).
ADMIN, ADMINS = "kubernetes-admin", "kubeadm:cluster-admins"


def make_authorities(
    brought_in: BroughtIn,
    now: datetime,
    *,
    kept: Authorities | None = None,
    anew: Collection[str] = (),
) -> Authorities:
    """Everything that control planes sign with.

    Each part is what was brought in, else what it was in ``kept`` unless ``anew`` names it, else
    new. Parts are named as in the configuration: kubernetes, frontProxy, etcd, serviceAccount.
    """

    def pair(part: str, old: KeyPair | None) -> KeyPair:
        given = brought_in.authorities.get(part) or (None if part in anew else old)
        return given or make_authority(COMMON_NAMES[part], now)

    old_key = kept.service_account_key if kept and SERVICE_ACCOUNT not in anew else None
    return Authorities(
        kubernetes=pair("kubernetes", kept.kubernetes if kept else None),
        front_proxy=pair("frontProxy", kept.front_proxy if kept else None),
        etcd=pair("etcd", kept.etcd if kept else None),
        service_account_key=brought_in.service_account_key or old_key or make_key(),
    )


def make_admin(authority: KeyPair, now: datetime) -> KeyPair:
    """The administrator's credential, good for a year."""
    return make_client(authority, ADMIN, ADMINS, now)


def ends_of(authorities: Authorities) -> dict[str, datetime]:
    """When each authority ends, by part."""
    return {
        "kubernetes": end_of(authorities.kubernetes.certificate),
        "frontProxy": end_of(authorities.front_proxy.certificate),
        "etcd": end_of(authorities.etcd.certificate),
    }
