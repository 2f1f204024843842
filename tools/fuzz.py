"""Fuzz what reads strangers' files and answers, guided by coverage, for a while each.

    python tools/fuzz.py SECONDS [TARGET]...

Needs atheris (``make fuzz TIME=SECONDS`` makes an environment with it). The seconds are shared out
among the targets of ``tests/fuzz/targets.py``. Ends with 1 at a finding, which stands in
``fuzz/TARGET/``; what was learnt stays in ``fuzz/TARGET/corpus`` for the next time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main(seconds: int, names: list[str]) -> int:
    from tests.fuzz.targets import TARGETS, seeds

    names = names or list(TARGETS)
    failed = []
    for name in names:
        corpus = ROOT / "fuzz" / name / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds(name)):
            (corpus / f"seed_{number}").write_bytes(seed)
        each = max(1, seconds // len(names))
        print(f"{name}: {each} s", flush=True)
        words = [sys.executable, __file__, "--one", name, str(each)]
        if subprocess.run(words, cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"findings: {', '.join(failed)}" if failed else "no findings")
    return int(bool(failed))


def one(name: str, seconds: int) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["ptv_hub"]):
        from tests.fuzz.targets import TARGETS

    folder = ROOT / "fuzz" / name
    options = [f"-max_total_time={seconds}", "-max_len=20000", "-timeout=20", "-rss_limit_mb=4096"]
    options += [f"-artifact_prefix={folder}{os.sep}", "-print_final_stats=1", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(folder / "corpus")], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2], int(sys.argv[3]))
    elif len(sys.argv) > 1 and sys.argv[1].isdecimal():
        sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
    else:
        sys.exit(__doc__)
