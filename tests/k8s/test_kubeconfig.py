"""Reading a kubeconfig that somebody typed: bounded work, texts as they stand, and never its key in a message."""

from __future__ import annotations

import time

import pytest

from k8s import kubeconfig

TOKEN = "s3cr3tt0kenabcdef"
WHOLE = """
current-context: c
contexts: [{{name: c, context: {{cluster: c, user: u}}}}]
clusters: [{{name: c, cluster: {{server: https://example.org{cluster}}}}}]
users: [{{name: u, user: {{token: {token}}}}}]
{more}
"""


def written(token: str = TOKEN, *, cluster: str = "", more: str = "") -> str:
    return WHOLE.format(token=token, cluster=cluster, more=more)


NESTED = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))
MERGED = "\n".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 9))


@pytest.mark.parametrize(
    "text",
    [written("*a8", more=f"a0: &a0 [x]\n{NESTED}"), written(more=f"m0: &m0 {{x: y}}\n{MERGED}"), written(more="r: &r [*r]"),
     written(more="[" * 90_000), written(more="x: " + "[" * 500 + "]" * 500)],
    ids=["nested", "merged", "recursive", "open", "deep"],
)  # fmt: skip
def test_a_text_that_unfolds_or_is_deep_is_refused_at_once(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(kubeconfig.Unusable):
        kubeconfig.read(text)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("tag", ["bool", "timestamp", "int", "float", "binary", "python/name:os.system"])
def test_a_tag_of_yaml_is_refused_without_quoting_what_it_marks(tag: str) -> None:
    with pytest.raises(kubeconfig.Unusable) as refused:
        kubeconfig.read(written(f"!!{tag} {TOKEN}"))
    assert TOKEN not in str(refused.value).lower()


@pytest.mark.parametrize("token", ["0123", "1_000", "123456.1234567890123456", "1:1:1", "2026-12-01", "0x1f"])
def test_a_token_that_looks_like_a_number_stays_as_it_stands(token: str) -> None:
    user, _ = kubeconfig.current(kubeconfig.read(written(token)))
    assert user["token"] == token


@pytest.mark.parametrize("token", ["[a, b]", "{a: b}", "true", "null"])
def test_a_token_that_is_no_text_is_refused(token: str) -> None:
    with pytest.raises(kubeconfig.Unusable):
        kubeconfig.read(written(token))


def test_what_is_true_or_false_stays_so() -> None:
    kubeconfig.read(written(cluster=", insecure-skip-tls-verify: false"))
    with pytest.raises(kubeconfig.Unusable, match="does not verify the server"):
        kubeconfig.read(written(cluster=", insecure-skip-tls-verify: true"))


def test_no_way_through_a_proxy_is_typed() -> None:
    with pytest.raises(kubeconfig.Unusable, match="proxy-url"):
        kubeconfig.read(written(cluster=", proxy-url: 'http://127.0.0.1:3128'"))
