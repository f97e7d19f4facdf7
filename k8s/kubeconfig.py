"""A kubeconfig: read from a text or a file, and held to what may be used. No sentence here quotes it, for it holds a key."""

import base64
import os
import stat
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from k8s.errors import Unavailable

#: Ways of signing in that run a program of the site's machine or read a file there.
_PROGRAMS_AND_FILES = ("exec", "auth-provider", "tokenFile", "client-certificate", "client-key")
_TEXTS_OF_USER = ("token", "client-certificate-data", "client-key-data")
_TEXTS_OF_CLUSTER = ("server", "certificate-authority-data")
_LONGEST = 100_000
#: Bytes of a file: an operator's may describe many clusters.
_LONGEST_FILE = 1_000_000
#: Levels of lists and mappings. A kubeconfig with a program and its environment has seven.
_DEEPEST = 30
#: The parser in C, where it is there: seven times as fast.
_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HOW = "“kubectl config view --raw --flatten --minify” prints a complete one"


class Unusable(ValueError):
    """A sentence for the person who wrote the kubeconfig. It quotes nothing of it but names of keys."""


def read_file(path: Path, *, what: str = "kubeconfig file") -> str:
    """The text of a regular file. Raises Unavailable for anything else, such as a pipe, which would be waited for without end.

    `what`: how a message names the file. The file is opened once, and what is checked is what is read.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        if not stat.S_ISREG(os.fstat(number).st_mode):
            os.close(number)
            raise Unavailable(f"The {what} is not a regular file.", passing=False)
        with open(number, "rb") as file:
            content = file.read(_LONGEST_FILE + 1)
    except OSError as problem:
        raise Unavailable(f"The {what} cannot be read: {problem.strerror}.", passing=False) from None
    if len(content) > _LONGEST_FILE:
        raise Unavailable(f"The {what} is longer than {_LONGEST_FILE // 1000} kB.", passing=False)
    return content.decode("utf-8-sig", errors="replace")


def _plain_resolvers() -> dict[str, Any]:
    """Those by which `true`, `false` and `null` mean something else than their text. All else stays text."""
    tags = ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null")
    kept = {first: [one for one in all_of if one[0] in tags] for first, all_of in _Safe.yaml_implicit_resolvers.items()}
    return {first: resolvers for first, resolvers in kept.items() if resolvers}


class _Loader(_Safe):
    yaml_implicit_resolvers = _plain_resolvers()


def _check_shape(text: str) -> None:
    """Before anything is built: aliases make a few hundred bytes into gigabytes, and no kubeconfig needs one. Raises Unusable."""
    depth = 0
    for event in yaml.parse(text, Loader=_Safe):
        if isinstance(event, yaml.AliasEvent):
            raise Unusable("It uses YAML aliases. Write the values out instead.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise Unusable("This is not a kubeconfig: it is nested too deeply.")


def parse(text: str) -> dict[str, Any]:
    """Any kubeconfig, as it is; numbers stay texts, for a token may look like one. Raises Unusable."""
    try:
        _check_shape(text)
        config = yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader
    except Unusable:
        raise
    except Exception:  # A tag of YAML may raise anything, with the value in its message.
        raise Unusable("This is not YAML. Paste the whole file, from the first line to the last.") from None
    if not isinstance(config, dict):
        raise Unusable("This is not a kubeconfig: it has no clusters, users and contexts.")
    return config


def read(text: str) -> dict[str, Any]:
    """A kubeconfig that somebody pasted. Raises Unusable with a sentence for that person."""
    if len(text) > _LONGEST:
        raise Unusable("This is too long for a kubeconfig.")
    config = parse(text.removeprefix("\ufeff"))
    require_self_contained(config)
    require_sound(config)
    user, cluster = current(config)
    if not str(cluster.get("server", "")).startswith("https://"):
        raise Unusable("Its server must be an address that starts with https://.")
    if cluster.get("insecure-skip-tls-verify"):
        raise Unusable(
            "It does not verify the server. Add the certificate of its authority (certificate-authority-data)."
        )
    if not (user.get("token") or (user.get("client-certificate-data") and user.get("client-key-data"))):
        raise Unusable("Its user has neither a token nor a certificate and key.")
    return config


def require_self_contained(config: dict[str, Any]) -> None:
    """Raises Unusable when a kubeconfig is malformed, or names a program or a file."""
    for user in _items(config, "users", "user"):
        refused = sorted(set(_PROGRAMS_AND_FILES) & set(user))
        if refused:
            raise Unusable(
                f"Not allowed here: {', '.join(refused)}. Create a self-contained one, for example with “kubectl config view "
                "--raw --flatten --minify”, that uses a service account token."
            )
    for cluster in _items(config, "clusters", "cluster"):
        if "certificate-authority" in cluster:
            raise Unusable("Not allowed here: certificate-authority. Use certificate-authority-data.")
        if "proxy-url" in cluster:
            # Whoever may type it could have the site open connections inside its own network.
            raise Unusable("Not allowed here: proxy-url. Use a file in KUBECONFIG_FILES that is marked as trusted.")


def require_sound(config: dict[str, Any]) -> None:
    """Raises Unusable when the current context's token, certificates, key or address cannot be what they should be."""
    user, cluster = current(config)
    for item, fields in ((user, _TEXTS_OF_USER), (cluster, _TEXTS_OF_CLUSTER)):
        if wrong := [field for field in fields if not isinstance(item.get(field, ""), str)]:
            raise Unusable(f"Its {wrong[0]} is not a text. {_HOW}.")
    if "token" in user:
        clean_token(user["token"])
    server = cluster.get("server", "")
    if found := _unseen(server):
        raise Unusable(f"Its server contains {found}, which is not allowed in an address. {_HOW}.")
    _pem(cluster, "certificate-authority-data", x509.load_pem_x509_certificates)
    certificates = _pem(user, "client-certificate-data", x509.load_pem_x509_certificates)
    key = _pem(user, "client-key-data", lambda pem: load_pem_private_key(pem, password=None))
    if certificates and key and certificates[0].public_key() != key.public_key():
        raise Unusable("Its client-certificate-data and client-key-data do not match.")


def clean_token(text: str) -> str:
    """The token without the blanks and line breaks that editors add. Raises Unusable for what no token may hold."""
    token = "".join(text.split())
    if found := _unseen(token):
        raise Unusable(f"The token contains {found}, which is not allowed in a token. Copy it again. {_HOW}.")
    return token


def current(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """User and cluster of the current context. Raises Unusable when it leads nowhere."""

    def named(plural: str, singular: str, name: object) -> dict[str, Any]:
        for entry, item in zip(config.get(plural) or [], _items(config, plural, singular), strict=True):
            if entry.get("name") == name:
                return item
        raise Unusable(f"Its current context refers to something that is missing from its {plural}.")

    context = named("contexts", "context", config.get("current-context"))
    cluster = named("clusters", "cluster", context.get("cluster"))
    return named("users", "user", context.get("user")) if context.get("user") else {}, cluster


def _unseen(text: str) -> str:
    """The first sign that is not a visible one of ASCII, by its number; empty where there is none."""
    return next((f"the character U+{ord(sign):04X}" for sign in text if not "!" <= sign <= "~"), "")


def _pem(item: dict[str, Any], field: str, load: Any) -> Any:
    """What the field holds, as `load` makes it of PEM; None without the field."""
    if not item.get(field):
        return None
    try:
        pem = base64.b64decode("".join(item[field].split()), validate=True)
    except ValueError:
        raise Unusable(f"Its {field} is not base64. {_HOW}.") from None
    try:
        return load(pem)
    except TypeError:
        raise Unusable(f"Its {field} is protected by a password. Use a key without a password.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise Unusable(f"Its {field} is damaged. Copy it again. {_HOW}.") from None


def _items(config: dict[str, Any], plural: str, singular: str) -> list[dict[str, Any]]:
    entries = config.get(plural) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Unusable(f"Its {plural} are malformed.")
    found = [entry.get(singular) or {} for entry in entries]
    if not all(isinstance(item, dict) for item in found):
        raise Unusable(f"Its {plural} are malformed.")
    return found
