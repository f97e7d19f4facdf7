"""The certificate under which labs answer, looked at from outside, as a browser would: the site reads no Secret."""

import contextlib
import datetime
import socket
import ssl

from k8s.checkup import Finding

#: Days before its end at which a certificate should have been renewed.
SOON = datetime.timedelta(days=14)


def look(host: str, port: int, *, now: datetime.datetime, timeout: float = 5.0) -> Finding:
    """Whether this host's certificate is for it, trusted, and will be for a while. `host`: of a lab that need not exist."""
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), timeout) as raw,
            context.wrap_socket(raw, server_hostname=host) as tls,
        ):
            found = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as problem:
        return Finding(
            "bad",
            f"Browsers will not trust {host}.",
            f"{problem.verify_message[:1].upper()}{problem.verify_message[1:]}.",
        )
    except (socket.gaierror, UnicodeError):  # the latter: a name that no name service takes
        return Finding("bad", f"{host} does not resolve.", "The lab domain needs a wildcard DNS record.")
    except OSError:
        return Finding(
            "wait", f"{host} did not respond to the site.", "People may be able to reach it even if the site cannot."
        )
    with contextlib.suppress(KeyError, ValueError):
        ends = datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(str(found["notAfter"])), datetime.UTC)
        if ends - now < SOON:
            return Finding(
                "wait", f"The certificate of {host} ends on {ends:%d %b %Y}.", "It should have been renewed by now."
            )
        return Finding("ok", f"The certificate of {host} is good until {ends:%d %b %Y}.")
    return Finding("ok", f"The certificate of {host} is valid.")
