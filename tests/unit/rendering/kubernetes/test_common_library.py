"""What every program on a machine shares: reports, limits, warnings, files."""

import json
import subprocess

import pytest

from kindling.models.role import Role
from tests.fakes.api_server import api_server
from tests.fakes.cluster_server import TOKEN, cluster_server
from tests.fakes.joining_machine import JoiningMachine


@pytest.fixture
def machine(tmp_path):
    with api_server(tmp_path) as api, cluster_server() as server:
        yield JoiningMachine(tmp_path, server, api, role=Role.WORKER)


def script(machine, body):
    """Run a program of the machine's that sources the library."""
    text = f'#!/bin/bash\nset -euo pipefail\n. "$(dirname "$0")/common"\n{body}\n'
    machine.write("/opt/kindling/test", text, 0o755)
    return machine.run("test")


def test_a_stage_says_which_generation_and_incarnation_it_is_about(machine):
    script(machine, 'stage joined "all is \\"well\\""')
    assert machine.server.reports == [
        {
            "state": "joined",
            "generation": 1,
            "incarnation": 1,
            "digest": None,
            "message": 'all is "well"',
            "log": "",
        }
    ]


def test_of_a_log_the_end_is_sent(machine):
    machine.write("/log", "".join(f"line {number} é\n" for number in range(5000)))
    script(machine, 'stage failed "why" "$root/log"')
    [report] = machine.server.reports
    assert report["stage"] == "cluster"
    assert report["log"].endswith("line 4999 é\n")
    assert len(report["log"]) <= 12_000


def test_a_stage_is_tried_a_few_times_and_never_fails_its_caller(machine):
    machine.server.refuses = [503] * 100
    done = script(machine, 'stage joined "x"\necho after')
    assert done.status == 0
    assert "after" in done.output
    assert len(machine.server.reports) == 4


def test_a_refusal_is_not_repeated(machine):
    machine.server.refuses = [403, 403]
    script(machine, 'stage joined "x"')
    assert len(machine.server.reports) == 1


def test_a_stage_that_was_not_taken_is_kept_for_the_heartbeat(machine):
    machine.server.silent = True
    script(machine, 'stage joined "x"')
    kept = json.loads(machine.path("/run/kindling/stage").read_text())
    assert kept["state"] == "joined"


def test_tell_says_a_thing_once(machine):
    script(machine, 'tell joined "x"\ntell joined "x"\ntell joined "y"')
    assert machine.server.messages == ["x", "y"]


def test_the_token_is_no_argument_of_any_program(machine):
    machine.program("curl", 'echo "curl $*" >>"$STATE/calls"\nexec /usr/bin/curl "$@"\n')
    script(machine, 'stage joined "x"')
    assert machine.called("curl")
    assert TOKEN not in "\n".join(machine.calls)
    assert machine.server.tokens == {f"Bearer {TOKEN}"}


def test_guard_reports_why_a_function_failed_and_ends_with_its_status(machine):
    body = 'work() { echo "one line"; fail "the reason"; }\nguard test work\necho after'
    done = script(machine, body)
    assert done.status == 1
    assert "after" not in done.output
    [report] = machine.server.reports
    assert report["message"] == "test: the reason"
    assert "one line" in report["log"]


def test_guard_stops_a_function_at_its_first_failure(machine):
    done = script(machine, "work() { false; echo after; }\nguard test work")
    assert done.status == 1
    assert "after" not in done.output


def test_guard_names_the_last_line_where_no_reason_was_given(machine):
    script(machine, "work() { echo 'disk is full' >&2; false; }\nguard test work")
    assert machine.server.messages == ["test: disk is full"]


def test_an_old_reason_is_not_taken_for_a_new_one(machine):
    body = 'first() { fail "old"; }\nset +e\nguard test first\n'
    body += "second() { return 3; }\nguard test second\n"
    script(machine, body)
    assert machine.server.messages == ["test: old", "test: ended with status 3"]


def test_retry_gives_up_after_its_tries_and_waits_longer_each_time(machine):
    machine.program("sleep", 'echo "sleep $*" >>"$STATE/calls"\n')
    done = script(machine, "retry 6 false || echo gave up")
    assert "gave up" in done.output
    waits = [int(call.split()[1]) for call in machine.called("sleep")]
    assert len(waits) == 5
    for wait, least in zip(waits, (1, 2, 4, 8, 16), strict=True):
        assert least <= wait <= least + least // 3 + 1


def test_a_file_is_replaced_as_a_whole_with_its_mode(machine):
    script(machine, 'echo new | put "$root/file" 640')
    file = machine.path("/file")
    assert file.read_text() == "new\n"
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(file.parent.glob("file.*")) == []


def test_an_api_server_is_trusted_only_with_the_clusters_authority(tmp_path):
    with api_server(tmp_path) as api, cluster_server() as server:
        plane = JoiningMachine(tmp_path, server, api)
        ask = 'api_answers "https://$KINDLING_ENDPOINT" && echo yes || echo no'
        assert "yes" in script(plane, ask).output
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-subj", "/CN=other"),
                *("-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "/dev/null"),
                *("-out", str(plane.path("/etc/kubernetes/pki/ca.crt"))),
            ],
            check=True,
            capture_output=True,
        )
        assert "no" in script(plane, ask).output
