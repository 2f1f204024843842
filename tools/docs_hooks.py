"""For mkdocs: pages that ask no network. Their search has its script beside it."""

from __future__ import annotations

import os
import posixpath
import re
import shutil
from pathlib import Path
from typing import Any

_ELSEWHERE = re.compile(r"https://[^\"/]+/iframe-worker/shim")
_HERE = "assets/javascripts/iframe-worker.js"


def on_post_page(output: str, page: Any, **_: object) -> str:
    """The page with its search's script beside it: the theme names a server's."""
    here = posixpath.relpath(_HERE, posixpath.dirname(page.url) or ".")
    return _ELSEWHERE.sub(here, output)


def on_post_template(output_content: str, template_name: str, **_: object) -> str:
    """The same for 404.html, which may stand at any depth."""
    return _ELSEWHERE.sub(f"/{_HERE}", output_content)


def on_post_build(config: Any, **_: object) -> None:
    target = Path(config["site_dir"]) / _HERE
    shutil.copyfile(os.environ["SHIM"], target)
