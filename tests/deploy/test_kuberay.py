"""The KubeRay manifest against a schema of the RayJob fields that it uses."""

import copy
import json
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

jsonschema = pytest.importorskip("jsonschema")
MANIFEST = yaml.safe_load((ROOT / "deploy/kuberay/rayjob.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((ROOT / "tests/deploy/rayjob.schema.json").read_text(encoding="utf-8"))


def pods() -> list[dict[str, Any]]:
    cluster = MANIFEST["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_the_manifest_has_only_fields_of_a_rayjob_with_values_of_their_types():
    jsonschema.validate(MANIFEST, SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "entryPoint"), "misspelt"),
        (("spec", "backoffLimit"), "2"),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "minReplicas"), -1),
    ],
)
def test_a_wrong_field_is_found(path, value):
    wrong = copy.deepcopy(MANIFEST)
    place = wrong
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_the_manifest_runs_our_job_with_the_pinned_ray_and_no_root():
    entrypoint = MANIFEST["spec"]["entrypoint"].split()
    assert entrypoint[:3] == ["python", "-m", "pipeline.submit.job"]
    pinned = f"ray=={MANIFEST['spec']['rayClusterSpec']['rayVersion']}"
    assert pinned in (ROOT / "constraints.txt").read_text().splitlines()
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods())
    sent = yaml.safe_load(MANIFEST["spec"]["runtimeEnvYAML"])["env_vars"]
    assert sent["RAY_OVERRIDE_JOB_RUNTIME_ENV"] == "1"


def test_attach_finds_the_job_of_the_manifest_and_its_results():
    spec = MANIFEST["spec"]
    job_id, nonce = spec["entrypoint"].split()[3:5]
    sent = yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]
    told = json.loads(spec["metadata"]["lipforge"])
    assert (spec["jobId"], told) == (job_id, {"nonce": nonce, "cache": sent["LIPFORGE_CACHE"]})


def test_every_mounted_volume_is_declared():
    for pod in pods():
        mounted = {m["name"] for one in pod["containers"] for m in one.get("volumeMounts", ())}
        assert mounted <= {one["name"] for one in pod["volumes"]}
