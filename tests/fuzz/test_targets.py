"""Every door takes whatever comes: with hypothesis, beginning from what is right."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptv_hub.zoo.pyslowfast.values import defaults, nested
from tests.fuzz.targets import TARGETS, documents, seeds

EXAMPLES = 30
DICE = st.integers(0, 2**32).map(random.Random)
"""Choices by a number: hypothesis' own cost more than what they are tried on."""
quick = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)

ODD: list[Any] = [
    *(None, True, -1, 0, 10**13, 10**400, 0.1, float("inf"), float("nan"), -1e308, 1e5),
    *("", "..", "../a", "/a", "C:\\a", "a/b", "a\0b", "a\nverified: holds", "\x1b[2J", "\u202ea"),
    *("\ud800", "con", "nul.txt", "a.", "a" * 5000, "javascript:alert(1)", "[a](http://b)", "```"),
    *("<script>", "%2e%2e/x", "%252e%252e%252fx", "a#b", "9" * 5000, "1e999", "{[]: 1}", "((((("),
    *([], {}, [[]], {"a": {"b": {}}}, [1, "2", None], [["a"]], {"": ""}),
]


def places(value: object, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All places of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    found = []
    for key, child in inner:
        found.append((*here, key))
        if isinstance(child, (dict, list)):
            found += places(child, (*here, key))
    return found


def changed(document: Any, place: tuple[Any, ...], what: Any, how: str) -> Any:
    document = copy.deepcopy(document)
    inner = document
    for step in place[:-1]:
        inner = inner[step]
    if how == "set":
        inner[place[-1]] = what
    elif how == "remove":
        del inner[place[-1]]
    elif isinstance(inner, dict):
        inner[str(what)] = what
    else:
        inner.append(what)
    return document


@pytest.mark.parametrize("name", TARGETS)
@quick
@given(dice=DICE, put=st.binary(max_size=60))
def test_any_bytes(name, dice, put):
    begun = dice.choice([b"", *seeds(name)])
    at = dice.randint(0, len(begun))
    until = dice.randint(at, min(len(begun), at + 50))
    TARGETS[name](begun[:at] + put + begun[until:])


@pytest.mark.parametrize("name", TARGETS)
def test_what_it_begins_from(name):
    for seed in seeds(name):
        TARGETS[name](seed)


@pytest.mark.parametrize("name", documents())
@quick
@given(dice=DICE)
def test_documents_with_odd_values(name, dice):
    (document,) = documents()[name]
    for _ in range(dice.randint(1, 3)):
        if found := places(document):
            how = dice.choice(["set", "set", "remove", "add"])
            document = changed(document, dice.choice(found), dice.choice(ODD), how)
    TARGETS[name](json.dumps(document).encode())


@pytest.mark.parametrize("name", documents())
@pytest.mark.parametrize(
    "text",
    [
        *(
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'{"a":' + b"9" * 5000 + b"}",
            b"\xff\xfe\x00",
            b"null",
        ),
        *(
            b"NaN",
            b'"a"',
            b"[]",
            b"{}",
            b"\xef\xbb\xbf{}",
            b'{"files": 1e999}',
            b'{"a": "\\ud800"}',
        ),
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_json_that_is_no_document(name, text):
    TARGETS[name](text)


@quick
@given(dice=DICE)
def test_configs_with_odd_values(dice):
    keys = dice.sample(sorted(defaults()), dice.randint(1, 4))
    values = {key: dice.choice(ODD) for key in keys}
    begun = {"MODEL.MODEL_NAME": "PTVX3D", "MODEL.ARCH": "x3d", "TRAIN.DATASET": "ptvkinetics"}
    # JSON is YAML, but for the odd text: what is neither is an answer as well.
    TARGETS["yaml_config"](json.dumps(nested({**begun, **values})).encode())


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x]\n" + "".join(f"b{i}: &b{i} [*b{i - 1}, *b{i - 1}]\n" for i in range(1, 2)),
        "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)),
        "a: &a [*a]\n",
        "a: &a {b: *a}\n",
        "[" * 5000,
        "{a: " * 5000,
        "- " * 5000 + "a",
        "a: !!python/object/apply:os.system [id]\n",
        "a: 2001-99-99\n",
        "a: !!int x\n",
        f"a: {'9' * 5000}\n",
        "? [a]\n: b\n",
        "a: !!set {b}\n",
        "\x00",
        "x" * (2 << 20),
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_yaml_that_multiplies_loops_or_makes_objects(text):
    TARGETS["yaml_config"](text.encode())
