"""A small Hugging Face Hub on loopback: the endpoints that huggingface_hub's client uses.

Repositories live in memory: branches point at commits, a commit is a mapping of paths to
contents, large files are kept by sha256. What was asked is written down, and any request can
be told to fail.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest
import yaml

TOKEN = "hf_local_token"
LARGE = (".safetensors", ".png")


@dataclass
class Repository:
    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pull_requests: list[str] = field(default_factory=list)

    def resolve(self, revision: str) -> str | None:
        return self.branches.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Failure:
    """What a request is answered with in place of the right thing."""

    method: str
    path: str
    """A regular expression."""
    status: int
    """0 closes the connection in the middle."""
    times: int = 1_000_000
    headers: dict[str, str] = field(default_factory=dict)


class Hub:
    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.uploads: list[tuple[str, int]] = []
        """(sha256, bytes) of what was sent as a large file."""
        self.failures: list[Failure] = []
        self.url = self.storage = ""

    def fail(self, method: str, path: str, status: int, **more: Any) -> Failure:
        self.failures.append(Failure(method, path, status, **more))
        return self.failures[-1]

    def asked(self, method: str, part: str = "") -> list[str]:
        return [path for verb, path in self.requests if verb == method and part in path]


@contextmanager
def running() -> Iterator[Hub]:
    """A Hub, and beside it the storage of its large files, which is another host."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _serving(handler) as hub.url, _serving(handler) as hub.storage:
        yield hub


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    # Polled often: it is stopped after each test.
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def _oid(path: str, content: bytes) -> str:
    if path.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    # -------------------------------------------------------------- in and out

    def _handle(self) -> None:
        self.path, _, self.query = self.path.partition("?")
        self.path = unquote(self.path)
        self.hub.requests.append((self.command, self.path))
        for failure in self.hub.failures:
            if failure.method == self.command and re.search(failure.path, self.path):
                if failure.times <= 0:
                    continue
                failure.times -= 1
                if failure.status == 0:
                    # In the middle of the body: some of it was read, nothing is answered.
                    self.rfile.read(min(1000, int(self.headers.get("Content-Length", 0))))
                    self.close_connection = True
                    self.connection.close()
                    return
                self._body()
                self._answer(failure.status, {"error": "as told"}, failure.headers)
                return
        for method, pattern, action in _ROUTES:
            found = re.fullmatch(pattern, self.path)
            if method == self.command and found:
                action(self, *found.groups())
                return
        self._body()
        self._answer(404, {"error": f"no such endpoint: {self.path}"})

    do_GET = do_POST = do_PUT = do_HEAD = _handle  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _signed_in(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, name: str, *, write: bool = False) -> Repository | None:
        """The repository, or ``None`` after having answered as the Hub does."""
        repository = self.hub.repositories.get(name)
        if write and not self._signed_in():
            self._body()
            self._answer(401, {"error": "Invalid username or password."})
            return None
        if repository is None or (repository.private and not self._signed_in()):
            self._body()
            status = 404 if self._signed_in() else 401
            self._answer(
                status, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
            )
            return None
        return repository

    def _commit_of(self, repository: Repository, revision: str) -> str | None:
        commit = repository.resolve(revision)
        if commit is None:
            self._body()
            self._answer(404, {"error": "no revision"}, {"X-Error-Code": "RevisionNotFound"})
        return commit

    # -------------------------------------------------------------- endpoints

    def create(self) -> None:
        asked = json.loads(self._body())
        if not self._signed_in():
            self._answer(401, {"error": "Invalid username or password."})
            return
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            self._answer(409, {"error": "You already created this model repo"})
            return
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        first = hashlib.sha1(name.encode()).hexdigest()
        content = {".gitattributes": b"*.safetensors filter=lfs\n"}
        self.hub.repositories[name] = Repository(private, {first: content}, {"main": first})
        self._answer(200, {"url": f"{self.hub.url}/{name}", "name": name, "id": name})

    def validate_yaml(self) -> None:
        text = json.loads(self._body())["content"]
        try:
            metadata = yaml.safe_load(text.split("---\n")[1])
            missing = {"license", "pipeline_tag", "library_name"} - set(metadata)
        except (yaml.YAMLError, IndexError, TypeError) as error:
            self._answer(400, {"errors": [{"message": str(error)}], "warnings": []})
            return
        errors = [{"message": f"no {name}"} for name in sorted(missing)]
        self._answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def info(self, name: str, revision: str = "main") -> None:
        repository = self._repository(name)
        commit = repository and self._commit_of(repository, revision)
        if repository and commit:
            files = [{"rfilename": path} for path in repository.commits[commit]]
            answer = {"id": name, "sha": commit, "private": repository.private, "siblings": files}
            self._answer(200, {**answer, "modelId": name, "tags": [], "downloads": 0})

    def paths_info(self, name: str, revision: str) -> None:
        repository = self._repository(name)
        commit = repository and self._commit_of(repository, revision)
        if repository and commit:
            wanted = parse_qs(self._body().decode())["paths"]
            found = repository.commits[commit]
            self._answer(200, [_path_info(p, found[p]) for p in wanted if p in found])

    def branch(self, name: str, branch: str) -> None:
        repository = self._repository(name, write=True)
        if repository:
            self._body()
            repository.branches[branch] = repository.branches["main"]
            self._answer(200, {})

    def preupload(self, name: str, revision: str) -> None:
        repository = self._repository(name, write=True)
        commit = repository and self._commit_of(repository, revision)
        if repository and commit:
            there = repository.commits[commit]
            files = [
                {
                    "path": asked["path"],
                    "uploadMode": "lfs" if asked["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                    "oid": _oid(asked["path"], there[asked["path"]])
                    if asked["path"] in there
                    else None,
                }
                for asked in json.loads(self._body())["files"]
            ]
            self._answer(200, {"files": files, "commitOid": commit})

    def batch(self, name: str) -> None:
        if self._repository(name, write=True):
            objects = []
            for asked in json.loads(self._body())["objects"]:
                if asked["oid"] not in self.hub.large:
                    href = f"{self.hub.storage}/storage/{asked['oid']}"
                    asked = {**asked, "actions": {"upload": {"href": href, "header": {}}}}
                objects.append(asked)
            self._answer(200, {"transfer": "basic", "objects": objects})

    def store(self, oid: str) -> None:
        content = self._body()
        if hashlib.sha256(content).hexdigest() != oid:
            self._answer(400, {"error": "other bytes than announced"})
            return
        self.hub.large[oid] = content
        self.hub.uploads.append((oid, len(content)))
        self._answer(200, b"")

    def commit(self, name: str, revision: str) -> None:
        repository = self._repository(name, write=True)
        before = repository and self._commit_of(repository, revision)
        if not repository or not before:
            return
        lines = [json.loads(line) for line in self._body().splitlines()]
        parent = lines[0]["value"].get("parentCommit")
        if parent not in (None, before):
            self._answer(412, {"error": "A commit has happened since."})
            return
        content = dict(repository.commits[before])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                content[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content[value["path"]] = self.hub.large[value["oid"]]
        told = json.dumps(sorted((p, _oid(p, c)) for p, c in content.items()))
        oid = hashlib.sha1((before + told).encode()).hexdigest()
        repository.commits[oid] = content
        answer = {"commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "commitOid": oid}
        if "create_pr=1" in self.query:
            number = len(repository.pull_requests) + 1
            repository.pull_requests.append(oid)
            answer["pullRequestUrl"] = f"{self.hub.url}/{name}/discussions/{number}"
        else:
            repository.branches[revision] = oid
        self._answer(200, answer)

    def resolve(self, name: str, revision: str, path: str) -> None:
        repository = self._repository(name)
        commit = repository and self._commit_of(repository, revision)
        if not repository or not commit:
            return
        content = repository.commits[commit].get(path)
        headers = {"X-Repo-Commit": commit}
        if content is None:
            headers["X-Error-Code"] = "EntryNotFound"
            self._answer(404, {"error": "Entry not found"}, headers)
            return
        oid = _oid(path, content)
        if len(oid) == 64:
            # Large files lie elsewhere: a redirect that carries what they are.
            headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
            headers |= {"ETag": f'"{commit}"', "Location": f"{self.hub.storage}/storage/{oid}"}
            self._answer(302, b"", headers)
            return
        self._answer(200, content, {**headers, "ETag": f'"{oid}"'})

    def stored(self, oid: str) -> None:
        content = self.hub.large[oid]
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        rest = content[int(start[1]) :] if start else content
        self._answer(206 if start else 200, rest, {"ETag": f'"{oid}"'})


def _path_info(path: str, content: bytes) -> dict[str, Any]:
    oid = _oid(path, content)
    told = {"type": "file", "path": path, "size": len(content), "oid": oid}
    if len(oid) == 64:
        told["oid"] = hashlib.sha1(oid.encode()).hexdigest()  # of the pointer file
        told["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 130}
    return told


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES = [
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate_yaml),
    ("GET", f"/api/models/{_NAME}", _Handler.info),
    ("GET", f"/api/models/{_NAME}/revision/(.+)", _Handler.info),
    ("POST", f"/api/models/{_NAME}/paths-info/(.+)", _Handler.paths_info),
    ("POST", f"/api/models/{_NAME}/branch/(.+)", _Handler.branch),
    ("POST", f"/api/models/{_NAME}/preupload/(.+)", _Handler.preupload),
    ("POST", f"/{_NAME}\\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", "/storage/(.+)", _Handler.store),
    ("GET", "/storage/(.+)", _Handler.stored),
    ("HEAD", "/storage/(.+)", _Handler.stored),
    ("POST", f"/api/models/{_NAME}/commit/(.+)", _Handler.commit),
    ("HEAD", f"/{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
    ("GET", f"/{_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
]


@contextmanager
def in_this_process(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Iterator[Hub]:
    """A local Hub, which huggingface_hub of this process takes for the real one."""
    from huggingface_hub import constants

    with running() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        # The client waits between its attempts: 1, 2, 4, 8, 8 seconds.
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)
        yield hub
