#!/usr/bin/env python3
"""Converting and hashing against ``cp`` and ``sha256sum``, fetching against ``curl``.

Files in the page cache, drawn weights; the server is this Python's own, on the loopback, in a
process of its own, and the same for both.

    python benchmarks/bytes.py [--repeats 5] [--json] [NAME]
"""

from __future__ import annotations

import http.server
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import measuring

CALLS = 3
SERVER = "import sys; from benchmarks.bytes import serve; serve(sys.argv[1])"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        outputfile.flush()
        self.connection.sendfile(source)


def serve(folder: str) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the benchmark ends


def run(case: dict[str, Any]) -> dict[str, Any]:
    source, out = Path(case["source"]), Path(case["out"])
    out.unlink(missing_ok=True)
    digest = ""

    def way() -> None:
        nonlocal digest
        variant = case["variant"]
        if variant == "cp + sha256sum":
            subprocess.run(["cp", source, out], check=True)
            subprocess.run(["sha256sum", out], check=True, stdout=subprocess.DEVNULL)
        elif variant == "sha256sum":
            subprocess.run(["sha256sum", source], check=True, stdout=subprocess.DEVNULL)
        elif variant == "curl":
            subprocess.run(["curl", "-s", "-o", out, case["url"]], check=True)
        elif variant == "convert":
            digest = convert(source, out, to=case["to"], overwrite=True).digest
        elif variant == "digest":
            file = checkpoint.read(source)
            official = layouts.to_official(file.tensors)
            digest = of_tensors(official)
        else:
            out.unlink(missing_ok=True)
            digest = download(case["url"], out)

    from ptv_hub.fetching.download import download
    from ptv_hub.models.digest import digest as of_tensors
    from ptv_hub.weights import checkpoint, layouts
    from ptv_hub.weights.convert import convert

    way()
    seconds = measuring.median_seconds(way, CALLS, time.perf_counter)
    return {"seconds": seconds, "digest": digest}


def main() -> None:
    from ptv_hub.weights.convert import convert
    from tools import draw

    parser = measuring.parser(__doc__)
    parser.add_argument("name", nargs="?", default="slowfast_r101")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        zoo = draw.write(args.name, f"{folder}/zoo.pyth", training=False)
        tensors = Path(folder, "zoo.safetensors")
        convert(zoo, tensors, to="pyslowfast")
        server = subprocess.Popen(
            [sys.executable, "-c", SERVER, folder],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/{zoo.name}"
            common = {"url": url, "to": "official"}
            variants = [
                ("cp + sha256sum", tensors, "copy"),
                ("convert", tensors, "from_safetensors.safetensors"),
                ("convert", zoo, "from_pyth.safetensors"),
                ("convert", zoo, "from_pyth.pyth"),
                ("sha256sum", tensors, "none"),
                ("digest", tensors, "none"),
                ("digest", zoo, "none"),
                ("curl", zoo, "curl"),
                ("fetch", zoo, "fetch.part"),
            ]
            cases = [
                {**common, "variant": v, "source": str(source), "out": f"{folder}/{out}"}
                for v, source, out in variants
            ]
            found = measuring.alternately(__file__, cases, args.repeats, folder)
        finally:
            server.communicate("")
    against = {"convert": "cp + sha256sum", "digest": "sha256sum", "fetch": "curl"}
    base = {case["variant"]: one for case, one in zip(cases, found, strict=True)}
    rows = []
    for case, one in zip(cases, found, strict=True):
        row: dict[str, Any] = {"work": case["variant"], "from": Path(case["source"]).suffix}
        row["to"] = Path(case["out"]).suffix if case["variant"] == "convert" else ""
        if "error" in one:
            rows.append({**row, "error": one["error"]})
            continue
        row["ms"] = 1000 * one["seconds"]
        if case["variant"] in against:
            row["times the time of"] = one["seconds"] / base[against[case["variant"]]]["seconds"]
            row["what"] = against[case["variant"]]
        rows.append(row)
    measuring.show(rows, args.json)


if __name__ == "__main__":
    measuring.as_script(run, main)
