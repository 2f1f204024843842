"""``ptv-hub`` as it is typed, run within this process: a second less than a new one each time."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from unittest import mock

import pytest
import torch

from ptv_hub.cli import main


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str


def ptv_hub(*words: object) -> Ran:
    """Run ``ptv-hub WORDS``; no test of it may find a bug of ours (exit code 70).

    The environment, which ``--manifest`` and ``--lock`` write into, and the number of threads
    are afterwards as they were.
    """
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    threads = torch.get_num_threads()
    with (
        mock.patch.object(sys, "argv", ["ptv-hub", *map(str, words)]),
        mock.patch.dict(os.environ, PTV_HUB_DEBUG="1"),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as end,
    ):
        main()
    torch.set_num_threads(threads)
    ran = Ran(int(end.value.code or 0), _text(out), _text(err))
    assert ran.code != 70, ran.err
    return ran


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined]
