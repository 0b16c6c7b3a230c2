"""The authorities' and the admin credential's resources: made once, and again only for a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kindling.models.credentials import Authorities, KeyPair
from kindling.pki.brought_in import BroughtIn
from kindling.pki.certificates import authority_digest, end_of, make_authority
from providers import admin_credential, cluster_credentials
from providers.admin_credential import AdminCredentialProvider
from providers.base import UNKNOWN
from providers.cluster_credentials import ClusterCredentialsProvider

NOW = datetime.now(UTC)
Properties = dict[str, Any]


@pytest.fixture(scope="module")
def etcd() -> KeyPair:
    """An authority that somebody brings in."""
    return make_authority("etcd-ca", NOW)


def given(brought_in: BroughtIn | None = None, rotation: int = 1, **other: Any) -> Properties:
    """What the program gives, as the engine hands it over: numbers are floats."""
    text = (brought_in or BroughtIn()).to_json()
    return {"cluster": "demo", "rotation": float(rotation), "broughtIn": text, **other}


def checked(news: Properties, olds: Properties | None = None) -> Properties:
    """The inputs after `check`, which must not find anything wrong."""
    result = ClusterCredentialsProvider().check(olds or {}, {**news, "__provider": "x"})
    assert result.failures == []
    return result.inputs


@pytest.fixture(scope="module")
def first() -> tuple[Properties, Properties]:
    """Inputs and outputs of a stack's first run."""
    inputs = checked(given())
    outs = ClusterCredentialsProvider().create(inputs).outs
    assert outs is not None
    return inputs, outs


def updated(outs: Properties, inputs: Properties) -> Authorities:
    """The authorities after an update that the diff asks for."""
    provider = ClusterCredentialsProvider()
    result = provider.diff("id", outs, inputs)
    assert (result.changes, result.replaces) == (True, None)
    made = provider.update("id", outs, inputs).outs
    assert made is not None
    assert made["digest"] == authority_digest(made["certificate"])
    return Authorities.model_validate_json(made["authorities"])


def test_the_first_run_makes_everything_and_shows_only_what_may_be_seen(
    first: tuple[Properties, Properties],
) -> None:
    """Keys are in ``authorities`` alone, which the resource marks as secret."""
    inputs, outs = first
    made = Authorities.model_validate_json(outs["authorities"])
    assert outs["certificate"] == made.kubernetes.certificate
    assert set(outs["ends"]) == {"kubernetes", "frontProxy", "etcd"}
    shown = str({key: value for key, value in outs.items() if key != "authorities"})
    assert "PRIVATE KEY" not in shown
    assert inputs["change"] == "made for the first time"


@pytest.mark.parametrize("other", [{}, {"cluster": "renamed"}, {"note": "something else"}])
def test_no_other_change_makes_anything_again(
    other: Properties, first: tuple[Properties, Properties]
) -> None:
    """Not even the cluster's name."""
    inputs, outs = first
    news = checked(given(**other), inputs)
    assert ClusterCredentialsProvider().diff("id", outs, news).changes is False
    assert news["change"] == inputs["change"]


def test_a_rotation_makes_everything_anew_and_says_so_once(
    first: tuple[Properties, Properties], capsys: pytest.CaptureFixture[str]
) -> None:
    """In the inputs, which the preview shows, and in the log."""
    inputs, outs = first
    news = checked(given(rotation=2), inputs)
    assert news["change"].startswith("rotation 1 -> 2: every authority, key and credential")
    assert f"warning: demo: {news['change']}" in capsys.readouterr().err
    old, new = Authorities.model_validate_json(outs["authorities"]), updated(outs, news)
    for field in type(old).model_fields:
        assert getattr(old, field) != getattr(new, field), field
    assert checked(given(rotation=2), news)["change"] == news["change"]
    assert capsys.readouterr().err == ""


def test_what_is_brought_in_replaces_its_own_part(
    etcd: KeyPair, first: tuple[Properties, Properties]
) -> None:
    """And the preview names it; the others stay."""
    inputs, outs = first
    news = checked(given(BroughtIn({"etcd": etcd})), inputs)
    assert news["change"].startswith("etcd: made by the stack -> brought in")
    old, new = Authorities.model_validate_json(outs["authorities"]), updated(outs, news)
    assert new.etcd == etcd
    assert new.kubernetes == old.kubernetes
    assert new.service_account_key == old.service_account_key


def test_what_is_brought_in_stays_in_a_rotation(etcd: KeyPair) -> None:
    """It is whose brought it in who gives another one."""
    brought = BroughtIn({"etcd": etcd})
    inputs = checked(given(brought))
    outs = ClusterCredentialsProvider().create(inputs).outs or {}
    new = updated(outs, checked(given(brought, rotation=2), inputs))
    assert new.etcd == etcd
    assert new.kubernetes != Authorities.model_validate_json(outs["authorities"]).kubernetes


def test_what_is_brought_in_no_more_is_made_by_the_stack(etcd: KeyPair) -> None:
    """And is another one."""
    inputs = checked(given(BroughtIn({"etcd": etcd})))
    outs = ClusterCredentialsProvider().create(inputs).outs or {}
    news = checked(given(), inputs)
    assert "-> made by the stack" in news["change"]
    assert updated(outs, news).etcd != etcd


def test_an_authority_that_ends_soon_is_refused_only_when_it_comes(
    etcd: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten years later the stack still works, and warns; see the component."""
    brought = BroughtIn({"etcd": etcd})
    inputs = checked(given(brought))
    later = end_of(etcd.certificate) - timedelta(days=10)
    monkeypatch.setattr(cluster_credentials, "_now", lambda: later)
    assert checked(given(brought), inputs)
    (failure,) = ClusterCredentialsProvider().check({}, given(brought)).failures
    assert failure.reason.startswith("kindling:authorities.etcd.certificate: ends on")
    assert failure.property == "", "the engine prints the value of a property that is named"


def test_reading_changes_nothing(first: tuple[Properties, Properties]) -> None:
    """The state is the only place where they are."""
    _, outs = first
    for provider in (ClusterCredentialsProvider(), AdminCredentialProvider()):
        found = provider.read("id", {**outs, "__provider": "x"})
        assert (found.id, found.outs) == ("id", outs)


# The admin credential


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    """The Kubernetes authority."""
    return make_authority("kubernetes", NOW)


def admin_inputs(authority: object, olds: Properties | None = None) -> Properties:
    """The admin's inputs after `check`."""
    text = authority.model_dump_json() if isinstance(authority, KeyPair) else authority
    news = {"cluster": "demo", "authority": text, "__provider": "x"}
    result = AdminCredentialProvider().check(olds or {}, news)
    assert result.failures == []
    return result.inputs


def test_the_admin_credential_is_kept_until_sixty_days_before_its_end(
    authority: KeyPair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then an `up` makes it anew and the preview says so."""
    provider = AdminCredentialProvider()
    inputs = admin_inputs(authority)
    outs = provider.create(inputs).outs or {}
    assert provider.diff("id", outs, admin_inputs(authority, inputs)).changes is False
    for days, renewed in ((304, False), (306, True), (400, True)):
        monkeypatch.setattr(admin_credential, "_now", lambda days=days: NOW + timedelta(days=days))
        news = admin_inputs(authority, inputs)
        assert provider.diff("id", outs, news).changes is renewed
        assert ("makes a new one" in capsys.readouterr().err) is renewed
    made = KeyPair.model_validate_json((provider.update("id", outs, news).outs or {})["credential"])
    assert end_of(made.certificate) > NOW + timedelta(days=700)
    assert provider.diff("id", {**outs, **news}, admin_inputs(authority, news)).changes is False


def test_another_authority_signs_another_admin_credential(authority: KeyPair) -> None:
    """And one that is not known yet counts as another, never as a replacement."""
    provider = AdminCredentialProvider()
    inputs = admin_inputs(authority)
    outs = provider.create(inputs).outs or {}
    for other in (make_authority("kubernetes", NOW), UNKNOWN):
        result = provider.diff("id", outs, admin_inputs(other, inputs))
        assert (result.changes, result.replaces) == (True, None)
