"""The hub, spoken to by its own client over a real connection: a server here that keeps repositories, and behaves badly when asked to."""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save

import convatlas as package
from convatlas.hub import fetch, push, repository
from convatlas.mistake import Mistake
from convatlas.recipes import RECIPES
from convatlas.run import begin

constants = pytest.importorskip("huggingface_hub.constants", reason="the extra `hub` is not installed")

# The client's own, when it sends a file: it calls its HTTP library by the old name of an argument.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")

SHORT = replace(RECIPES["lenet5_modern-mnist"], steps=20, test=20, batch=50, threads=1)
ANN = "hf_of_ann"


def gone(run):
    for _ in run.go():
        pass
    return run


class Hub(ThreadingHTTPServer):
    """Repositories as (private, commits); a commit is its name and its files. `asked` is what was, `behave` how it answers."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url, self.store = (f"http://{host}:{self.server_port}" for host in ("127.0.0.1", "localhost"))  # large files are elsewhere
        self.behave, self.asked = "well", []
        self.private, self.commits, self.large = {}, {}, {}

    def commit(self, repo: str, files: dict[str, bytes]) -> str:
        """Adds a commit in which these files are new."""
        before = self.commits.setdefault(repo, [])
        self.private.setdefault(repo, False)
        files = (before[-1][1] if before else {}) | files
        before.append((hashlib.sha1(repr((len(before), sorted(files.items()))).encode(), usedforsecurity=False).hexdigest(), files))
        return before[-1][0]

    def found(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commits = self.commits[repo]
        return commits[-1] if revision == "main" else next((c for c in commits if c[0] == revision), None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *words):
        pass

    def answer(self, code: int, body: object = b"", **headers: object) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in ({"Content-Length": len(data)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, code: int, name: str, text: str = "no") -> None:
        self.answer(code, {"error": text}, X_Error_Code=name, X_Error_Message=text)

    def handle_any(self):
        path = unquote(self.path.partition("?")[0])
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"{self.command} {path}")
        if self.server.behave == "is busy":
            return self.answer(503)
        if self.server.behave == "is something else":
            return self.answer(200, b"<html>Welcome to the hotel</html>", Content_Type="text/html")
        for pattern, name in ROUTES.items():
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return getattr(self, name)(body, *found.groups())
        return self.answer(404)

    do_GET = do_HEAD = do_POST = do_PUT = handle_any  # noqa: N815

    @property
    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {ANN}"

    def seen(self, repo: str, revision: str = "main") -> tuple[str, dict[str, bytes]] | None:
        """The commit, if whoever asks may see it; else it is refused as the hub refuses."""
        if repo == "ann/gated":
            return self.refuse(403, "GatedRepo")
        if repo not in self.server.commits or (self.server.private[repo] and not self.known):
            return self.refuse(404 if self.known else 401, "RepoNotFound", "Repository not found")
        return self.server.found(repo, revision) or self.refuse(404, "RevisionNotFound")

    def create(self, body: bytes) -> None:
        wanted = json.loads(body)
        repo = f"{wanted['organization']}/{wanted['name']}"
        if not self.known:
            return self.answer(401, {"error": "Invalid username or password."})
        if wanted["organization"] != "ann":
            return self.refuse(403, "", f"You don't have the rights to create a model under {wanted['organization']}")
        if repo in self.server.commits:
            return self.answer(409, {"error": "You already created this model repo", "url": f"{self.server.url}/{repo}"})
        self.server.commits[repo] = []
        self.server.private[repo] = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        return self.answer(200, {"url": f"{self.server.url}/{repo}", "name": repo, "id": "1"})

    def card(self, body: bytes) -> None:
        front = yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
        wrong = [] if front["model-index"][0]["results"][0]["metrics"] else [{"message": "metrics is empty"}]
        self.answer(400 if wrong else 200, {"errors": wrong, "warnings": []})

    def about(self, body: bytes, repo: str, revision: str | None) -> None:
        if repo in self.server.commits and not self.server.commits[repo] and self.known:
            self.answer(200, {"id": repo, "private": self.server.private[repo], "siblings": []})
        elif found := self.seen(repo, revision or "main"):
            files = [{"rfilename": name} for name in found[1]]
            self.answer(200, {"id": repo, "sha": found[0], "private": self.server.private[repo], "siblings": files})

    def modes(self, body: bytes, repo: str) -> None:
        names = [file["path"] for file in json.loads(body)["files"]]
        files = [{"path": n, "uploadMode": "lfs" if n.endswith(".safetensors") else "regular", "shouldIgnore": False} for n in names]
        self.answer(200, {"files": files}) if self.known else self.answer(401)

    def batch(self, body: bytes, repo: str) -> None:
        wanted = json.loads(body)["objects"]
        objects = [{**o, "actions": {"upload": {"href": f"{self.server.url}/large/{o['oid']}"}}} for o in wanted]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, oid: str) -> None:
        if self.server.behave == "refuses uploads" or hashlib.sha256(body).hexdigest() != oid:
            return self.answer(400)
        self.server.large[oid] = body
        return self.answer(200)

    def committed(self, body: bytes, repo: str) -> None:
        lines = [json.loads(line) for line in body.splitlines()]
        files = {v["path"]: base64.b64decode(v["content"]) for v in (x["value"] for x in lines if x["key"] == "file")}
        files |= {v["path"]: self.server.large[v["oid"]] for v in (x["value"] for x in lines if x["key"] == "lfsFile")}
        oid = self.server.commit(repo, files)
        self.answer(200, {"success": True, "commitOid": oid, "commitUrl": f"{self.server.url}/{repo}/commit/{oid}"})

    def resolve(self, body: bytes, repo: str, revision: str, name: str) -> None:
        if not (found := self.seen(repo, revision)):
            return None
        commit, files = found
        if name not in files:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        data = files[name]
        tag = hashlib.sha256(data).hexdigest()
        if not name.endswith(".safetensors"):
            return self.answer(200, data, ETag=f'"{hashlib.sha1(data, usedforsecurity=False).hexdigest()}"', X_Repo_Commit=commit)
        self.server.large[tag] = data
        linked = {"X_Linked_ETag": f'"{tag}"', "X_Linked_Size": len(data)}
        return self.answer(302, Location=f"{self.server.store}/large/{tag}", X_Repo_Commit=commit, **linked)

    def give(self, body: bytes, oid: str) -> None:
        data, behave, asked = self.server.large[oid], self.server.behave, self.headers.get("Range")
        if "Authorization" in self.headers:  # who keeps the large files must not learn who asks
            return self.answer(500)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        if behave == "flips a bit":
            data = data[:-1] + bytes([data[-1] ^ 1])
        data = data[start:-5000] if behave == "says too little" else data[start:]
        if behave != "breaks off once":
            return self.answer(206 if start else 200, data)
        self.server.behave = "well"
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:50_000])
        self.close_connection = True
        return None

    def handle(self):
        with contextlib.suppress(ConnectionError):  # whoever asked may have left
            super().handle()


REPO = "([^/]+/[^/]+)"
ROUTES = {
    r"POST /api/repos/create": "create",
    r"POST /api/validate-yaml": "card",
    rf"GET /api/models/{REPO}(?:/revision/(.+))?": "about",
    rf"POST /api/models/{REPO}/preupload/main": "modes",
    rf"POST /{REPO}\.git/info/lfs/objects/batch": "batch",
    r"PUT /large/(\w+)": "upload",
    rf"POST /api/models/{REPO}/commit/main": "committed",
    rf"(?:GET|HEAD) /{REPO}/resolve/([^/]+)/(.+)": "resolve",
    r"(?:GET|HEAD) /large/(\w+)": "give",
}


def point_to(url: str, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def server(monkeypatch, tmp_path):
    """The hub, and its client told so; the client reads its environment once, when it is imported."""
    monkeypatch.setenv("HF_TOKEN", ANN)
    monkeypatch.delenv("CONVATLAS_OFFLINE", raising=False)
    places = {"HF_HUB_CACHE": str(tmp_path / "cache"), "AGENT_HARNESSES_PATH": str(tmp_path / "agents.json")}
    for name, value in {**places, "HF_HUB_DISABLE_XET": True, "HF_HUB_OFFLINE": False}.items():
        monkeypatch.setattr(constants, name, value, raising=False)  # older clients have not all of them
    with Hub() as made:
        point_to(made.url, monkeypatch)
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return gone(begin(tmp_path_factory.mktemp("runs") / "done", "lenet5_modern-mnist", SHORT))


@pytest.fixture
def there(server, done):
    """A run that was pushed: what `push` says of it."""
    return push(done, "ann/digits", licence="mit")


def same(net, run) -> bool:
    mine, its = net.state_dict(), run.trained().state_dict()
    return mine.keys() == its.keys() and all(torch.equal(mine[key], its[key]) for key in its)


def refusal(place: str, **how) -> str:
    with pytest.raises(Mistake) as refused:
        package.load(place, **how)
    return str(refused.value)


def test_what_is_pushed_is_one_commit_and_is_loaded_to_the_same_weights(server, there, done):
    ((commit, files),) = server.commits["ann/digits"]
    assert sorted(files) == ["README.md", "config.json", "model.safetensors"]
    assert there == {"repository": f"{server.url}/ann/digits", "commit": commit, "load": f"hf://ann/digits@{commit}"}
    assert server.private == {"ann/digits": False}
    assert b'license: "mit"' in files["README.md"]
    assert b"hf://ann/digits" in files["README.md"]
    assert list(server.large) == [hashlib.sha256(files["model.safetensors"]).hexdigest()]
    net = package.load("hf://ann/digits")
    assert not net.training
    assert same(net, done)


def test_a_revision_is_what_it_was(server, there, done, tmp_path):
    other = gone(begin(tmp_path / "other", "lenet5_modern-mnist", SHORT, seed=1))
    push(other, "hf://ann/digits")
    assert len(server.commits["ann/digits"]) == 2
    assert same(package.load("hf://ann/digits"), other)
    assert same(package.load(there["load"]), done)
    assert "has no such revision" in refusal("hf://ann/digits@v9")
    with pytest.raises(Mistake, match="leave out @v1"):
        push(other, "ann/digits@v1")


def test_what_was_fetched_stays_and_nobody_is_asked_offline(server, there, done, monkeypatch):
    assert "hf://ann/digits is not in the hub's cache, and the network is not to be asked." in refusal("hf://ann/digits", offline=True)
    package.load("hf://ann/digits")
    server.asked.clear()
    package.load("hf://ann/digits")
    assert not [line for line in server.asked if "/large/" in line]  # only whether it is still the newest
    server.asked.clear()
    assert same(package.load("hf://ann/digits", offline=True), done)
    monkeypatch.setenv("CONVATLAS_OFFLINE", "1")
    assert same(package.load(there["load"]), done)
    with pytest.raises(Mistake, match="nothing is pushed to hf://ann/more: the network is not to be asked"):
        push(done, "ann/more")
    monkeypatch.delenv("CONVATLAS_OFFLINE")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(package.load("hf://ann/digits"), done)
    assert server.asked == []


def test_without_a_connection_the_cache_is_taken(server, there, done, monkeypatch):
    nobody = "http://127.0.0.1:9"
    point_to(nobody, monkeypatch)
    assert re.search(rf"hf://ann/digits is not in the hub's cache, and {nobody} does not answer", refusal("hf://ann/digits"))
    with pytest.raises(Mistake, match=f"hf://ann/digits could not be had from {nobody}"):
        push(done, "ann/digits")
    point_to(server.url, monkeypatch)
    package.load("hf://ann/digits")
    point_to(nobody, monkeypatch)
    assert same(package.load("hf://ann/digits"), done)
    point_to(server.url, monkeypatch)
    for server.behave in ("is busy", "is something else"):
        assert same(package.load("hf://ann/digits"), done)
        assert "does not answer" in refusal("hf://ann/unknown")


@pytest.mark.parametrize(
    ("behave", "said"),
    [
        ("flips a bit", "is not the file that config.json tells of"),
        ("says too little", "hf://ann/digits could not be had .*file should be of size"),
    ],
)
def test_a_file_that_comes_damaged_is_not_loaded_and_mends_itself(server, there, done, behave, said):
    server.behave = behave
    assert re.search(said, refusal("hf://ann/digits"))
    server.behave = "well"
    assert same(package.load("hf://ann/digits"), done)


def test_a_file_damaged_in_the_cache_is_fetched_anew(server, there, done):
    weights = fetch("hf://ann/digits") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert "is not the file" in refusal("hf://ann/digits", offline=True)
    assert same(package.load("hf://ann/digits"), done)


def test_what_breaks_off_does_no_harm(server, there, done):
    server.behave = "breaks off once"
    with contextlib.suppress(Mistake):  # older clients give up; newer ones ask again themselves
        package.load("hf://ann/digits")
    assert server.behave == "well"
    assert same(package.load("hf://ann/digits"), done)


def test_a_repository_that_is_not_for_everybody(server, done, monkeypatch):
    push(done, "ann/secret", private=True)
    assert server.private == {"ann/secret": True}
    assert same(package.load("hf://ann/secret"), done)
    monkeypatch.setenv("HF_TOKEN", "hf_of_bob")
    for place in ("hf://ann/secret", "hf://ann/unknown"):
        assert f"{place} is not at {server.url}, or not for everybody to see" in refusal(place)
    assert "hf://ann/gated is gated: ask for access" in refusal("hf://ann/gated")


def test_who_may_not_push_is_told_so(server, there, done, monkeypatch):
    with pytest.raises(Mistake, match=r"hf://bob/digits is refused .*403.*a token that may write there"):
        push(done, "bob/digits")
    with pytest.raises(Mistake, match="hf://ann/digits is there already, for all to see"):
        push(done, "ann/digits", private=True)
    server.behave = "refuses uploads"
    with pytest.raises(Mistake, match=r"hf://ann/new is refused by .*400"):
        push(done, "ann/new")
    monkeypatch.setenv("HF_TOKEN", "hf_of_bob")
    with pytest.raises(Mistake, match="hf auth login"):
        push(done, "ann/digits")
    assert len(server.commits["ann/digits"]) == 1


def test_a_run_that_is_not_finished_is_not_pushed(server, tmp_path):
    with pytest.raises(Mistake, match="is not finished"):
        push(begin(tmp_path / "new", "short", SHORT), "ann/digits")
    assert server.commits == {}


def test_nothing_but_safetensors_of_ours_is_fetched(server, there):
    config = server.commits["ann/digits"][0][1]["config.json"]
    server.commit("ann/pickle", {"config.json": config, "pytorch_model.bin": b"cos\nsystem\n(S'true'\ntR."})
    server.commit("ann/other", {"config.json": b'{"architecture": "resnet18"}', "model.safetensors": save({"x": torch.zeros(1)})})
    server.commit("ann/unknown", {"config.json": config.replace(b"lenet5_modern", b"lenet9"), "model.safetensors": b"x"})
    server.commit("ann/empty", {"README.md": b"nothing"})
    server.commit("ann/false", {"config.json": config, "model.safetensors": b"x" * 100})
    server.asked.clear()
    assert re.search(
        r"hf://ann/pickle has no model\.safetensors, only pytorch_model\.bin: pickles can run code", refusal("hf://ann/pickle")
    )
    assert "says nothing of 'preprocess': it is not of a network that convatlas has written" in refusal("hf://ann/other")
    assert "no model 'lenet9'; there are: " in refusal("hf://ann/unknown")
    assert "hf://ann/empty has no config.json" in refusal("hf://ann/empty")
    assert not [line for line in server.asked if "/resolve/" in line and "config.json" not in line]
    assert "is not the file that config.json tells of" in refusal("hf://ann/false")


@pytest.mark.parametrize(
    "place", ["hf://", "hf://ann", "hf://ann/", "hf://ann/x/y", "hf://ann/..", "hf://a n/x", "hf://ann/x@", "hf://ann/x--y"]
)
def test_what_is_no_place_on_the_hub_is_refused_without_asking(server, place):
    assert place in refusal(place)
    assert not [line for line in server.asked if "resolve" in line]


def test_a_place_and_its_revision():
    assert repository("hf://ann/resnet_1.0-b") == ("ann/resnet_1.0-b", None)
    assert repository("hf://ann/x@refs/pr/1") == ("ann/x", "refs/pr/1")


@pytest.mark.slow
def test_the_command_finds_the_hub_by_its_environment(server, done, tmp_path):
    """Processes of their own, which know nothing of this one's client."""
    Image.new("L", (28, 28), 255).save(tmp_path / "white.png")
    settings = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}

    def command(*words, **more):
        environment = os.environ | settings | {"OMP_NUM_THREADS": "1"} | more
        return subprocess.run(
            [sys.executable, "-m", "convatlas", *map(str, words)], capture_output=True, text=True, check=False, env=environment
        )

    pushed = command("push", done.folder, "ann/digits", "--licence", "mit")
    assert pushed.returncode == 0, pushed.stderr
    assert f"{server.url}/ann/digits has it now" in pushed.stdout
    place = pushed.stdout.split()[-1]
    seen = command("predict", tmp_path / "white.png", "--weights", place, "--json")
    assert seen.returncode == 0, seen.stderr
    server.asked.clear()
    for words, more in ((("--offline",), {}), ((), {"HF_HUB_OFFLINE": "1"})):
        again = command("predict", tmp_path / "white.png", "--weights", place, "--json", *words, **more)
        assert again.stdout == seen.stdout
    assert server.asked == []
    shutil.rmtree(tmp_path / "home")
    refused = command("predict", tmp_path / "white.png", "--weights", place, HF_ENDPOINT="http://127.0.0.1:9")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert re.fullmatch(rf"convatlas: {place} is not in the hub's cache, and http://127\.0\.0\.1:9 does not answer.*\n", refused.stderr)


def test_a_word_for_another_network_and_a_push_as_json(server, there, done, convatlas, tmp_path):
    Image.new("L", (28, 28), 255).save(tmp_path / "white.png")
    refused = convatlas("predict", tmp_path / "white.png", "--weights", "hf://ann/digits", "--model", "resnet18")
    assert refused.returncode == 2
    assert re.search(r"hf://ann/digits@\w{40} is for lenet5_modern, not for resnet18", refused.stderr)
    said = json.loads(convatlas("push", done.folder, "ann/x", "--private", "--json").stdout)
    assert said["load"] == f"hf://ann/x@{server.commits['ann/x'][0][0]}"
    assert server.private["ann/x"]
