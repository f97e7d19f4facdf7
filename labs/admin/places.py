"""The clusters of an instance, on its page: set by site administrators."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone

from k8s.resources import COUNTED
from labs.access import person, reach
from labs.models import InstanceCluster
from labs.services.places import set_places

from .limits import FriendlyFields
from .scoped import ScopedInline


class PlaceFormSet(forms.models.BaseInlineFormSet):
    """At least one, each once; the model's own constraint would be told in its words."""

    def clean(self) -> None:
        super().clean()
        kept = [form.cleaned_data["cluster"] for form in self.forms if form.cleaned_data.get("cluster") and not
                form.cleaned_data.get("DELETE")]  # fmt: skip
        if not kept and not any(self.errors):
            raise forms.ValidationError("Add a cluster: without one, no labs can be launched.")


class PlacesInline(FriendlyFields, ScopedInline):
    model = InstanceCluster
    formset = PlaceFormSet
    fields = ("rank", "cluster", *COUNTED)
    ordering = ("rank", "pk")
    verbose_name = "cluster"
    verbose_name_plural = "Clusters in order of use, with the limits on each"

    def get_extra(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> int:
        return 0 if obj else 1

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).is_administrator

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


def save_places(request: HttpRequest, formset: Any) -> None:
    """What the inline carries, through the service."""
    changed = formset.save(commit=False)
    set_places(
        formset.instance, changed=changed, removed=formset.deleted_objects, actor=person(request), now=timezone.now()
    )
