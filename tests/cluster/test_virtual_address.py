"""Who carries the virtual address: real keepalived on machines of their own network, as root."""

import time

import pytest

from kindling.rendering.kubernetes.endpoint import endpoint_live
from tests.fakes.carriers import carriers
from tests.fakes.cluster_plans import cluster_plans, machine
from tests.fakes.credentials import make_credentials
from tests.fakes.etcd_machines import until

pytestmark = pytest.mark.cluster
VIRTUAL = "192.0.2.100"
SHARED = {"endpoint": {"virtualAddress": f"{VIRTUAL}/24"}}


@pytest.fixture(params=["load-balancer", "control-plane"])
def pair(request, tmp_path):
    """Two machines; load balancers ask through HAProxy, control planes their own API server."""
    with of_role(request.param, tmp_path) as made:
        yield made


def of_role(role, folder, **endpoint):
    others = () if role == "control-plane" else (machine("control-plane"),)
    two = (machine(role, 1), machine(role, 2))
    keys = {"endpoint": {**SHARED["endpoint"], **endpoint}}
    plans = cluster_plans(*two, *others, kubernetes=keys)
    chosen = [plan for plan in plans.values() if plan.node.role.value == role]
    return carriers(folder, chosen, make_credentials())


def carries(machine_):
    return f" {VIRTUAL}/24 " in machine_.addresses()


def only(machines, expected):
    return [carries(each) for each in machines] == [each is expected for each in machines]


def test_one_carries_it_another_takes_over_when_its_api_fails_and_keeps_it(pair):
    for each in pair:
        each.start_keepalived()
    # Whose first check is slow begins behind, whatever its priority, and takes nothing back.
    until(lambda: sum(map(carries, pair)) == 1, "one of them carries it", 40)
    first, second = pair if carries(pair[0]) else reversed(pair)
    first.answers(500)
    until(lambda: only(pair, second), "the other one took it over", 40)
    first.answers(200)
    time.sleep(9)  # longer than two good checks and an election take
    assert only(pair, second)
    second.answers(503)
    until(lambda: only(pair, first), "the first took it back", 40)


def test_nobody_carries_it_while_the_api_answers_nowhere(tmp_path):
    with of_role("load-balancer", tmp_path) as pair:
        for each in pair:
            each.answers(503)
            each.start_keepalived()
        time.sleep(9)
        assert only(pair, None)
        pair[1].answers(200)
        until(lambda: only(pair, pair[1]), "the one that works carries it", 40)


def test_what_live_brings_is_tested_by_keepalived_itself(pair):
    first, _ = pair
    good = endpoint_live(first.plan)["keepalived.conf"]
    done = first.take(good)
    assert done.returncode == 0, done.stdout
    for bad in (
        good.replace("virtual_router_id 51", "virtual_router_id 999"),
        good.replace("/opt/kindling/check-endpoint", "/opt/kindling/not-there"),
        good.replace(f"{VIRTUAL}/24", "not-an-address"),
    ):
        assert bad != good
        assert first.take(bad).returncode != 0, bad


def test_keepalived_gets_the_card_by_the_address_that_the_stack_gives_it(pair):
    first, _ = pair
    assert first.run("/opt/kindling/endpoint-interface").returncode == 0
    found = (first.folder / "run/kindling/keepalived-interface.conf").read_text()
    assert found == "interface eth0\n"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"KINDLING_CARD_ADDRESS": ""}, "eth0"),  # by the virtual address's network
        ({"KINDLING_CARD_ADDRESS": "", "KINDLING_VIRTUAL_NETWORK": "198.51.100.0/24"}, "eth0"),
        ({"KINDLING_CARD_ADDRESS": "", "KINDLING_CARD_NAME": "lo"}, "lo"),
        ({"KINDLING_CARD_ADDRESS": "", "KINDLING_CARD_NAME": "eth7"}, None),
        ({"KINDLING_CARD_ADDRESS": "192.0.2.99"}, None),
    ],
)
def test_the_card_is_found_by_what_is_known(tmp_path, changed, expected):
    with of_role("load-balancer", tmp_path) as (first, _):
        path = first.folder / "etc/kindling/endpoint.env"
        lines = [f"{name}={value}\n" for name, value in changed.items()]
        path.write_text(path.read_text() + "".join(lines))
        done = first.run("/opt/kindling/endpoint-interface")
        if expected is None:
            assert done.returncode != 0
            assert "name one in kubernetes.endpoint.interface" in done.stdout
        else:
            assert f"belongs on {expected}\n" in done.stdout


def test_the_virtual_address_itself_tells_no_card(tmp_path):
    """After a crash the address may be left on a card."""
    with of_role("load-balancer", tmp_path) as (first, _):
        path = first.folder / "etc/kindling/endpoint.env"
        path.write_text(path.read_text() + "KINDLING_CARD_ADDRESS=\n")
        first.run("ip", "address", "add", f"{VIRTUAL}/24", "dev", "lo")
        done = first.run("/opt/kindling/endpoint-interface")
        assert "belongs on eth0\n" in done.stdout
