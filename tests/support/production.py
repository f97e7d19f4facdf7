"""The site as in production (DEBUG off, https), asked in this process: `python -m tests.support.production`.

Prints what it answered, as JSON, for `tests/security/test_answers.py`.
"""

from __future__ import annotations

import json
import logging
import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")
django.setup()

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import path

import mlsite.urls

PROXIED = {"host": "courses.example.org", "x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1"}


def broken(request: Any) -> None:
    secret = "in-a-local-variable"
    raise RuntimeError(f"never shown {secret}")


def told(answer: Any) -> dict[str, Any]:
    body = answer.getvalue().decode() if answer.streaming else answer.content.decode()
    cookies = {name: {key: value for key, value in morsel.items() if value} for name, morsel in answer.cookies.items()}
    return {"status": answer.status_code, "headers": dict(answer.headers), "text": body, "cookies": cookies}


def ask(page: str, who: str) -> Any:
    """What the pages of sign-in say of an address, which is `person`'s or nobody's."""
    words = {
        "name": "A",
        "password1": "another-pass-phrase",
        "password2": "another-pass-phrase",
        "password": "wrong-pass-phrase",
    }
    address = f"{who}@example.org"
    return Client(headers=PROXIED).post(f"/accounts/{page}/", {"email": address, "login": address, **words})


def main() -> None:
    logging.disable()
    call_command("migrate", verbosity=0)
    call_command("createcachetable", verbosity=0)
    from accounts.models import User

    person = User.objects.create_user("person@example.org", "a-long-pass-phrase")
    EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    mlsite.urls.urlpatterns.append(path("broken/", broken))
    visitor, client = (Client(headers=PROXIED, raise_request_exception=False) for _ in range(2))
    strict = Client(headers=PROXIED, enforce_csrf_checks=True)
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    strict.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    link = "/accounts/login/?next={}"
    sign_in = {"login": "person@example.org", "password": "wrong-pass-phrase"}
    answers = {
        "fault": visitor.get("/broken/"),
        "missing": visitor.get("/no/such/page/"),
        "missing of the interface": client.get("/api/labs/00000000-0000-0000-0000-000000000000/"),
        "refused": client.get("/console/"),
        "not understood": client.get("/labs/", {"a": "\0"}),
        "another host": visitor.get("/", headers={"host": "evil.example.org"}),
        "a host in a header": visitor.get("/accounts/login/", headers={"x-forwarded-host": "evil.example.org"}),
        "without a token": strict.post("/profile/", {"name": "x"}),
        "without a token, by JSON": strict.post("/api/labs/", "{}", content_type="application/json"),
        "from another site": strict.post("/profile/", {"name": "x"}, headers={"origin": "https://lab.example.org"}),
        "by another method": client.post("/labs/", {"_method": "DELETE"}, headers={"x-http-method-override": "DELETE"}),
        "trace": client.generic("TRACE", "/"),
        "home": client.get("/"),
        "profile": client.get("/profile/"),
        "history": client.get("/labs/history/"),
        "interface": client.get("/api/labs/"),
        "visitor": visitor.get("/"),
        **{
            f"{page} {who}": ask(page, who)
            for page in ("signup", "password/reset", "login")
            for who in ("person", "nobody")
        },
        "sign-in": visitor.post("/accounts/login/", sign_in),
    }
    told_all = {name: told(answer) for name, answer in answers.items()}
    for number, target in enumerate(
        ["https://evil.example.org/", "//evil.example.org", "/\\evil.example.org", "javascript:alert(1)"]
    ):
        sent = {**sign_in, "password": "a-long-pass-phrase", "next": target}
        told_all[f"next {number}"] = told(Client(headers=PROXIED).post(link.format(target), sent))
    told_all["names"] = {"session": settings.SESSION_COOKIE_NAME, "csrf": settings.CSRF_COOKIE_NAME}
    told_all["proxies"] = getattr(settings, "ALLAUTH_TRUSTED_PROXY_COUNT", 0)
    print(json.dumps(told_all))


if __name__ == "__main__":
    # Packing the style sheets takes a minute, and none is asked for.
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": plain}):
        main()
