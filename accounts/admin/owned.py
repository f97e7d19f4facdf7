"""Pages about mail: for the owners of an instance, not for its staff."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from labs.access import Rows, person, reach
from labs.admin.scoped import ScopedAdmin
from labs.models import Instance


class OwnersOnly(ScopedAdmin):
    """Rows of instances that the person owns; all for a site administrator. A page may be for others too: `its_instances`, `is_theirs`."""

    def its_instances(self, request: HttpRequest) -> Rows:
        return owned(request)

    def is_theirs(self, request: HttpRequest, instance_id: int | None = None) -> bool:
        """Whether the person has such an instance, or this is one."""
        mine = reach(request)
        return mine.owns_any if instance_id is None else mine.owns(instance_id)

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).filter(instance__in=self.its_instances(request).values("pk"))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.is_theirs(request, None if obj is None or isinstance(obj, str) else obj.instance_id)

    def instance_asked_for(self, request: HttpRequest) -> Instance | HttpResponse:
        """The instance of the address, the only one that there is, or a page to choose one."""
        mine = self.its_instances(request)
        if wanted := request.GET.get("instance"):
            found = mine.filter(pk=wanted).first() if wanted.isdecimal() and len(wanted) < 10 else None
            if found is None:
                raise Http404
            return found
        few = list(mine[:200])
        if not few:
            raise Http404
        if len(few) == 1:
            return few[0]
        links = [(str(row), row.summary, f"?instance={row.pk}") for row in few]
        return self.choose(request, "Choose an instance", links)

    def choose(self, request: HttpRequest, title: str, links: list[tuple[str, str, str]]) -> HttpResponse:
        """A page of links: name, remark, address."""
        return self.page(request, "admin/choose.html", title, {"links": links})

    def page(
        self, request: HttpRequest, template: str, title: str, more: dict[str, Any], status: int = 200
    ) -> HttpResponse:
        request.console_title = self.plural  # type: ignore[attr-defined]
        opts = self.opts
        back = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
        context = {**self.admin_site.each_context(request), "opts": opts, "title": title, "back": back, **more}
        return TemplateResponse(request, template, context, status=status)


def owned(request: HttpRequest) -> Rows:
    """Instances of which the person is an owner."""
    return Instance.objects.owned_by(person(request)).order_by("title")
