"""A Kubernetes cluster on which workloads run."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models

from k8s.policy import ingress_annotation_problem


class Connection(models.TextChoices):
    IN_CLUSTER = "in-cluster", "The cluster the site runs on"
    FILE = "file", "A kubeconfig file on the site's machine"


DOMAIN = RegexValidator(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "A domain in lower case, such as labs.example.org.")


class Cluster(models.Model):
    slug = models.SlugField(unique=True, max_length=40)
    title = models.CharField(max_length=100)
    connection = models.CharField(max_length=16, choices=Connection, default=Connection.IN_CLUSTER)
    kubeconfig_file = models.CharField(
        max_length=500, blank=True, help_text="Path of the kubeconfig, for the second kind of connection."
    )
    is_open = models.BooleanField("takes launches", default=True)
    lab_domain = models.CharField(max_length=200, validators=[DOMAIN], help_text="Labs answer at <name>.<this domain>.")
    lab_scheme = models.CharField(max_length=5, choices=[("https", "https"), ("http", "http")], default="https")
    lab_port = models.PositiveIntegerField(null=True, blank=True, help_text="Only where it is not the scheme's own.")
    ingress_class = models.CharField(max_length=100, blank=True)
    ingress_namespace = models.CharField(
        max_length=63, blank=True, default="ingress-nginx", help_text="Where the ingress controller's pods run."
    )
    ingress_annotations = models.JSONField(default=dict, blank=True)
    tls_secret = models.CharField(
        max_length=200,
        blank=True,
        help_text="Name of the wildcard certificate's Secret; empty: the controller's default certificate.",
    )
    image_registry = models.CharField(
        max_length=200, blank=True, help_text="Put before every image name, for a registry of your own."
    )
    gpu_models = models.JSONField(
        default=list,
        blank=True,
        help_text=(
            'A list such as [{"name": "a100", "title": "A100 80 GB", "memory_gib": 80, "count": 8, '
            '"node_labels": {"nvidia.com/gpu.product": "A100"}}].'
        ),
    )
    #: Set by the watcher; shown as "unknown" when it has not been heard of for a while.
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = models.CharField(max_length=40, blank=True, editable=False)
    problem = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["title"]
        constraints = [
            models.UniqueConstraint(fields=["lab_domain"], name="cluster_domain_once"),
            models.CheckConstraint(
                condition=~models.Q(connection=Connection.FILE) | ~models.Q(kubeconfig_file=""),
                name="cluster_file_has_path",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """What is typed as JSON has its form: a page of every member reads it."""
        super().clean()
        errors = {"gpu_models": _gpu_problem(self.gpu_models), "ingress_annotations": _annotations_problem(self)}
        if found := {name: problem for name, problem in errors.items() if problem}:
            raise ValidationError(found)

    def host(self, name: str) -> str:
        """The host name of a lab with this name here."""
        return f"{name}.{self.lab_domain}"

    def address(self, name: str) -> str:
        """The web address of a lab with this name here."""
        port = f":{self.lab_port}" if self.lab_port else ""
        return f"{self.lab_scheme}://{self.host(name)}{port}/"


def _gpu_problem(models: object) -> str | None:
    """What is wrong with a list of GPU models, as a sentence."""
    if not isinstance(models, list) or not all(isinstance(item, dict) for item in models):
        return "A list of GPU models, each with a name and a count."
    for item in models:
        count, labels = item.get("count", 0), item.get("node_labels", {})
        if not isinstance(item.get("name"), str) or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,59}", item["name"]):
            return "Each model has a name of small letters, digits, dots and hyphens."
        if not isinstance(item.get("title", ""), str) or isinstance(count, bool) or not isinstance(count, int):
            return "The title of a model is a text, and its count a whole number."
        if not 0 <= count <= 100_000:
            return "The count of a model is between 0 and 100000."
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            return "The labels of a model's nodes are names and texts."
    return None


def _annotations_problem(cluster: Cluster) -> str | None:
    if not isinstance(cluster.ingress_annotations, dict):
        return 'Names and texts, such as {"cert-manager.io/cluster-issuer": "letsencrypt"}.'
    problems = (ingress_annotation_problem(*item) for item in cluster.ingress_annotations.items())
    return next((f"{problem[0].upper()}{problem[1:]}." for problem in problems if problem), None)
