"""Requests to one API server: connection, TLS and sign-in. The only module that uses the official Kubernetes client.

Of that client only the transport is used; its model classes refuse fields that they do not know and cost half a second to
import. Whatever it raises leaves here as `Unavailable`, without the text of the problem: that may quote a token.
"""

import base64
import copy
import shutil
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import load_incluster_config
from kubernetes.config.kube_config import KubeConfigLoader

from k8s import kubeconfig
from k8s.errors import Error, Unavailable
from k8s.stream import cause

#: What stands in a text in the place of a credential.
CONCEALED = "(credential of the site)"
#: Credentials that are remembered: a watch may hear of one that has been renewed since.
_REMEMBERED = 4
#: Characters from which on a part of a token is no word that a text may hold by chance.
_LONG = 20
_TROUBLE = (urllib3.exceptions.HTTPError, ApiException, OSError)


class Transport:
    """Thread-safe; its connections are pooled and reused."""

    def __init__(self, configuration: Configuration) -> None:
        """Raises Unavailable when the configuration cannot be used."""
        configuration.retries = False  # ours alone: urllib3's would not see the status
        configuration.keep_alive = True  # a watch notices a dead peer
        configuration.connection_pool_maxsize = 16
        if _is_loopback(configuration.host):
            configuration.proxy = None
        try:
            self._api = ApiClient(configuration)
        except Exception as problem:
            raise _unusable(problem) from None
        self._api.user_agent = "mlsite"
        self._sent: deque[tuple[str, ...]] = deque(maxlen=_REMEMBERED)

    @classmethod
    def from_kubeconfig(cls, source: str | PathLike[str] | dict[str, Any], *, folder: Path | None = None) -> Self:
        """For the current context of a kubeconfig.

        The path of a file, or `folder` (from which the paths in the kubeconfig start), means that the operator trusts it: it may
        run programs and read further files. A kubeconfig without either must be complete in itself.
        Raises Unavailable when it cannot be used.
        """
        try:
            if not isinstance(source, dict):
                folder = Path(source).parent
                source = kubeconfig.parse(kubeconfig.read_file(Path(source)))
            if folder is None:
                kubeconfig.require_self_contained(source)
            kubeconfig.require_sound(source)
            return cls(_configuration(source, folder))
        except Error:
            raise
        except Exception as problem:
            raise _unusable(problem) from None

    @classmethod
    def from_in_cluster(cls) -> Self:
        """With the service account of the pod that this runs in. Raises Unavailable outside a pod."""
        configuration = Configuration()
        try:
            load_incluster_config(client_configuration=configuration)
        except Exception as problem:
            raise Unavailable(
                f"This site has no service account of a cluster ({cause(problem)}). Run it in a pod, or choose a kubeconfig."
            ) from None
        return cls(configuration)

    @property
    def host(self) -> str:
        """The address of the API server, such as "https://10.0.0.1:6443"."""
        return str(self._api.configuration.host)

    def close(self) -> None:
        """Drops the pooled connections; the transport can still be used."""
        self._api.rest_client.close()

    def conceal(self, text: str) -> str:
        """The text without what this site has signed in with of late: servers and proxies quote requests in what they answer."""
        for secret in (secret for secrets in tuple(self._sent) for secret in secrets):
            text = text.replace(secret, CONCEALED)
        return text

    def request(
        self, method: str, path: str, *, headers: dict[str, str], body: Any, timeout: tuple[float, float]
    ) -> urllib3.BaseHTTPResponse:
        """Sends one request; the answer's content is not yet read. `timeout`: seconds to connect, and to wait for data.

        Raises Unavailable when no answer comes.
        """
        try:
            sent = {**self._api.default_headers, **headers, **self._authorization()}
            answer = self._api.rest_client.request(
                method, self.host + path, headers=sent, body=body, _request_timeout=timeout
            )
        except Error:
            raise
        except _TROUBLE as problem:
            what = "TLS error" if isinstance(problem, ApiException) else cause(problem)
            raise Unavailable(f"The cluster is not responding ({what}).") from None
        except Exception as problem:
            raise Unavailable(
                f"The site cannot send requests to the cluster ({cause(problem)}): an address, token or certificate of the "
                "connection is damaged. Paste the kubeconfig again, or correct its file.",
                passing=False,
            ) from None
        response: urllib3.BaseHTTPResponse = answer.response
        return response

    def _authorization(self) -> dict[str, str]:
        scheme, _, value = str(self._api.configuration.get_api_key_with_prefix("BearerToken") or "").partition(" ")
        try:
            token = kubeconfig.clean_token(value)
        except ValueError as problem:
            raise Unavailable(f"The site cannot sign in to the cluster. {problem}", passing=False) from None
        if not token:
            return {}
        if (secrets := _secrets(scheme, token)) not in self._sent:
            self._sent.append(secrets)
        return {"authorization": f"{scheme} {token}"}


def _secrets(scheme: str, token: str) -> tuple[str, ...]:
    """The forms in which somebody could quote it, the longest first: as it was sent, the parts of a JWT, name and password."""
    forms = {token, *(part for part in token.split(".") if len(part) >= _LONG)}
    if scheme.lower() == "basic":
        with suppress(ValueError):
            pair = base64.b64decode(token, validate=True).decode()
            forms |= {pair, pair.partition(":")[2]}
    return tuple(sorted(filter(None, forms), key=len, reverse=True))


def _configuration(config: dict[str, Any], folder: Path | None) -> Configuration:
    """The library's own settings. Raises Unavailable, ValueError and whatever the library raises."""
    config = copy.deepcopy(config)
    user, _ = kubeconfig.current(config)
    token_file = user.pop("tokenFile", None)
    uses_program = "exec" in user and not token_file and not user.get("token")
    if uses_program:
        _require_program(user["exec"], folder)
    configuration = Configuration()
    loader = KubeConfigLoader(config_dict=config, config_base_path=str(folder or ""))
    loader.load_and_set(configuration)
    if token_file and folder is not None:
        configuration.refresh_api_key_hook = _reading(folder / str(token_file))
    elif uses_program and not (configuration.api_key or configuration.cert_file):
        raise Unavailable(
            f"The program “{user['exec']['command']}” of the kubeconfig did not return a token. Run it by hand to see why.",
            passing=False,
        )
    return configuration


def _require_program(plugin: dict[str, Any], folder: Path | None) -> None:
    """Raises Unavailable when the program that signs in is not installed: the library goes on without it."""
    command = str(plugin.get("command") or "")
    if not shutil.which(str((folder or Path()) / command) if "/" in command else command):
        raise Unavailable(
            f"The kubeconfig signs in with the program “{command}”, which is not installed on the site's machine. Install it, "
            "or use a kubeconfig with a token.",
            passing=False,
        )


def _reading(path: Path) -> Callable[[Configuration], None]:
    """Takes the token from its file at each request: whoever renews it writes the file anew."""

    def read(configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = f"Bearer {kubeconfig.read_file(path, what='token file')}"

    return read


def _unusable(problem: Exception) -> Unavailable:
    """The text of the problem may quote the file, and with it a token; that of our own ValueErrors does not."""
    why = str(problem) if isinstance(problem, kubeconfig.Unusable) else f"({type(problem).__name__})"
    return Unavailable(f"The connection settings of the cluster cannot be used. {why}", passing=False)


def _is_loopback(host: str) -> bool:
    """A proxy is never asked for this machine itself, as with kubectl."""
    name = urlsplit(host).hostname or ""
    return name == "localhost" or name == "::1" or name.startswith("127.")
