"""A stand-in of the Hugging Face Hub: the part of its HTTP interface that runs need.

It keeps repositories in memory and answers as the hub does: with the same paths, status
codes, headers and error codes. Xet storage is switched off, so large and binary files
take the older way, LFS.
"""

import base64
import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

ALICE, BOB = "hf_alice", "hf_bob"  # tokens
USERS = {ALICE: "alice", BOB: "bob"}
REPO = "alice/waves"  # of which alice is the only writer
LFS_BYTES = 100_000  # from here on, files are stored by LFS
DAMAGED = 20  # place of the byte that is flipped in a download


@dataclasses.dataclass
class Repository:
    """A model repository: its commits, each with all files."""

    private: bool
    commits: dict[str, dict[str, bytes]] = dataclasses.field(default_factory=dict)
    branches: dict[str, str] = dataclasses.field(default_factory=dict)
    messages: list[str] = dataclasses.field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        """Adds a commit and returns its hash."""
        self.messages.append(message)
        content = f"{len(self.commits)} {sorted(map(hash_regular, files.values()))}"
        name = hashlib.sha1(content.encode()).hexdigest()
        self.commits[name] = files
        self.branches[branch] = name
        return name

    def files(self, branch: str = "main") -> dict[str, bytes]:
        """Returns the newest files of a branch."""
        return self.commits[self.branches[branch]]


@dataclasses.dataclass
class Hub:
    """The state of the hub."""

    address: str = ""
    repositories: dict[str, Repository] = dataclasses.field(default_factory=dict)
    uploads: dict[str, bytes] = dataclasses.field(default_factory=dict)
    requests: list[str] = dataclasses.field(default_factory=list)
    damaged_file: str | None = None  # is downloaded with a wrong byte
    is_broken: bool = False  # answers every request with status 503


class RefusedError(Exception):
    """A request that the hub refuses."""

    def __init__(self, status: int, message: str, code: str = "", **more: str):
        """Takes what the hub answers: status, headers and further content."""
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.content = {"error": message, **more}


@contextlib.contextmanager
def running() -> Iterator[Hub]:
    """Yields a hub that listens on a free port of this machine."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hash_regular(content: bytes) -> str:
    """Returns the hash that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_lfs(content: bytes) -> bool:
    """Returns whether the hub stores a file by LFS."""
    return len(content) >= LFS_BYTES or b"\0" in content


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        """Prints nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        try:
            self._user()
            answer, headers = self._route(path, body), {}
            if isinstance(answer, tuple):
                answer, headers = answer
            status = 200
        except RefusedError as refused:
            status, answer = refused.status, refused.content
            headers = {"X-Error-Message": refused.message}
            if refused.code:
                headers["X-Error-Code"] = refused.code
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": len(content)} | headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _route(self, path: str, body: bytes) -> Any:
        if self.hub.is_broken:
            raise RefusedError(503, "Service unavailable")
        for method, pattern, function in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method in (self.command, self.command.replace("HEAD", "GET")):
                return function(self, body, **found.groupdict())
        raise RefusedError(404, f"no such page: {path}")

    def _user(self) -> str | None:
        """Returns who sent the request; None: somebody without a token."""
        sent = self.headers.get("Authorization")
        if sent is None:
            return None
        user = USERS.get(sent.removeprefix("Bearer "))
        if user is None:
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return user

    def _check_may_write(self, namespace: str) -> None:
        user = self._user()
        if user is None:
            raise RefusedError(401, "Invalid username or password.")
        if user != namespace:
            raise RefusedError(403, f"You have no rights on the namespace {namespace}")

    def _read(self, repo_id: str) -> Repository:
        found, user = self.hub.repositories.get(repo_id), self._user()
        if found is None or found.private and user != repo_id.split("/")[0]:
            status = 401 if user is None else 404
            raise RefusedError(status, "Repository not found", "RepoNotFound")
        return found

    def _commit_of(self, repo_id: str, revision: str | None) -> str:
        repository = self._read(repo_id)
        revision = revision or "main"
        name = repository.branches.get(revision, revision)
        if name not in repository.commits:
            raise RefusedError(404, "Invalid rev id", "RevisionNotFound")
        return name

    def create(self, body: bytes) -> Any:
        """POST /api/repos/create."""
        sent = json.loads(body)
        namespace = sent["organization"] or self._user()
        self._check_may_write(namespace)
        repo_id = f"{namespace}/{sent['name']}"
        url = f"{self.hub.address}/{repo_id}"
        if repo_id in self.hub.repositories:
            raise RefusedError(409, "You already created this model repo", url=url)
        repository = Repository(sent.get("visibility") == "private")
        repository.commit("main", {".gitattributes": b""}, "initial commit")
        self.hub.repositories[repo_id] = repository
        return {"url": url, "name": repo_id}

    def info(self, body: bytes, repo_id: str, revision: str | None = None) -> Any:
        """GET /api/models/REPOSITORY, and one revision of it."""
        sha = self._commit_of(repo_id, revision)
        repository = self._read(repo_id)
        return {
            "id": repo_id,
            "sha": sha,
            "private": repository.private,
            "siblings": [{"rfilename": name} for name in repository.commits[sha]],
        }

    def branch(self, body: bytes, repo_id: str, branch: str) -> Any:
        """POST /api/models/REPOSITORY/branch/BRANCH."""
        self._check_may_write(repo_id.split("/")[0])
        repository = self._read(repo_id)
        if branch in repository.branches:
            raise RefusedError(409, "Reference already exists")
        repository.branches[branch] = repository.branches["main"]
        return {}

    def validate(self, body: bytes) -> Any:
        """POST /api/validate-yaml."""
        card = json.loads(body)["content"]
        if not card.startswith("---\n") or "\nlicense: " not in card:
            raise RefusedError(400, "Invalid metadata in README.md")
        return {"errors": [], "warnings": []}

    def preupload(self, body: bytes, repo_id: str, revision: str) -> Any:
        """POST /api/models/REPOSITORY/preupload/REVISION."""
        self._check_may_write(repo_id.split("/")[0])
        there = self._read(repo_id).commits[self._commit_of(repo_id, revision)]
        answer = []
        for file in json.loads(body)["files"]:
            name, sample = file["path"], base64.b64decode(file["sample"])
            large = file["size"] >= LFS_BYTES or b"\0" in sample
            mode = "lfs" if large else "regular"
            answer.append({"path": name, "uploadMode": mode, "shouldIgnore": False})
            if name in there:
                answer[-1]["oid"] = _hash(there[name])
        return {"files": answer}

    def lfs_batch(self, body: bytes, repo_id: str) -> Any:
        """POST /REPOSITORY.git/info/lfs/objects/batch."""
        self._check_may_write(repo_id.split("/")[0])
        objects = json.loads(body)["objects"]
        for item in objects:
            if item["oid"] not in self.hub.uploads:
                href = f"{self.hub.address}/uploads/{item['oid']}"
                item["actions"] = {"upload": {"href": href}}
        return {"transfer": "basic", "objects": objects}

    def upload(self, body: bytes, oid: str) -> Any:
        """PUT /uploads/HASH."""
        if hashlib.sha256(body).hexdigest() != oid:
            raise RefusedError(400, "The content does not match the hash")
        self.hub.uploads[oid] = body
        return {}

    def commit(self, body: bytes, repo_id: str, revision: str) -> Any:
        """POST /api/models/REPOSITORY/commit/BRANCH."""
        self._check_may_write(repo_id.split("/")[0])
        repository = self._read(repo_id)
        files, message = dict(repository.files(revision)), ""
        for line in body.splitlines():
            key, value = json.loads(line).values()
            if key == "header":
                message = value["summary"]
                if value["parentCommit"] != repository.branches[revision]:
                    raise RefusedError(412, "A commit has happened since")
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
            else:
                assert key == "deletedFile"
                del files[value["path"]]
        sha = repository.commit(revision, files, message)
        url = f"{self.hub.address}/{repo_id}/commit/{sha}"
        return {"commitUrl": url, "commitOid": sha}

    def tree(self, body: bytes, repo_id: str, revision: str) -> Any:
        """GET /api/models/REPOSITORY/tree/REVISION."""
        files = self._read(repo_id).commits[self._commit_of(repo_id, revision)]
        return [_entry(name, content) for name, content in files.items()]

    def resolve(self, body: bytes, repo_id: str, revision: str, path: str) -> Any:
        """GET /REPOSITORY/resolve/REVISION/FILE."""
        sha = self._commit_of(repo_id, revision)
        files = self._read(repo_id).commits[sha]
        if path not in files:
            raise RefusedError(404, "Entry not found", "EntryNotFound")
        content = files[path]
        headers = {"ETag": f'"{_hash(content)}"', "X-Repo-Commit": sha}
        if path == self.hub.damaged_file:
            flipped = bytes([content[DAMAGED] ^ 1])
            content = content[:DAMAGED] + flipped + content[DAMAGED + 1 :]
        return content, headers


def _hash(content: bytes) -> str:
    """Returns the hash by which the hub knows a file."""
    if is_lfs(content):
        return hashlib.sha256(content).hexdigest()
    return hash_regular(content)


def _entry(name: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": name, "size": len(content)}
    if not is_lfs(content):
        return entry | {"oid": hash_regular(content)}
    sha256 = hashlib.sha256(content).hexdigest()
    lfs = {"oid": sha256, "size": len(content), "pointerSize": 130}
    return entry | {"oid": hash_regular(sha256.encode()), "lfs": lfs}


_REPO = r"(?P<repo_id>[\w.-]+/[\w.-]+)"
_REVISION = r"(?P<revision>[\w.-]+)"
_ROUTES = (
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", f"/api/models/{_REPO}", _Handler.info),
    ("GET", f"/api/models/{_REPO}/revision/{_REVISION}", _Handler.info),
    ("GET", f"/api/models/{_REPO}/tree/{_REVISION}", _Handler.tree),
    ("POST", f"/api/models/{_REPO}/branch/(?P<branch>.+)", _Handler.branch),
    ("POST", f"/api/models/{_REPO}/preupload/{_REVISION}", _Handler.preupload),
    ("POST", f"/api/models/{_REPO}/commit/{_REVISION}", _Handler.commit),
    ("POST", f"/{_REPO}\\.git/info/lfs/objects/batch", _Handler.lfs_batch),
    ("PUT", "/uploads/(?P<oid>[0-9a-f]{64})", _Handler.upload),
    ("GET", f"/{_REPO}/resolve/{_REVISION}/(?P<path>.+)", _Handler.resolve),
)
