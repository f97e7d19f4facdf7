"""Run with GOLDEN=write to accept what is rendered now; read the difference before it is committed."""

import json
import os
from typing import Any

import pytest

from k8s import manifests, policy
from k8s.jupyter import lab_config
from k8s.policy import check_schema
from tests.k8s import examples


def rendered(**changes: Any) -> list[dict[str, Any]]:
    return manifests.render(manifests.builtin("jupyterlab"), examples.context(**changes))


@pytest.mark.parametrize(
    ("name", "context"),
    [
        ("lab", examples.context()),
        ("lab_full", examples.full_context()),
    ],
)
def test_lab_is_rendered_as_recorded(name: str, context: dict[str, Any]) -> None:
    made = manifests.render(manifests.builtin("jupyterlab"), context)
    if os.environ.get("GOLDEN") == "write":
        (examples.GOLDEN / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")
    assert made == examples.golden(name)


@pytest.mark.parametrize("context", [examples.context(), examples.full_context()])
def test_lab_is_valid_and_within_the_policy(context: dict[str, Any]) -> None:
    made = manifests.render(manifests.builtin("jupyterlab"), context)
    assert [obj["kind"] for obj in made] == ["Secret", "Pod", "Service", "Ingress"]
    assert [problem for obj in made for problem in check_schema(obj)] == []
    policy.check(
        made,
        namespace=examples.NAMESPACE,
        name=examples.NAME,
        labels=examples.LABELS,
        allowed_kinds={"Secret", "Pod", "Service", "Ingress"},
        service_account="lab",
        images={examples.IMAGE, examples.GIT_IMAGE},
        host=examples.HOST,
        secrets={"t0ken-of-the-lab"},
    )


@pytest.mark.parametrize(
    "value", ["${uid}", "$(POD_IP)", '"}], "x": [{"', "true", "123", "a\nb: c", "{$eval: uid}", "'; rm -rf /"]
)
def test_value_never_changes_the_structure(value: str) -> None:
    url = f"https://git.example.org/{value}"
    pod = rendered(repository=url, branch=value, expires=value)[1]
    [copier] = pod["spec"]["initContainers"]
    assert copier["command"][3:] == [url]
    assert copier["args"] == ["--depth=1", f"--branch={value}", "--", url, "/home/jovyan/repository"]
    assert pod["metadata"]["labels"]["mlsite/expires"] == value
    assert set(pod["spec"]) == set(rendered(repository="https://x")[1]["spec"])


def test_configuration_stands_in_the_secret_alone() -> None:
    config = lab_config("argon2:$argon2id$v=19$x", "t0ken", examples.HOST)
    secret, *others = rendered(config=config)
    assert json.loads(secret["stringData"]["jupyter_server_config.json"]) == config
    assert "t0ken" not in json.dumps(others)
    assert "argon2" not in json.dumps(others)


def test_objects_are_owned_without_being_changed() -> None:
    secret, *others = rendered()
    owned = list(manifests.owned(others, secret, "u"))
    reference = {"apiVersion": "v1", "kind": "Secret", "name": examples.NAME, "uid": "u"}
    assert [obj["metadata"].pop("ownerReferences") for obj in owned] == [[reference]] * len(others)
    assert owned == others


def test_limits_are_requests_for_memory_and_above_for_cpu() -> None:
    resources = rendered(cpu_request_millis=1500, cpu_limit_millis=3000, memory_mib=2048)[1]["spec"]["containers"][0][
        "resources"
    ]
    assert (resources["requests"]["cpu"], resources["limits"]["cpu"]) == ("1500m", "3000m")
    assert resources["requests"]["memory"] == resources["limits"]["memory"] == "2048Mi"


def test_context_that_lacks_a_value_is_an_error_that_names_it() -> None:
    context = examples.context()
    del context["host"]
    with pytest.raises(manifests.ManifestError, match=r"jupyterlab version 4: .*host"):
        manifests.render(manifests.builtin("jupyterlab"), context)


@pytest.mark.parametrize(
    ("objects", "word"),
    [
        ({"a": 1}, "must be a list"),
        ([1], "no kind"),
        ([{"kind": "Pod"}], "no apiVersion"),
        ([{"kind": "Pod", "apiVersion": "v1", "metadata": {}}], "no name"),
        ([{"$eval": "1 +"}], "jupyter"),
    ],
)
def test_template_that_renders_to_something_else_is_an_error(objects: Any, word: str) -> None:
    with pytest.raises(manifests.ManifestError, match=word):
        manifests.render({"slug": "jupyter", "version": 1, "objects": objects}, {})


def test_digest_tells_changes_and_nothing_else() -> None:
    assert manifests.digest({"a": 1, "b": [2]}) == manifests.digest({"b": [2], "a": 1})
    assert manifests.digest({"a": 1}) != manifests.digest({"a": "1"})


def test_every_built_in_template_is_complete() -> None:
    for template in manifests.builtins():
        assert {"slug", "version", "kind", "title", "description", "parameters", "objects"} <= set(template)
        for parameter in template["parameters"]:
            assert {"name", "type", "label", "help", "default", "required"} <= set(parameter)
            assert parameter["type"] in {"choice", "number", "integer", "git_url", "password", "minutes"}
            assert parameter["type"] != "choice" or "choices" in parameter or "choices_from" in parameter


def test_defaults_of_the_template_are_among_its_choices_and_bounds() -> None:
    for parameter in manifests.builtin("jupyterlab")["parameters"]:
        if "choices" in parameter:
            assert parameter["default"] in [choice["value"] for choice in parameter["choices"]]
        if "min" in parameter:
            assert parameter["min"] <= parameter["default"] <= parameter["max"]
