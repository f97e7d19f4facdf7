"""allauth's OpenID Connect provider, held to what the specification asks of who relies on one (OpenID Connect Core 1.0)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
from allauth.account.models import EmailAddress
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.internal import statekit
from allauth.socialaccount.models import SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import Signer
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, get_random_string
from requests import RequestException

from accounts.rules import claims

#: Sign-ins that one browser may have begun at once: who opens a course's labs in many tabs comes back in each. allauth keeps ten.
statekit.MAX_STATES = 50
#: What discovery must tell; without these nothing goes on.
NEEDED = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
#: What an answer of a provider can come to: unreachable, malformed, a claim that is missing or too long.
TROUBLE = (RequestException, jwt.PyJWTError, ImproperlyConfigured, LookupError, ValueError, TypeError, AttributeError)
#: With a key of the provider's own; never with one that both know, or none.
ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
#: Seconds that the provider's clock may be off.
LEEWAY = 120
#: Characters of a subject: by the specification, and that are kept as they are. A longer one is kept as its digest.
LONGEST_SUBJECT, LONGEST_KEPT = 255, 191


@contextmanager
def listening() -> Iterator[None]:
    """Whatever a provider does wrong inside is an OAuth2Error, for which there is a page."""
    try:
        yield
    except OAuth2Error:
        raise
    except TROUBLE as trouble:
        raise OAuth2Error(f"the answer cannot be used: {type(trouble).__name__}") from trouble


class InstitutionAdapter(OpenIDConnectOAuth2Adapter):
    """How the site speaks with a provider. Every method raises OAuth2Error, and nothing else, when that goes wrong."""

    @property
    def openid_config(self) -> dict[str, Any]:
        """What the provider's discovery document says."""
        with listening():
            config: dict[str, Any] = super().openid_config
            if not all(isinstance(config.get(key), str) for key in NEEDED):
                raise OAuth2Error("discovery tells too little")
            # Discovery 1.0, 4.3: else one provider could speak for another.
            wanted = self.get_provider().app.settings["server_url"].partition("/.well-known/")[0]
            if config["issuer"].rstrip("/") != wanted.rstrip("/"):
                raise OAuth2Error("discovery names another issuer")
        return config

    def get_access_token_data(self, *args: Any, **kwargs: Any) -> Any:
        with listening():
            return super().get_access_token_data(*args, **kwargs)

    def parse_token(self, data: Any) -> SocialToken:
        with listening():
            return super().parse_token(data)

    def complete_login(self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any) -> Any:
        """The person, of an ID token that is signed, fresh, and meant for this very sign-in."""
        with listening():
            identity = self._decode_id_token(app, kwargs["response"]["id_token"])
            if not constant_time_compare(str(identity.get("nonce", "")), nonce_of(request.GET["state"])):
                raise OAuth2Error("the ID token is of another sign-in")
            data = {"id_token": identity, "userinfo": identity}
            if self.openid_config.get("userinfo_endpoint"):
                told = self._user_info(app, token.token)
                # Core 5.3.2: userinfo of somebody else is not to be used.
                if told["sub"] != identity["sub"]:
                    raise OAuth2Error("userinfo is of another person")
                data["userinfo"] = {**identity, **told}
            return self.get_provider().sociallogin_from_response(request, data)

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        """Its signature is checked also where the connection would vouch for it; Core 3.1.3.7."""
        decoded = self._verified(app, id_token, ["iss", "sub", "aud", "exp", "iat"])
        if decoded.get("azp", app.client_id) != app.client_id:
            raise OAuth2Error("the ID token is meant for somebody else")
        return decoded

    def _user_info(self, app: Any, access_token: str) -> dict[str, Any]:
        """What the provider tells of the person: as JSON, or signed (Core 5.3.2)."""
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.profile_url, headers={"Authorization": f"Bearer {access_token}"})
        answer.raise_for_status()
        if answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() == "application/jwt":
            return self._verified(app, answer.text.strip(), ["iss", "sub", "aud"])
        told: dict[str, Any] = answer.json()
        return told

    def _verified(self, app: Any, token: str, claims_needed: list[str]) -> dict[str, Any]:
        """What a token says that the provider has signed for this site."""
        header = jwt.get_unverified_header(token)
        if header["alg"] not in ALGORITHMS:
            raise OAuth2Error("the token is not signed by the provider")
        decoded: dict[str, Any] = jwt.decode(
            token, key=self._key(header.get("kid")), algorithms=[header["alg"]], audience=app.client_id,
            issuer=self.openid_config["issuer"], leeway=LEEWAY, options={"require": claims_needed},
        )  # fmt: skip
        return decoded

    def _key(self, kid: str | None) -> Any:
        """The key of this name. Token and key may each leave the name out where there is one key only."""
        with get_adapter().get_requests_session() as session:
            answer = session.get(self.openid_config["jwks_uri"])
        answer.raise_for_status()
        keys = [key for key in jwt.PyJWKSet.from_dict(answer.json()).keys if key.public_key_use in (None, "sig")]
        named = [key for key in keys if kid in (None, key.key_id)] or [key for key in keys if key.key_id is None]
        if len(named) != 1:
            raise OAuth2Error("the provider has no such key")
        return named[0].key


def nonce_of(state: str) -> str:
    """The nonce that belongs to a state: both are of one sign-in, and nobody who sees the state can make the nonce."""
    return Signer(salt="accounts.oidc.nonce").signature(state)


class InstitutionProvider(OpenIDConnectProvider):
    """One of the providers of the settings. Asks for what the settings say, never for what an address says."""

    package = "accounts.oidc"
    oauth2_adapter_class = InstitutionAdapter

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, str]:
        return self.get_auth_params()

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        return self.get_scope()

    def redirect(
        self, request: HttpRequest, process: str, next_url: Any = None, data: Any = None, **kwargs: Any
    ) -> HttpResponse:
        """To the provider, with a state and a nonce that belongs to it."""
        state = get_random_string(32)
        parameters = {**self.get_auth_params(), "nonce": nonce_of(state)}
        kwargs |= {"auth_params": parameters, "state_id": state}
        return super().redirect(request, process, next_url=next_url, data=data, **kwargs)

    def extract_uid(self, data: dict[str, Any]) -> str:
        subject = str(claims.of(data)["sub"])
        if len(subject) > LONGEST_SUBJECT or claims.line(subject, len(subject)) != subject:
            raise OAuth2Error("a subject that cannot be stored")
        if len(subject) > LONGEST_KEPT:
            return f"sha256:{hashlib.sha256(subject.encode()).hexdigest()}"
        return subject

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"userinfo": claims.kept(claims.of(data))}

    def extract_email_addresses(self, data: dict[str, Any]) -> list[EmailAddress]:
        """The address, not proved yet: `accounts.adapter` judges that for all providers alike."""
        email = claims.email(claims.of(data))
        return [EmailAddress(email=email, verified=False, primary=True)] if email else []

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"email": claims.email(claims.of(data)) or None}


provider_classes = [InstitutionProvider]
