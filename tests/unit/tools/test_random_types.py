"""Random values: what is drawn, what counts as a change, what is secret."""

from __future__ import annotations

import base64
import json
import string
from pathlib import Path

import bcrypt
import pytest

from tools.plugins.random_types import (
    SPECIAL,
    RandomBytes,
    RandomId,
    RandomPassword,
    RandomString,
)
from tools.plugins.resource import Call
from tools.plugins.wire import UNKNOWN, Properties, Secret, reveal

RECORDED = json.loads((Path(__file__).parent / "data" / "state.json").read_text())
TYPES = {kind.token: kind for kind in (RandomString(), RandomPassword(), RandomId(), RandomBytes())}
RESOURCES = [item for item in RECORDED["deployment"]["resources"] if item["type"] in TYPES]
CALL = Call("name")


def _shape(value: object) -> object:
    """The keys, at every depth, and which values are secret."""
    if isinstance(value, Secret) or (isinstance(value, dict) and "plaintext" in value):
        return "secret"
    if isinstance(value, dict):
        return {name: _shape(item) for name, item in value.items()}
    return type(value).__name__


@pytest.mark.parametrize("recorded", RESOURCES, ids=lambda item: item["urn"].rsplit("::")[-1])
def test_state_has_the_shape_that_the_official_plugin_recorded(recorded: Properties) -> None:
    _, outputs = TYPES[recorded["type"]].create(CALL, recorded["inputs"])
    assert _shape(outputs) == _shape(recorded["outputs"])


@pytest.mark.parametrize("recorded", RESOURCES, ids=lambda item: item["urn"].rsplit("::")[-1])
def test_a_recorded_resource_does_not_change(recorded: Properties) -> None:
    kind = TYPES[recorded["type"]]
    assert kind.diff(recorded["outputs"], recorded["inputs"], recorded["inputs"]) == {}


def test_ids_follow_the_official_rules() -> None:
    identifier, outputs = RandomString().create(CALL, {"length": 7})
    assert identifier == outputs["result"] == outputs["id"]
    assert RandomPassword().create(CALL, {"length": 7})[0] == "none"
    identifier, outputs = RandomId().create(CALL, {"byteLength": 8, "prefix": "k-"})
    assert outputs["b64Url"] == f"k-{identifier}"
    identifier, outputs = RandomBytes().create(CALL, {"length": 4})
    assert identifier == reveal(outputs["base64"])


def test_string_keeps_to_length_classes_and_minimums() -> None:
    inputs = {"length": 9, "special": False, "upper": False, "minNumeric": 4}
    for _ in range(50):
        _, outputs = RandomString().create(CALL, inputs)
        text = outputs["result"]
        assert len(text) == 9
        assert set(text) <= set(string.ascii_lowercase + string.digits)
        assert sum(character.isdigit() for character in text) >= 4


def test_special_characters_are_those_given() -> None:
    inputs = {"length": 40, "lower": False, "upper": False, "numeric": False}
    _, outputs = RandomString().create(CALL, inputs)
    assert set(outputs["result"]) <= set(SPECIAL)
    _, outputs = RandomString().create(CALL, inputs | {"overrideSpecial": "_-"})
    assert set(outputs["result"]) == set("_-")


def test_bcrypt_hash_is_of_the_password() -> None:
    _, outputs = RandomPassword().create(CALL, {"length": 100})
    password, digest = reveal(outputs["result"]), reveal(outputs["bcryptHash"])
    assert digest.startswith("$2a$10$")
    assert bcrypt.checkpw(password.encode()[:72], digest.encode())


def test_spellings_of_an_id_are_of_the_same_bytes() -> None:
    _, outputs = RandomId().create(CALL, {"byteLength": 5})
    drawn = bytes.fromhex(outputs["hex"])
    assert len(drawn) == 5
    assert base64.b64decode(outputs["b64Std"]) == drawn
    assert int(outputs["dec"]) == int.from_bytes(drawn)


def test_another_input_replaces_and_a_written_default_does_not() -> None:
    kind = RandomString()
    _, outputs = kind.create(CALL, {"length": 8, "keepers": {"a": "1"}})
    same = {"length": 8, "keepers": {"a": "1"}, "special": True, "numeric": True, "minLower": 0}
    assert kind.diff(outputs, {}, same) == {}
    changed = kind.diff(outputs, {}, {"length": 9, "keepers": {"a": "2"}})
    assert set(changed) == {"length", "keepers.a"}
    assert all(change.replace for change in changed.values())


def test_preview_knows_inputs_but_no_value() -> None:
    identifier, outputs = RandomString().create(Call("name", preview=True), {"length": 8})
    assert (identifier, outputs["length"], outputs["result"]) == ("", 8, UNKNOWN)


@pytest.mark.parametrize(
    ("inputs", "property_name"),
    [
        ({}, "length"),
        ({"length": 0}, "length"),
        ({"length": 1.5}, "length"),
        ({"length": "8"}, "length"),
        ({"length": 2, "minLower": 3}, "length"),
        ({"length": 2, "lenght": 3}, "lenght"),
        ({"length": 2, **dict.fromkeys(("lower", "upper", "numeric", "special"), False)}, "lower"),
        ({"length": 2, "number": True, "numeric": False}, "number"),
    ],
)
def test_wrong_inputs_are_named(inputs: Properties, property_name: str) -> None:
    _, failures = RandomString().check(inputs)
    assert [failure.property for failure in failures] == [property_name]


def test_unknown_inputs_pass_the_check() -> None:
    inputs = {"length": UNKNOWN, "keepers": {"a": UNKNOWN}}
    assert RandomString().check(inputs) == (inputs, [])
