"""Pure: a kubeconfig that somebody pasted, read and held to what may be kept. No sentence here quotes it: it holds a key."""

from typing import Any

import yaml

#: Ways of signing in that run a program of the site's machine or read a file there.
_PROGRAMS_AND_FILES = ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key")
_LONGEST = 100_000


def read(text: str) -> dict[str, Any]:
    """The kubeconfig. Raises ValueError with a sentence for the person who pasted it."""
    if len(text) > _LONGEST:
        raise ValueError("That is too long for a kubeconfig.")
    try:
        config = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise ValueError("That is not YAML. Paste the whole file, first line to last.") from None
    if not isinstance(config, dict):
        raise ValueError("That is no kubeconfig: it has no clusters, users and contexts.")
    require_self_contained(config)
    user, cluster = _current(config)
    if not str(cluster.get("server", "")).startswith("https://"):
        raise ValueError("Its server must be an address that starts with https://.")
    if cluster.get("insecure-skip-tls-verify"):
        raise ValueError(
            "It does not check who answers. Give the authority's certificate (certificate-authority-data)."
        )
    if not (user.get("token") or (user.get("client-certificate-data") and user.get("client-key-data"))):
        raise ValueError("Its user has neither a token nor a certificate with its key.")
    return config


def require_self_contained(config: dict[str, Any]) -> None:
    """Raises ValueError when a kubeconfig is malformed, or names a program or a file."""
    for user in _items(config, "users", "user"):
        refused = sorted(set(_PROGRAMS_AND_FILES) & set(user))
        if refused:
            raise ValueError(
                f"Not allowed here: {', '.join(refused)}. Make one that is complete in itself, such as with "
                "“kubectl config view --raw --flatten --minify”, and with a token of a service account."
            )
    for cluster in _items(config, "clusters", "cluster"):
        if "certificate-authority" in cluster:
            raise ValueError("Not allowed here: certificate-authority. Use certificate-authority-data.")


def _items(config: dict[str, Any], plural: str, singular: str) -> list[dict[str, Any]]:
    entries = config.get(plural) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"Its {plural} are malformed.")
    found = [entry.get(singular) or {} for entry in entries]
    if not all(isinstance(item, dict) for item in found):
        raise ValueError(f"Its {plural} are malformed.")
    return found


def _current(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """User and cluster of the current context."""

    def named(plural: str, singular: str, name: object) -> dict[str, Any]:
        for entry, item in zip(config.get(plural) or [], _items(config, plural, singular), strict=True):
            if entry.get("name") == name:
                return item
        raise ValueError(f"Its current context leads to nothing among its {plural}.")

    context = named("contexts", "context", config.get("current-context"))
    return named("users", "user", context.get("user")), named("clusters", "cluster", context.get("cluster"))
