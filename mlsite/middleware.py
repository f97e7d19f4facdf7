"""What holds for every request and answer of the site."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, QueryDict
from django.template import loader
from django.utils.cache import add_never_cache_headers

Answer = Callable[[HttpRequest], HttpResponse]
#: Bytes of all cookies of a request. Ours are a few hundred; many a proxy refuses more than this.
MOST_COOKIES = 8 * 1024


def few_cookies(get_response: Answer) -> Answer:
    """A browser that sends more cookies than any of ours gets a page that says what to do, and is asked to drop them.

    A neighbour by name, such as a lab under the same parent domain, can plant cookies that the browser then sends here.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        sent = len(request.META.get("HTTP_COOKIE", ""))
        if sent <= MOST_COOKIES:
            return get_response(request)
        context = {"kib": sent // 1024, "host": urlsplit(settings.SITE_URL).hostname}
        response = HttpResponse(loader.render_to_string("431.html", context), status=431)
        response["Clear-Site-Data"] = '"cookies"'
        response["Cache-Control"] = "no-store"
        return response

    return handle


def plain_text(get_response: Answer) -> Answer:
    """No text with a null character comes in: no person types one, and PostgreSQL stores none.

    The JSON interface has its own check, in its serializers.
    """

    def handle(request: HttpRequest) -> HttpResponse:
        if _has_null(request.GET) or (request.method == "POST" and _has_null(request.POST)):
            raise BadRequest("a null character in a text")
        return get_response(request)

    return handle


def _has_null(values: QueryDict) -> bool:
    return any("\0" in text for name, texts in values.lists() for text in (name, *texts))


def whole_pages(get_response: Answer) -> Answer:
    """Who has been signed out gets the sign-in page as a page, and never as a part of one: a part is answered with 401, which the
    page's script tells."""

    def handle(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if request.headers.get("HX-Request") and response.status_code == 302 and not request.user.is_authenticated:
            return HttpResponse(status=401)
        return response

    return handle


def private_pages(get_response: Answer) -> Answer:
    """What was made for a person who is signed in is kept by nobody: the back button shows nothing of it after they have signed out."""

    def handle(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not response.has_header("Cache-Control") and request.user.is_authenticated:
            add_never_cache_headers(response)
        return response

    return handle
