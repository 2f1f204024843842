"""Publishing to the Hugging Face Hub, and loading from it, against a local Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import ptv_hub
from ptv_hub.errors import (
    CheckpointError,
    FetchError,
    HashMismatch,
    KeyMismatch,
    ManifestError,
    OfflineError,
    PublishError,
    UsageError,
)
from ptv_hub.models.digest import digest
from ptv_hub.publish import push
from ptv_hub.publish.upload import upload
from ptv_hub.weights import checkpoint
from ptv_hub.weights.named import weights_file
from ptv_hub.zoo.repository import FILES
from tests import ROOT, hub_server
from tools import draw

NAME = "org/x3d_xs"


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A local Hub, which huggingface_hub of this process takes for the real one."""
    with hub_server.in_this_process(monkeypatch, tmp_path / "hf") as running:
        yield running


@pytest.fixture(scope="session")
def prepared(drawn, tmp_path_factory) -> Path:
    """The files of a repository of x3d_xs, with drawn weights."""
    folder = tmp_path_factory.mktemp("prepared")
    item = ptv_hub.entry("x3d_xs")
    push.assemble(item, folder, repo_id=NAME, weights=drawn("x3d_xs"), progress=False)
    return folder


def drawn_digest(name: str) -> str:
    return digest(draw.state_dict(name, layout="official"))


# ---------------------------------------------------------------------------- there and back


def test_push_and_load_give_the_same_bits(server, prepared):
    done = upload(prepared, NAME)
    assert done.created
    assert done.commit == server.repositories[NAME].branches["main"]
    assert {f.name for f in done.files} == set(FILES)
    assert {f.state for f in done.files} == {"uploaded"}

    model = ptv_hub.load(f"hf-hub:{NAME}")
    assert digest(model.state_dict()) == drawn_digest("x3d_xs") == done.digest
    assert not model.training


def test_the_entry_comes_back_from_the_repository(server, prepared):
    upload(prepared, NAME)
    item, original = ptv_hub.entry(f"hf-hub:{NAME}"), ptv_hub.entry("x3d_xs")
    same = {"artifacts", "digest"}
    assert item.model_dump(exclude=same) == original.model_dump(exclude=same)
    assert item.artifacts[1:] == original.artifacts
    assert (
        item.artifacts[0].sha256
        == json.loads((prepared / "config.json").read_text())["weights"]["sha256"]
    )
    config = json.loads(server.repositories[NAME].commits[_head(server)]["config.json"])
    assert config["id2label"]["5"] == original.labels[5]
    assert config["label2id"][original.labels[5]] == 5
    assert len(config["id2label"]) == len(config["label2id"]) == 400


def _head(server: hub_server.Hub, name: str = NAME) -> str:
    return server.repositories[name].branches["main"]


def test_after_the_first_load_no_network_is_needed(server, prepared, monkeypatch):
    upload(prepared, NAME)
    first = ptv_hub.load(f"hf-hub:{NAME}")
    for variable in ("PTV_HUB_OFFLINE", "HF_HUB_OFFLINE"):
        with monkeypatch.context() as offline:
            offline.setenv(variable, "1")
            before = len(server.requests)
            again = ptv_hub.load(f"hf-hub:{NAME}")
            assert len(server.requests) == before
            assert digest(again.state_dict()) == digest(first.state_dict())
    server.failures.append(hub_server.Failure("HEAD", ".*", 503))
    assert ptv_hub.load(f"hf-hub:{NAME}").entry.name == "x3d_xs"


def test_offline_without_a_copy_says_so(server, prepared, monkeypatch):
    upload(prepared, NAME)
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    with pytest.raises(OfflineError, match="PTV_HUB_OFFLINE is set"):
        ptv_hub.load(f"hf-hub:{NAME}")


def test_a_revision_stays_what_it_was(server, prepared, drawn, tmp_path):
    first = upload(prepared, NAME).commit
    other = tmp_path / "other"
    weights = drawn("x3d_xs", seed=1)
    push.assemble(ptv_hub.entry("x3d_xs"), other, repo_id=NAME, weights=weights, progress=False)
    second = upload(other, NAME).commit
    assert first != second
    old, new = ptv_hub.load(f"hf-hub:{NAME}@{first}"), ptv_hub.load(f"hf-hub:{NAME}")
    assert digest(old.state_dict()) == drawn_digest("x3d_xs")
    assert digest(new.state_dict()) != digest(old.state_dict())
    assert old.entry.artifacts[0].base_url == f"hf-hub:{NAME}@{first}"
    assert new.entry.artifacts[0].base_url == f"hf-hub:{NAME}@{second}"


def test_a_folder_loads_as_a_repository_does(prepared):
    model = ptv_hub.load(f"local-dir:{prepared}")
    assert digest(model.state_dict()) == drawn_digest("x3d_xs")
    clip = draw.clip(4, 182)
    with torch.inference_mode():
        here = ptv_hub.load("x3d_xs", weights=prepared / "model.safetensors")(clip)
        assert torch.equal(model(clip), here)


def test_an_entry_of_no_manifest_loads_too(prepared, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((prepared / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["entry"]["name"] = "my_own_x3d"
    config["a_key_of_another_tool"] = 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert ptv_hub.load(f"local-dir:{tmp_path}").entry.name == "my_own_x3d"


def test_addresses_stand_where_names_and_files_do(server, prepared, tmp_path):
    upload(prepared, NAME)
    address = f"hf-hub:{NAME}"
    done = ptv_hub.convert(address, tmp_path / "x.pyth", to="pyslowfast")
    assert done.digest == drawn_digest("x3d_xs")
    assert checkpoint.read(weights_file(address)).metadata["entry"] == "x3d_xs"
    assert ptv_hub.transform(address).spec == ptv_hub.entry("x3d_xs").input
    small = ptv_hub.load(address, num_classes=3)
    assert small.entry.num_classes == 3


# ---------------------------------------------------------------------------- pushing again


def test_pushing_the_same_weights_again_uploads_nothing(server, prepared, drawn, tmp_path):
    first = upload(prepared, NAME)
    sent, commits = list(server.uploads), len(server.repositories[NAME].commits)
    before = len(server.requests)
    anew = tmp_path / "anew"
    push.assemble(
        ptv_hub.entry("x3d_xs"), anew, repo_id=NAME, weights=drawn("x3d_xs"), progress=False
    )
    again = upload(anew, NAME)
    assert {f.state for f in again.files} == {"unchanged"}
    assert again.commit == first.commit
    assert not again.created
    assert server.uploads == sent
    assert len(server.repositories[NAME].commits) == commits
    asked = server.requests[before:]
    assert [method for method, path in asked if "paths-info" not in path] == ["GET"]


def test_only_what_changed_is_sent(server, prepared, tmp_path):
    upload(prepared, NAME)
    sent = list(server.uploads)
    for name in FILES:
        (tmp_path / name).write_bytes((prepared / name).read_bytes())
    card = (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text(card + "\nA word more.\n")
    again = upload(tmp_path, NAME)
    assert [f.name for f in again.files if f.state == "uploaded"] == ["README.md"]
    assert server.uploads == sent
    assert server.repositories[NAME].commits[_head(server)]["README.md"].endswith(b"more.\n")


def test_what_was_sent_before_a_cut_is_not_sent_twice(server, prepared):
    cut = server.fail("POST", "/commit/", 500, times=1)
    with pytest.raises(PublishError):
        upload(prepared, NAME)
    assert cut.times == 0
    sent = list(server.uploads)
    assert len(sent) == 2  # weights and chart
    assert set(server.repositories[NAME].commits[_head(server)]) == {".gitattributes"}
    assert upload(prepared, NAME).commit == _head(server)
    assert server.uploads == sent


def test_a_dry_run_changes_nothing(server, prepared):
    told = upload(prepared, NAME, dry_run=True)
    assert told.dry_run
    assert told.created
    assert told.commit is None
    assert {f.state for f in told.files} == {"would be uploaded"}
    assert not server.repositories
    assert not server.asked("POST")


def test_a_dry_run_needs_no_network(prepared, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    told = upload(prepared, NAME, dry_run=True)
    assert told.created is None
    assert {f.state for f in told.files} == {"would be uploaded"}
    with pytest.raises(PublishError, match="no connection"):
        upload(prepared, NAME)
    monkeypatch.setenv("PTV_HUB_OFFLINE", "1")
    with pytest.raises(PublishError, match="PTV_HUB_OFFLINE is set"):
        upload(prepared, NAME)


def test_private_branch_and_pull_request(server, prepared, tmp_path):
    upload(prepared, NAME, private=True)
    assert server.repositories[NAME].private
    assert ptv_hub.load(f"hf-hub:{NAME}").entry.name == "x3d_xs"

    for name in FILES:
        (tmp_path / name).write_bytes((prepared / name).read_bytes())
    (tmp_path / "LICENSE.md").write_text("Something else.\n")
    main = _head(server)
    done = upload(tmp_path, NAME, private=True, revision="trial")
    assert server.repositories[NAME].branches == {"main": main, "trial": done.commit}
    (tmp_path / "LICENSE.md").write_text("And yet something else.\n")
    asked = upload(tmp_path, NAME, private=True, create_pr=True)
    assert asked.pull_request == f"{server.url}/{NAME}/discussions/1"
    assert _head(server) == main


def test_a_public_repository_is_not_taken_for_a_private_one(server, prepared):
    upload(prepared, NAME)
    with pytest.raises(PublishError, match="public already"):
        upload(prepared, NAME, private=True)


# ---------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("POST", "/api/repos/create", 401, "does not know you"),
        ("POST", "/api/repos/create", 403, "let you write"),
        ("POST", "/preupload/", 403, "let you write"),
        ("POST", "/preupload/", 404, "no such repository"),
        ("POST", "/commit/", 409, "somebody else"),
        ("POST", "/commit/", 412, "changed meanwhile"),
        ("POST", "/objects/batch", 429, "too many requests"),
        ("POST", "/commit/", 429, "too many requests"),
        ("PUT", "/storage/", 0, "could not be pushed"),
        ("PUT", "/storage/", 500, "could not be pushed"),
        ("POST", "/commit/", 0, "could not be pushed"),
    ],
)
def test_every_refusal_is_one_clear_error(server, prepared, method, path, status, told):
    server.fail(method, path, status)
    with pytest.raises(PublishError, match=told) as caught:
        upload(prepared, NAME)
    error = caught.value
    assert error.where == NAME
    assert error.fix
    if status:
        assert str(status) in str(error)
    there = server.repositories.get(NAME)
    assert there is None or set(there.commits[_head(server)]) == {".gitattributes"}


def test_an_upload_that_breaks_once_goes_through(server, prepared):
    server.fail("PUT", "/storage/", 0, times=1)
    server.fail("POST", "/objects/batch", 429, times=1)
    assert upload(prepared, NAME).commit == _head(server)
    assert digest(ptv_hub.load(f"hf-hub:{NAME}").state_dict()) == drawn_digest("x3d_xs")


def test_without_a_token_it_says_how_to_get_one(server, prepared, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", os.devnull)
    with pytest.raises(PublishError, match="hf auth login"):
        upload(prepared, NAME)


def test_a_name_that_is_none_is_refused_before_anything_is_sent(server, prepared):
    with pytest.raises(PublishError, match="name of a repository"):
        upload(prepared, "org/not a name")
    assert not server.requests


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (401, {"X-Error-Code": "RepoNotFound"}, "no such repository, or it is private"),
        (403, {"X-Error-Code": "GatedRepo"}, "does not let you in"),
        (404, {"X-Error-Code": "RevisionNotFound"}, "no revision main"),
        (404, {"X-Error-Code": "EntryNotFound"}, "holds no config.json"),
        (429, {}, "too many requests"),
        (500, {}, "could not be fetched"),
    ],
)
def test_loading_says_why_the_hub_did_not_answer(server, prepared, status, headers, told):
    upload(prepared, NAME)
    server.fail("HEAD", "/resolve/", status, headers=headers)
    with pytest.raises(FetchError, match=told):
        ptv_hub.load(f"hf-hub:{NAME}")


def test_a_download_that_is_cut_is_resumed_or_refused(server, prepared):
    upload(prepared, NAME)
    cut = server.fail("GET", "/storage/", 0, times=1)
    assert digest(ptv_hub.load(f"hf-hub:{NAME}").state_dict()) == drawn_digest("x3d_xs")
    assert cut.times == 0


def test_other_bytes_than_the_config_states_are_refused(server, prepared):
    done = upload(prepared, NAME)
    content = server.repositories[NAME].commits[done.commit]
    weights = bytearray(content["model.safetensors"])
    weights[-1] ^= 1
    content["model.safetensors"] = bytes(weights)
    server.large[hub_server._oid("model.safetensors", bytes(weights))] = bytes(weights)
    with pytest.raises(HashMismatch, match="not the file"):
        ptv_hub.load(f"hf-hub:{NAME}")


@pytest.mark.parametrize("address", ["hf-hub:", "hf-hub:org/name@", "hf-hub:a/b/c", "local-dir:"])
def test_an_address_of_no_form_is_misuse(address):
    with pytest.raises(UsageError):
        ptv_hub.load(address)


def test_a_folder_that_is_no_repository_is_refused(tmp_path):
    with pytest.raises(FetchError, match=r"holds no config\.json"):
        ptv_hub.load(f"local-dir:{tmp_path}")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ManifestError, match="no model of ptv_hub"):
        ptv_hub.load(f"local-dir:{tmp_path}")


def test_weights_of_another_model_are_not_published(drawn, tmp_path):
    item = ptv_hub.entry("x3d_m")
    with pytest.raises(CheckpointError, match="not those of x3d_m"):
        # The same keys and shapes: only what the file says of itself tells them apart.
        push.assemble(item, tmp_path, repo_id=NAME, weights=drawn("x3d_xs"), progress=False)
    other = ptv_hub.entry("slow_r50")
    with pytest.raises(KeyMismatch):
        push.assemble(other, tmp_path, repo_id=NAME, weights=drawn("x3d_xs"), progress=False)
    assert not list(tmp_path.iterdir())


def test_weights_that_fail_a_check_are_not_published(tmp_path):
    tensors = draw.state_dict("x3d_xs", layout="official")
    tensors["blocks.0.conv.conv_t.weight"][0] = torch.nan
    bad = tmp_path / "bad.pyth"
    checkpoint.write(bad, tensors)
    item = ptv_hub.entry("x3d_xs")
    with pytest.raises(CheckpointError, match="do not pass verify"):
        push.assemble(item, tmp_path / "new" / "out", repo_id=NAME, weights=bad, progress=False)
    assert list(tmp_path.iterdir()) == [bad]


def test_passing_a_repository_on_vouches_for_nothing(prepared, tmp_path):
    item = ptv_hub.entry(f"local-dir:{prepared}")
    config = push.assemble(item, tmp_path, repo_id="org/again", progress=False)
    before = json.loads((prepared / "config.json").read_text())
    assert config.provenance.vouched_by is None
    assert config.provenance.source == f"local folder {prepared.name}"
    assert config.provenance.sha256 == before["weights"]["sha256"]
    # The same weights, from another file: the same bytes.
    assert config.weights.model_dump() == before["weights"]
    card = (tmp_path / "README.md").read_text()
    assert "model-index" not in card
    assert "not proven" in card
    assert "| tensors | digest | unknown |" in card
    assert [a["zoo"] for a in config.entry["artifacts"]] == ["pyslowfast", "official"]


# ---------------------------------------------------------------------------- the whole zoo


def test_push_all_tells_of_each_and_resumes(server, drawn, tmp_path, monkeypatch):
    item = ptv_hub.entry("x3d_xs")
    mirror = tmp_path / "mirror" / item.artifacts[0].path
    draw.write("x3d_xs", mirror)
    monkeypatch.setenv("PTV_HUB_MIRROR", str(tmp_path / "mirror"))
    items = [ptv_hub.entry("x3d_s"), item]  # of x3d_s the mirror has no file
    missing, done = push.push_all(items, "org/ptv-{name}", progress=False)
    assert isinstance(missing, tuple)
    assert isinstance(missing[1], FetchError)
    assert done.repo_id == "org/ptv-x3d_xs"
    assert digest(ptv_hub.load("hf-hub:org/ptv-x3d_xs").state_dict()) == drawn_digest("x3d_xs")
    config = json.loads(server.repositories[done.repo_id].commits[done.commit]["config.json"])
    assert config["provenance"]["source"].startswith("X3D_XS.pyth from a mirror of https://")
    sent = list(server.uploads)
    _, again = push.push_all(items, "org/ptv-{name}", progress=False)
    assert {f.state for f in again.files} == {"unchanged"}
    assert server.uploads == sent


# ---------------------------------------------------------------------------- as a user does


@pytest.mark.slow
def test_the_command_line_pushes_and_loads_from_a_hub(drawn, tmp_path):
    with hub_server.running() as server:
        environment = {
            **os.environ,
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": hub_server.TOKEN,
            "HF_HUB_DISABLE_XET": "1",
        }

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-m", "ptv_hub", *arguments],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )

        weights = str(drawn("x3d_xs"))
        done = run("push", "X3D_XS", "--weights", weights, "--repo-id", NAME, "--json")
        assert done.returncode == 0, done.stderr
        pushed = json.loads(done.stdout)
        assert pushed["digest"] == drawn_digest("x3d_xs")
        shown = run("show", f"hf-hub:{NAME}", "--json")
        assert json.loads(shown.stdout)["name"] == "x3d_xs", shown.stderr
        found = run("digest", f"hf-hub:{NAME}@{pushed['commit']}")
        assert found.stdout.split()[0] == pushed["digest"], found.stderr
        identified = run("identify", f"hf-hub:{NAME}", "--json")
        assert json.loads(identified.stdout)["candidates"][0]["name"] == "x3d_xs"
        card = server.repositories[NAME].commits[pushed["commit"]]["README.md"].decode()
        code = card.split("```python\n")[1].split("```")[0]
        checked = "\nassert logits.shape == (1, 400) and not model.training"
        ran = subprocess.run(
            [sys.executable, "-c", code + checked],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        environment["HF_TOKEN"] = "wrong"
        refused = run("push", "X3D_XS", "--weights", weights, "--repo-id", "org/other")
        assert refused.returncode == 1
        assert "Traceback" not in refused.stderr
        assert "does not know you" in refused.stderr
        misused = run("push", "--repo-id", NAME)
        assert misused.returncode == 2
