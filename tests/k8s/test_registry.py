"""A login of a registry: what may be pasted, and what of it reaches the cluster."""

import base64
import json

import pytest

from k8s import registry

PASSWORD = "a-password-that-nobody-may-see"
AUTH = base64.b64encode(f"robot:{PASSWORD}".encode()).decode()


@pytest.mark.parametrize(
    "login", [{"auth": AUTH, "email": "x@example.org"}, {"username": "robot", "password": PASSWORD}]
)
def test_a_login_is_reduced_to_what_the_cluster_needs(login: dict[str, str]) -> None:
    pasted = json.dumps({"auths": {"registry.example.org": login}, "credsStore": "desktop", "HttpHeaders": {"X": "y"}})
    assert json.loads(registry.read(pasted)) == {"auths": {"registry.example.org": {"auth": AUTH}}}
    made = registry.secret(registry.read(pasted))
    assert made["type"] == "kubernetes.io/dockerconfigjson"
    assert AUTH in base64.b64decode(made["data"][".dockerconfigjson"]).decode()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (PASSWORD, "not JSON"),
        (f'["{PASSWORD}"]', "no logins"),
        ('{"auths": {}, "credsStore": "desktop"}', "no logins"),
        ('{"auths": {"x.org": {}}}', "Its login for x.org has no user name and password"),
        ('{"auths": {"x.org": {"auth": "bm8tY29sb24="}}}', "has no user name and password"),
        ('{"auths": {"x.org": {"auth": "***"}}}', "has no user name and password"),
        ('{"auths": {"x.org": "' + PASSWORD + '"}}', "has no user name and password"),
        ("[" * 100_000, "too long"),
        ("[" * 40_000, "not JSON"),
    ],
)
def test_what_is_no_login_is_refused_with_a_sentence_that_quotes_no_password(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refusal:
        registry.read(text)
    assert PASSWORD not in str(refusal.value)
