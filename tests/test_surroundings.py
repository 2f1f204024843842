"""The walls around the tests: no network but loopback, a cache for each test."""

from __future__ import annotations

import socket

import pytest
import requests

from ptv_hub.fetching import cache
from tests import ROOT
from tests.conftest import TOGETHER

# An address for documentation (RFC 5737): even without the wall nobody would be reached.
FAR = "192.0.2.1"


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection((FAR, 80), timeout=1),
        lambda: socket.socket().connect((FAR, 80)),
        lambda: socket.socket().connect_ex((FAR, 80)),
        lambda: socket.getaddrinfo("example.invalid", 80),
        lambda: requests.get("http://example.invalid", timeout=1),
    ],
    ids=["create_connection", "connect", "connect_ex", "getaddrinfo", "requests"],
)
def test_a_test_that_reaches_further_than_loopback_fails(reach):
    with pytest.raises(pytest.fail.Exception, match="a test"):
        reach()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_reached(host):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        socket.create_connection((host, server.getsockname()[1]), timeout=10).close()


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_has_a_cache_of_its_own(number, tmp_path):
    assert cache.folder().is_relative_to(tmp_path)
    assert not cache.folder().exists()
    cache.folder().mkdir()


@pytest.mark.xdist_group("groups")
def test_groups_of_tests_are_kept_together(request):
    """xdist reads groups off the tests' names, where it sees to it that they stand there."""
    workers = getattr(request.config, "workerinput", None)
    if workers is not None and request.config.getvalue("loadgroup"):
        assert request.node.nodeid.endswith("@groups")
    assert all((ROOT / "tests" / name).is_file() for name in TOGETHER)
