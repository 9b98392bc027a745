"""A stand-in for the W&B server on the loopback device, which keeps what it is sent.

It answers what wandb 0.31 asks while a run is created, resumed, written to, finished and synced:
GraphQL under /graphql, rows and summaries under /files/…/file_stream, uploaded files under /upload.

    with WandbServer() as server:
        ...                     # run something with server.environment
        server.runs["id"].history
"""

import base64
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789abcdef0123456789abcdef01234567"  # the only one that the server accepts
STREAMS = {"wandb-history.jsonl": "history", "wandb-events.jsonl": "events"}


@dataclass
class Run:
    """What the server knows of one run."""

    name: str = ""
    group: str = ""
    sweep: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)  # system metrics
    files: dict[str, bytes] = field(default_factory=dict)
    exitcode: int | None = None


class WandbServer(ThreadingHTTPServer):
    """Serves in a thread while used as a context manager.

    `mood` is "well", or one of the ways to be ill: "failing" answers 500, "hanging" answers nothing, "dead"
    is gone with its port. With `falls_ill_on`, the server is well until the first request whose path or
    GraphQL operation has that name.
    """

    daemon_threads = True

    def __init__(self, mood: str = "well", falls_ill_on: str | None = None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.mood = "well" if falls_ill_on else mood
        self.illness, self.falls_ill_on = mood, falls_ill_on
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.environment = {
            "WANDB_BASE_URL": self.url,
            "WANDB_API_KEY": KEY,
            "WANDB_MODE": "online",
            "WANDB_ERROR_REPORTING": "false",
        }
        self.runs: dict[str, Run] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}  # by id
        self.used: list[tuple[str, str]] = []  # (run, artifact)
        self.unknown: set[str] = set()  # operations that were asked for and have no answer here

    def __enter__(self) -> "WandbServer":
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.mood = "well"
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    server: WandbServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(self.path, None)

    def do_POST(self) -> None:
        self.do_PUT()

    def do_PUT(self) -> None:
        self.answer(self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, path: str, body: bytes | None) -> None:
        operation = None
        if path == "/graphql":
            request = json.loads(body)
            operation = re.search(r"(?:query|mutation)\s+(\w+)", request["query"])[1]
        if self.server.falls_ill_on and self.server.falls_ill_on in (operation, path.rpartition("/")[2]):
            self.server.mood = self.server.illness
        while self.server.mood == "hanging":
            time.sleep(0.1)
        if self.server.mood == "dead":
            self.server.socket.close()
            self.close_connection = True
            return None
        if self.server.mood == "failing":
            return self.send(500, {"error": "the server is ill"})
        if operation:
            authorization = base64.b64encode(f"api:{KEY}".encode()).decode()
            if operation != "Probe" and self.headers.get("Authorization") != f"Basic {authorization}":
                return self.send(401, {"errors": [{"message": "no such key"}]})
            if operation not in ANSWERS:
                self.server.unknown.add(operation)
            return self.send(
                200, {"data": ANSWERS.get(operation, lambda *_: {})(self.server, request.get("variables", {}))}
            )
        if path.endswith("/file_stream"):
            self.stream(self.server.runs[path.split("/")[-2]], json.loads(body))
        elif path.startswith("/upload/"):
            _, _, kind, owner, name = path.split("/", 4)
            files = self.server.runs[owner].files if kind == "run" else self.server.artifacts[owner]["files"]
            files[name] = body
        return self.send(200, {})

    def stream(self, run: Run, body: dict[str, Any]) -> None:
        for name, chunk in body.get("files", {}).items():
            lines = [json.loads(line) for line in chunk["content"]] if name.endswith(("jsonl", "json")) else []
            if name in STREAMS:
                getattr(run, STREAMS[name])[chunk["offset"] :] = lines
            elif name == "wandb-summary.json":
                run.summary = lines[-1]
        if body.get("complete"):
            run.exitcode = body["exitcode"]

    def send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Requests are not printed."""


def upsert_bucket(server: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    inserted = given["name"] not in server.runs
    run = server.runs.setdefault(given["name"], Run())
    for key, attribute in {"displayName": "name", "groupName": "group", "sweep": "sweep", "tags": "tags"}.items():
        if given.get(key):
            setattr(run, attribute, given[key])
    run.config |= json.loads(given.get("config") or "{}")
    run.summary |= json.loads(given.get("summaryMetrics") or "{}")
    return {"upsertBucket": {"bucket": bucket(given["name"], run), "inserted": inserted}}


def bucket(name: str, run: Run) -> dict[str, Any]:
    return {
        "id": name,
        "name": name,
        "displayName": run.name or name,
        "config": json.dumps(run.config),
        "summaryMetrics": json.dumps(run.summary),
        "historyLineCount": len(run.history),
        "eventsLineCount": len(run.events),
        "logLineCount": 0,
        "historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]),
        "eventsTail": json.dumps([json.dumps(row) for row in run.events[-1:]]),
        "tags": run.tags,
        "wandbConfig": '{"t": 1}',
        "project": {"id": "project", "name": "image-classifier", "entity": {"id": "entity", "name": "someone"}},
    }


def resume_status(server: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    run = server.runs.get(given["name"])
    entity = {"id": "entity", "name": "someone"}
    return {"model": {"id": "p", "name": "p", "entity": entity, "bucket": run and bucket(given["name"], run)}}


def create_run_files(server: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    files = [{"name": name, "uploadUrl": f"{server.url}/upload/run/{given['run']}/{name}"} for name in given["files"]]
    return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}


def create_artifact(server: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    given, key = given["input"], f"artifact{len(server.artifacts)}"
    server.artifacts[key] = {"files": {}, **given}
    return {"createArtifact": {"artifact": {"id": key, "state": "PENDING", "artifactSequence": {"id": "s"}}}}


def create_artifact_manifest(server: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    key = given["artifactID"]
    file = {"uploadUrl": f"{server.url}/upload/artifact/{key}/{given['name']}", "uploadHeaders": []}
    return {
        "createArtifactManifest": {"artifactManifest": {"id": key, "file": file if given["includeUpload"] else None}}
    }


def update_artifact_manifest(server: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    key = given["artifactManifestID"]
    file = {"uploadUrl": f"{server.url}/upload/artifact/{key}/wandb_manifest.json", "uploadHeaders": []}
    return {"updateArtifactManifest": {"artifactManifest": {"id": key, "file": file}}}


def create_artifact_files(server: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    edges = []
    for spec in given["input"]["artifactFiles"]:
        key = spec["artifactID"]
        url = f"{server.url}/upload/artifact/{key}/{spec['name']}"
        node = {"name": spec["name"], "uploadUrl": url, "uploadHeaders": [], "artifact": {"id": key}}
        edges.append({"node": node})
    return {"createArtifactFiles": {"files": {"edges": edges}}}


def use_artifact(server: WandbServer, given: dict[str, Any]) -> dict[str, Any]:
    server.used.append((given["input"]["runName"], given["input"]["artifactID"]))
    return {"useArtifact": {"artifact": {"id": given["input"]["artifactID"]}}}


ANSWERS = {
    "Probe": lambda server, given: {"viewer": None},
    "ServerFeaturesQuery": lambda server, given: {"serverInfo": {"features": []}},
    "Viewer": lambda server, given: {"viewer": {"id": "me", "entity": "someone", "username": "someone", "flags": "{}"}},
    "OrganizationCoreWeaveOrganizationID": lambda server, given: {"entity": None},
    "ArtifactType": lambda server, given: {"project": None},  # that is, the artifact is new
    "UpsertBucket": upsert_bucket,
    "RunResumeStatus": resume_status,
    "CreateRunFiles": create_run_files,
    "CreateArtifact": create_artifact,
    "CreateArtifactManifest": create_artifact_manifest,
    "UpdateArtifactManifest": update_artifact_manifest,
    "CreateArtifactFiles": create_artifact_files,
    "CommitArtifact": lambda server, given: {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": ""}}},
    "UseArtifact": use_artifact,
}
