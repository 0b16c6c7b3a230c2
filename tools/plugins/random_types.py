"""RandomString, RandomPassword, RandomId and RandomBytes of pulumi-random 4.21."""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Mapping
from typing import Any, ClassVar

import bcrypt

from .resource import FLAG, NUMBER, TABLE, TEXT, Call, Change, Failure, Field, ResourceType, changes
from .wire import UNKNOWN, Properties, Secret, has_unknown, reveal

# The provider's own list; it leaves out quotes, slashes and commas.
SPECIAL = "!@#$%&*()-_=+[]{}<>:?"
_BCRYPT_LIMIT = 72  # bytes; the algorithm reads no more


class RandomType(ResourceType):
    """Random values never change in place: any different input makes a new one."""

    defaults: ClassVar[Mapping[str, Any]] = {}
    nullable: ClassVar[tuple[str, ...]] = ("keepers",)
    size: ClassVar[str] = "length"

    def check(self, news: Properties) -> tuple[Properties, list[Failure]]:
        """Check fields, and that the size is at least 1."""
        given, failures = super().check(news)
        size = reveal(given.get(self.size))
        if not failures and isinstance(size, int | float) and (size < 1 or size != int(size)):
            failures.append(Failure(self.size, f"{self.size} must be a whole number, at least 1"))
        return given, failures

    def diff(self, olds: Properties, old_inputs: Properties, news: Properties) -> dict[str, Change]:
        """Compare with the recorded outputs, so that a default written out is no change."""
        before, after = self.effective(olds), self.effective(news)
        found: dict[str, Change] = {}
        for name in self.inputs:
            found |= changes(before.get(name), after.get(name), name, replace=True)
        return found

    def effective(self, properties: Properties) -> Properties:
        """Return the inputs that count: revealed, with defaults, without what means nothing."""
        given = {name: reveal(properties.get(name)) for name in self.inputs}
        if isinstance(keepers := given.get("keepers"), dict):
            # The provider ignores keepers that are null, and a map of none of them.
            given["keepers"] = {key: item for key, item in keepers.items() if item is not None}
        return dict(self.defaults) | {
            name: value for name, value in given.items() if value not in (None, "", {})
        }

    def update(
        self, call: Call, olds: Properties, old_inputs: Properties, news: Properties
    ) -> Properties:
        """Keep the value; reached only when a change means nothing to it."""
        return dict(olds)

    def create(self, call: Call, news: Properties) -> tuple[str, Properties]:
        """Draw the value."""
        if call.preview:
            return "", self._state(news) | dict.fromkeys(self.outputs, UNKNOWN)
        identifier, drawn = self.draw(self.effective(news))
        return identifier, self._state(news) | drawn

    def draw(self, inputs: Properties) -> tuple[str, Properties]:
        """Return a new value's id and outputs."""
        raise NotImplementedError

    def _state(self, news: Properties) -> Properties:
        state = dict(self.defaults) | news
        return state | {"__pulumi_raw_state_delta": self._delta(news)}

    def _delta(self, news: Properties) -> Properties:
        """Say which inputs are null for the official plugin, which reads its own state with it.

        The form is the Terraform bridge's `RawStateDelta`, as in states that it recorded.
        """
        absent = [name for name in self.nullable if name not in news]
        deltas: Properties = {name: Secret({"replace": {"raw": None}}) for name in absent}
        if "keepers" in news:
            deltas["keepers"] = {"map": {}}
        return {"obj": {"ps": deltas} if deltas else {}}


class RandomString(RandomType):
    """Characters of chosen classes; not a secret."""

    token = "random:index/randomString:RandomString"
    inputs: ClassVar[Mapping[str, Field]] = {
        "keepers": TABLE,
        "length": Field(NUMBER.kind, required=True),
        "lower": FLAG,
        "minLower": NUMBER,
        "minNumeric": NUMBER,
        "minSpecial": NUMBER,
        "minUpper": NUMBER,
        "number": FLAG,
        "numeric": FLAG,
        "overrideSpecial": TEXT,
        "special": FLAG,
        "upper": FLAG,
    }
    outputs = frozenset({"result"})
    defaults: ClassVar[Mapping[str, Any]] = {
        **dict.fromkeys(("lower", "number", "numeric", "special", "upper"), True),
        **dict.fromkeys(("minLower", "minNumeric", "minSpecial", "minUpper"), 0),
    }
    nullable = ("keepers", "overrideSpecial")
    schema_version = "2"

    def check(self, news: Properties) -> tuple[Properties, list[Failure]]:
        """Check also that the classes and minimums can be met."""
        given, failures = super().check(news)
        if failures or has_unknown(given):
            return given, failures
        inputs = self.effective(given)
        least = sum(inputs[name] for name in inputs if name.startswith("min"))
        if least > inputs["length"]:
            failures.append(Failure("length", f"length must be at least {least}: the minimums"))
        if not self._allowed(inputs):
            failures.append(Failure("lower", "one of lower, upper, numeric, special must be true"))
        if "number" in given and "numeric" in given and given["number"] != given["numeric"]:
            failures.append(Failure("number", "number is the old name of numeric; give only one"))
        return given, failures

    def effective(self, properties: Properties) -> Properties:
        """Join `number`, the old name of `numeric`, with it."""
        inputs = super().effective(properties)
        given = [properties.get(name) for name in ("numeric", "number")]
        numeric = next((reveal(value) for value in given if value is not None), True)
        return inputs | {"number": numeric, "numeric": numeric}

    def draw(self, inputs: Properties) -> tuple[str, Properties]:
        """Draw the characters."""
        text = self._characters(inputs)
        return text, {"id": text, "result": text}

    def _state(self, news: Properties) -> Properties:
        numeric = {name: self.effective(news)[name] for name in ("number", "numeric")}
        meta = f'{{"schema_version":"{self.schema_version}"}}'
        return super()._state(news) | numeric | {"__meta": meta}

    @staticmethod
    def _alphabets(inputs: Properties) -> dict[str, str]:
        return {
            "Lower": string.ascii_lowercase,
            "Upper": string.ascii_uppercase,
            "Numeric": string.digits,
            "Special": inputs.get("overrideSpecial", SPECIAL),
        }

    def _allowed(self, inputs: Properties) -> str:
        alphabets = self._alphabets(inputs)
        return "".join(text for name, text in alphabets.items() if inputs[name.lower()])

    def _characters(self, inputs: Properties) -> str:
        drawn: list[str] = []
        for name, alphabet in self._alphabets(inputs).items():
            drawn += [secrets.choice(alphabet) for _ in range(int(inputs[f"min{name}"]))]
        allowed = self._allowed(inputs)
        drawn += [secrets.choice(allowed) for _ in range(int(inputs["length"]) - len(drawn))]
        secrets.SystemRandom().shuffle(drawn)
        return "".join(drawn)


class RandomPassword(RandomString):
    """The same characters, as a secret, with their bcrypt hash."""

    token = "random:index/randomPassword:RandomPassword"
    outputs = frozenset({"result", "bcryptHash"})
    schema_version = "3"

    def draw(self, inputs: Properties) -> tuple[str, Properties]:
        """Draw the characters and hash them; the id says nothing about them."""
        text = self._characters(inputs)
        salt = bcrypt.gensalt(10, prefix=b"2a")
        digest = bcrypt.hashpw(text.encode()[:_BCRYPT_LIMIT], salt).decode()
        return "none", {"id": "none", "result": Secret(text), "bcryptHash": Secret(digest)}


class RandomId(RandomType):
    """Random bytes as an identifier in several spellings; not a secret."""

    token = "random:index/randomId:RandomId"
    inputs: ClassVar[Mapping[str, Field]] = {
        "byteLength": Field(NUMBER.kind, required=True),
        "keepers": TABLE,
        "prefix": TEXT,
    }
    outputs = frozenset({"b64Std", "b64Url", "dec", "hex"})
    nullable = ("keepers", "prefix")
    size = "byteLength"

    def draw(self, inputs: Properties) -> tuple[str, Properties]:
        """Draw the bytes; the prefix is part of every spelling but the id."""
        drawn = secrets.token_bytes(int(inputs["byteLength"]))
        short = base64.urlsafe_b64encode(drawn).decode().rstrip("=")
        spellings = {
            "b64Std": base64.b64encode(drawn).decode(),
            "b64Url": short,
            "dec": str(int.from_bytes(drawn)),
            "hex": drawn.hex(),
        }
        prefix = inputs.get("prefix", "")
        outputs = {name: prefix + text for name, text in spellings.items()}
        return short, outputs | {"id": short}


class RandomBytes(RandomType):
    """Random bytes as a secret.

    As with the official plugin the id is the bytes' base64 text, and ids are not encrypted in
    the state. What must not stand there in plain text is better a `RandomPassword`.
    """

    token = "random:index/randomBytes:RandomBytes"
    inputs: ClassVar[Mapping[str, Field]] = {
        "keepers": TABLE,
        "length": Field(NUMBER.kind, required=True),
    }
    outputs = frozenset({"base64", "hex"})

    def draw(self, inputs: Properties) -> tuple[str, Properties]:
        """Draw the bytes."""
        drawn = secrets.token_bytes(int(inputs["length"]))
        text = base64.b64encode(drawn).decode()
        return text, {"base64": Secret(text), "hex": Secret(drawn.hex())}
