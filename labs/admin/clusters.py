"""Clusters in the console: for site administrators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString
from unfold.decorators import action
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from k8s import kubeconfig, registry
from labs.access import Rows, person, reach
from labs.models import Cluster, State
from labs.models.cluster import Connection
from labs.services.checkup import check
from labs.services.clusters import delete_cluster, kept_because, save_cluster

from .confirm import Question, ask
from .gpu_field import GpuModelsField
from .pills import pill, when
from .scoped import AdministratorsOnly

GPU_HELP = (
    "The models that people can choose. The labels identify the nodes with this model: “Test the connection” shows what the "
    "cluster has. Clear a row to remove its model. Save to get more empty rows."
)
LABELS = {"tls_secret": "TLS secret", "gpu_models": "GPU models", "cluster_issuer": "Certificate issuer"}

#: Fields that are lists of names or networks, and typed so.
LISTS = ("storage_classes", "forbidden_networks", "ingress_networks", "name_servers")


#: The form of a cluster: what most of them need, and what few do.
OFTEN = (
    ("Connection", ("connection", "kubeconfig_file", "kubeconfig")),
    ("Lab addresses", ("lab_domain", "ingress_controller", "ingress_class", "ingress_namespace")),
    ("GPUs", ("gpu_models",)),
)
SELDOM = (
    ("Launches", ("is_open", "grows", "rank")),
    ("Certificate and port", ("lab_scheme", "lab_port", "tls_secret", "cluster_issuer")),
    ("Gateway and more ingress settings", ("gateway", "ingress_networks", "ingress_annotations")),
    ("Network access of labs", ("forbidden_networks", "name_servers")),
    ("Images", ("image_registry", "login", "forget_login")),
    ("Storage", ("storage_classes",)),
)


class NamesField(forms.CharField):
    """A list of names, separated by commas or lines."""

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return list(dict.fromkeys(str(value or "").replace(",", " ").split()))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != (initial or []))


class UnseenTextarea(UnfoldAdminTextareaWidget):
    """What was typed is not sent back, not even with a form that was refused."""

    def format_value(self, value: Any) -> str:
        return ""


class ClusterForm(forms.ModelForm):
    """What is pasted goes to the service and nowhere else: it is no field of the row, and comes back on no page."""

    kubeconfig = forms.CharField(
        required=False,
        strip=False,
        max_length=100_000,
        widget=UnseenTextarea(attrs={"rows": 6, "autocomplete": "off", "spellcheck": "false"}),
        help_text=(
            "For the third kind of connection: a complete, self-contained file with a token. It is stored encrypted and never shown again."
        ),
    )

    login = forms.CharField(
        label="Registry login",
        required=False,
        strip=False,
        max_length=50_000,
        widget=UnseenTextarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
        help_text=(
            "For private images: a config.json with the logins, as written by docker or podman. It is stored encrypted, never "
            "shown again, and sent only to the cluster."
        ),
    )
    forget_login = forms.BooleanField(label="Delete the registry login", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, sealed in (("kubeconfig", self.instance.kubeconfig_sealed), ("login", self.instance.registry_sealed)):
            if sealed and name in self.fields:
                self.fields[name].widget.attrs["placeholder"] = "One is stored. Paste another to replace it."

    def clean_login(self) -> str:
        pasted = str(self.cleaned_data["login"])
        if pasted.strip():
            try:
                registry.read(pasted)
            except ValueError as problem:
                raise forms.ValidationError(str(problem)) from None
        return pasted if pasted.strip() else ""

    def login_to_keep(self) -> str | None:
        """As `save_cluster` takes it."""
        if pasted := self.cleaned_data.get("login"):
            return str(pasted)
        return "" if self.cleaned_data.get("forget_login") and self.instance.registry_sealed else None

    def clean_kubeconfig(self) -> str:
        pasted = str(self.cleaned_data["kubeconfig"])
        if pasted.strip():
            try:
                kubeconfig.read(pasted)
            except ValueError as problem:
                raise forms.ValidationError(str(problem)) from None
        return pasted if pasted.strip() else ""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        stored = data.get("connection") == Connection.STORED
        if stored and not data.get("kubeconfig") and not self.instance.kubeconfig_sealed and not self.errors:
            self.add_error("kubeconfig", "Paste a kubeconfig.")
        if data.get("kubeconfig") and not stored:
            self.add_error("connection", "To use the kubeconfig that you pasted, choose the third kind of connection.")
        return data

    def _get_validation_exclusions(self) -> set[str]:
        """The constraint on what is kept is for what the service writes, which comes after."""
        return {*super()._get_validation_exclusions(), "kubeconfig_sealed"}  # type: ignore[misc]


@admin.register(Cluster)
class ClusterAdmin(AdministratorsOnly):
    form = ClusterForm
    list_display = ("title", "health", "heard", "version", "is_open", "lab_domain", "labs_there")
    search_fields = ("title", "slug", "lab_domain")
    ordering = ("rank", "title")
    readonly_fields = ("health", "version", "heard", "problem")
    actions_detail = ("test_connection",)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """What every cluster needs comes first; the rest is folded up until something of it is set."""
        seen = ("health", "heard", "version", "problem") if obj else ()
        often = [(None, ("title", "slug", *seen)), *OFTEN]
        seldom = [(title, fields, obj is not None and _is_set(obj, fields)) for title, fields in SELDOM]
        return [
            *((title, {"fields": fields}) for title, fields in often),
            *(
                (title, {"fields": fields, "classes": () if is_set else ("collapse",)})
                for title, fields, is_set in seldom
            ),
        ]

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).annotate(live=Count("workloads", filter=~Q(workloads__state=State.ENDED)))

    @admin.display(description="Health")
    def health(self, row: Cluster) -> SafeString:
        if row.pk is None or (row.last_seen_at is None and not row.problem):
            return pill("Not checked yet", "off")
        if row.problem:
            return pill("Not responding", "bad")
        return pill("Unknown", "off") if row.is_silent(timezone.now()) else pill("OK", "ok")

    @admin.display(description="Last response", ordering="last_seen_at", empty_value="never")
    def heard(self, row: Cluster) -> SafeString | None:
        return when(row.last_seen_at) if row.last_seen_at else None

    @admin.display(description="Current labs", ordering="live")
    def labs_there(self, row: Any) -> int:
        return int(row.live)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Help with angle brackets is text, not markup; and what every administrator writes in capitals, in capitals."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name in LISTS and field:
            lead = (
                "Names, separated by commas. Empty means none."
                if db_field.name == "storage_classes"
                else field.help_text
            )
            field = NamesField(required=False, widget=UnfoldAdminTextInputWidget(), help_text=lead)
        if db_field.name == "kubeconfig_file" and field:
            names = [("", "No file"), *((name, name) for name in settings.KUBECONFIG_FILES)]
            field = forms.ChoiceField(
                choices=names, required=False, widget=UnfoldAdminSelectWidget(), help_text=field.help_text
            )
        if db_field.name == "gpu_models":
            field = GpuModelsField(required=False, help_text=GPU_HELP)
        if field:
            field.help_text = conditional_escape(field.help_text)
            field.label = LABELS.get(db_field.name, field.label)
        return field

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.readonly_fields, "slug") if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Cluster, form: Any, change: bool) -> None:
        pasted = form.cleaned_data.get("kubeconfig", "")
        save_cluster(obj, actor=person(request), now=timezone.now(), pasted=pasted, login=form.login_to_keep())

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return reach(request).is_administrator

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Nothing but the cluster itself goes; the service refuses one that something hangs on, which may be thousands of labs."""
        return [str(obj) for obj in objs], {}, set(), []

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """What cannot be deleted says why before it asks."""
        row = self.object_or_404(request, object_id)
        if self.has_delete_permission(request, row) and (why := kept_because(row)):
            messages.error(request, why)
            return HttpResponseRedirect(reverse("admin:labs_cluster_change", args=[row.pk]))
        return super().delete_view(request, object_id, extra_context)

    def delete_model(self, request: HttpRequest, obj: Cluster) -> None:
        delete_cluster(obj, actor=person(request), now=timezone.now())

    @action(description="Test the connection", url_path="test")
    def test_connection(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """GET asks, POST does."""
        row = self.object_or_404(request, object_id)
        if not reach(request).is_administrator:
            raise PermissionDenied
        here = reverse("admin:labs_cluster_change", args=[row.pk])
        if request.method != "POST":
            question = Question(
                title=f"Test the connection to {row}?",
                lead="This checks the cluster's version, the site's permissions, and everything that is named here. Nothing is changed.",
                button="Test",
            )
            return ask(self, request, question, [(row.lab_domain, row.get_connection_display())], here)
        findings = check(row, actor=person(request), now=timezone.now())
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": f"Connection to {row}",
            "cluster": row, "findings": findings, "worst": _worst(findings), "here": here,
        }  # fmt: skip
        return TemplateResponse(request, "admin/checkup.html", context)

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        """Back to the cluster: its connection is what one tests next."""
        return HttpResponseRedirect(reverse("admin:labs_cluster_change", args=[obj.pk]))

    response_post_save_add = response_post_save_change


def _is_set(cluster: Cluster, fields: Sequence[str]) -> bool:
    """Whether any of these fields of the form has another value than a new cluster's."""
    kept = {"login": "registry_sealed", "forget_login": "registry_sealed"}
    new = Cluster()
    return any(getattr(cluster, name) != getattr(new, name) for name in (kept.get(field, field) for field in fields))


def _worst(findings: list[Any]) -> str:
    tones = {finding.tone for finding in findings}
    return next((tone for tone in ("bad", "wait") if tone in tones), "ok")
