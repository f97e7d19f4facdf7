"""A Kubernetes cluster on which workloads run."""

from __future__ import annotations

import datetime
import ipaddress
import re
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from k8s.policy import ingress_annotation_problem


class Connection(models.TextChoices):
    IN_CLUSTER = "in-cluster", "The cluster the site runs on"
    FILE = "file", "A kubeconfig file listed in KUBECONFIG_FILES"
    STORED = "stored", "A kubeconfig stored here, encrypted"


class Controller(models.TextChoices):
    """Who serves Ingresses; the values are those of `k8s.exposure`."""

    OTHER = "other", "Other"
    NGINX = "ingress-nginx", "ingress-nginx"
    TRAEFIK = "traefik", "Traefik"
    HAPROXY = "haproxy", "HAProxy Kubernetes Ingress"
    HAPROXY_COMMUNITY = "haproxy-community", "HAProxy Ingress (community)"
    CONTOUR = "contour", "Contour"


DOMAIN = RegexValidator(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "A lower-case domain, such as labs.example.org.")
GATEWAY = RegexValidator(
    r"^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*)?$",
    "Namespace and name, such as gateways/labs, optionally followed by / and a listener.",
)
IPV4_IN_IPV6 = ipaddress.IPv6Network("::ffff:0:0/96")
#: Watcher and sweep hear of a cluster at least once a minute, whatever else they do.
SILENT = datetime.timedelta(seconds=150)


def check_gpu_models(value: Any) -> None:
    """Raises ValidationError when it is not a list of models as pages and placement expect them."""
    if problem := _gpu_problem(value):
        raise ValidationError(problem)


def check_names(value: Any) -> None:
    """Raises ValidationError when it is not a list of names."""
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise ValidationError("Must be a list of names.")


def check_networks(value: Any) -> None:
    """Raises ValidationError when it is not a list of networks such as 203.0.113.0/24."""
    check_names(value)
    for text in value:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            raise ValidationError("Networks such as 203.0.113.0/24.") from None
        if "%" in text or (network.version == 6 and network.subnet_of(IPV4_IN_IPV6)):
            raise ValidationError(f"{text} is not a valid network.")


def check_few(value: Any) -> None:
    """Raises ValidationError when it is not a list of networks, or one of them is a good part of all there are."""
    check_networks(value)
    for network in map(ipaddress.ip_network, value):
        if network.prefixlen < (8 if network.version == 4 else 16):
            raise ValidationError(f"{network} is too large. The largest allowed network is a /8, or a /16 for IPv6.")


def usual_name_servers() -> list[str]:
    """NodeLocal DNSCache, as its makers and Kubespray set it up."""
    return ["169.254.20.10", "169.254.25.10"]


class Cluster(models.Model):
    slug = models.SlugField(unique=True, max_length=40)
    title = models.CharField(max_length=100)
    rank = models.PositiveSmallIntegerField(
        default=10,
        help_text="The position in lists; lowest first. Each instance has its own order of clusters.",
    )
    connection = models.CharField(max_length=16, choices=Connection, default=Connection.IN_CLUSTER)
    kubeconfig_file = models.CharField(
        max_length=500,
        blank=True,
        help_text="For the second kind of connection: the name of the file in the setting KUBECONFIG_FILES.",
    )
    #: Sealed by `labs.services.vault`; written by `labs.services.connections` alone, and never shown.
    kubeconfig_sealed = models.TextField(blank=True, editable=False)
    is_open = models.BooleanField("takes launches", default=True)
    grows = models.BooleanField(
        "adds nodes automatically",
        default=False,
        help_text="Free room on this cluster is not checked: labs that don't fit get a new node.",
    )
    lab_domain = models.CharField(
        max_length=200, validators=[DOMAIN], help_text="Each lab has the address <name>.<this domain>."
    )
    lab_scheme = models.CharField(max_length=5, choices=[("https", "https"), ("http", "http")], default="https")
    lab_port = models.PositiveIntegerField(null=True, blank=True, help_text="Only if it is not the default port.")
    ingress_controller = models.CharField(
        max_length=20,
        choices=Controller,
        default=Controller.OTHER,
        help_text="Selects the annotations for web sockets, long requests and uploads.",
    )
    ingress_class = models.CharField(
        max_length=100, blank=True, help_text="Leave empty to use the cluster's default class."
    )
    ingress_namespace = models.CharField(
        max_length=63,
        blank=True,
        default="ingress-nginx",
        help_text="The namespace in which the pods of the ingress controller or gateway run.",
    )
    ingress_networks = models.JSONField(
        default=list,
        blank=True,
        validators=[check_few],
        help_text=(
            "Source networks of ingress traffic, if the controller uses host networking (the node addresses from which pods are "
            "called) or if a cloud load balancer calls pods directly (its addresses). Never include the pod network: labs could "
            "then reach each other."
        ),
    )
    ingress_annotations = models.JSONField(
        default=dict, blank=True, help_text="Additional annotations, or replacements."
    )
    gateway = models.CharField(
        max_length=200,
        blank=True,
        validators=[GATEWAY],
        help_text="Namespace/name of a Gateway to use instead of Ingresses. Its listener provides the certificate.",
    )
    tls_secret = models.CharField(
        max_length=200,
        blank=True,
        help_text=(
            "The Secret with the wildcard certificate, which another tool must copy to each instance's namespace. Leave empty "
            "to use the controller's default certificate."
        ),
    )
    cluster_issuer = models.CharField(
        max_length=200,
        blank=True,
        help_text="A cert-manager ClusterIssuer, to get a certificate for each lab instead of a wildcard certificate.",
    )
    image_registry = models.CharField(
        max_length=200, blank=True, help_text="Prefix for all image names, to use your own registry."
    )
    forbidden_networks = models.JSONField(
        default=list,
        blank=True,
        validators=[check_networks],
        help_text=(
            "Public networks that labs cannot reach. Private networks, the cluster's nodes and its API server are always blocked."
        ),
    )
    name_servers = models.JSONField(
        default=usual_name_servers,
        blank=True,
        validators=[check_few],
        help_text=(
            "DNS servers that labs can use (port 53 only), in addition to the cluster's DNS in kube-system. Examples: "
            "169.254.20.10 and 169.254.25.10 (NodeLocal DNSCache), 169.254.169.254 (Cloud DNS on GKE)."
        ),
    )
    #: Sealed by `labs.services.vault`, as the kubeconfig is.
    registry_sealed = models.TextField(blank=True, editable=False)
    storage_classes = models.JSONField(
        default=list, blank=True, validators=[check_names], help_text="The names of the classes that are offered."
    )
    gpu_models = models.JSONField(
        default=list,
        blank=True,
        validators=[check_gpu_models],
        help_text=(
            'A list such as [{"name": "a100", "title": "A100 80 GB", "memory_gib": 80, "count": 8, '
            '"node_labels": {"nvidia.com/gpu.product": "A100"}}].'
        ),
    )
    # What the watcher and the sweep heard last; `labs.services.hearing` alone writes these.
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    version = models.CharField(max_length=40, blank=True, editable=False)
    problem = models.TextField(blank=True, editable=False)

    class Meta:
        ordering = ["rank", "title"]
        constraints = [
            models.UniqueConstraint(fields=["lab_domain"], name="cluster_domain_once"),
            models.CheckConstraint(
                condition=~Q(connection=Connection.FILE) | ~Q(kubeconfig_file=""), name="cluster_file_has_path"
            ),
            models.CheckConstraint(
                condition=~Q(connection=Connection.STORED) | ~Q(kubeconfig_sealed=""), name="cluster_stored_has_content"
            ),
            models.CheckConstraint(
                condition=Q(cluster_issuer="") | (Q(tls_secret="") & Q(gateway="")), name="cluster_one_certificate"
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def clean(self) -> None:
        """What is typed as JSON has its form: a page of every member reads it."""
        super().clean()
        if problem := _annotations_problem(self):
            raise ValidationError({"ingress_annotations": problem})
        if self.connection == Connection.FILE and self.kubeconfig_file not in settings.KUBECONFIG_FILES:
            raise ValidationError({"kubeconfig_file": _file_problem()})
        if self.gateway and (self.tls_secret or self.cluster_issuer):
            raise ValidationError(
                {"gateway": "A Gateway provides its own certificate: leave the Secret and the issuer empty."}
            )
        if self.tls_secret and self.cluster_issuer:
            raise ValidationError({"cluster_issuer": "Choose a Secret or an issuer, not both."})
        by_ingress = self.lab_scheme == "https" and not self.gateway
        if (
            by_ingress
            and self.ingress_controller == Controller.CONTOUR
            and not (self.tls_secret or self.cluster_issuer)
        ):
            raise ValidationError({"tls_secret": "Contour has no default certificate: enter a Secret or an issuer."})

    def host(self, name: str) -> str:
        """The host name of a lab with this name here."""
        return f"{name}.{self.lab_domain}"

    def address(self, name: str) -> str:
        """The web address of a lab with this name here."""
        port = f":{self.lab_port}" if self.lab_port else ""
        return f"{self.lab_scheme}://{self.host(name)}{port}/"

    def is_silent(self, now: datetime.datetime) -> bool:
        """Whether nothing can be said of what runs there: it failed to answer, or nobody has heard of it for a while.

        A new cluster that nobody has asked yet is not silent.
        """
        return bool(self.problem) or (self.last_seen_at is not None and now - self.last_seen_at > SILENT)

    def gpu_model(self, name: str) -> dict[str, Any] | None:
        """The declaration of one model of GPU; None where there is none of it."""
        return next((model for model in self.gpu_models if model["name"] == name), None)


class MachineSnapshot(models.Model):
    """The machines of a cluster as the sweep last saw them. A row of its own: it is long, and few pages need it."""

    cluster = models.OneToOneField(Cluster, on_delete=models.CASCADE, related_name="snapshot")
    at = models.DateTimeField()
    #: As `k8s.capacity.machines` gives them; "ours" beside "requested" is the part of it that this site's workloads ask for.
    machines = models.JSONField(default=list)
    #: Public addresses of the machines and ranges of their pods, as `k8s.networks` gives them.
    networks = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.cluster}, {self.at}"


def _gpu_problem(models: object) -> str | None:
    """What is wrong with a list of GPU models, as a sentence."""
    if not isinstance(models, list) or not all(isinstance(item, dict) for item in models):
        return "Must be a list of GPU models, each with a name and a count."
    for item in models:
        count, labels = item.get("count", 0), item.get("node_labels", {})
        if not isinstance(item.get("name"), str) or not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,59}", item["name"]):
            return "Each model needs a name of lower-case letters, digits, dots and hyphens."
        if not isinstance(item.get("title", ""), str) or isinstance(count, bool) or not isinstance(count, int):
            return "The title of a model must be a text, and its count a whole number."
        if not 0 <= count <= 100_000:
            return "The count of a model must be between 0 and 100000."
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            return "Node labels must be names and texts."
    if len({item["name"] for item in models}) < len(models):
        return "Each name may be used only once."
    return None


def _file_problem() -> str:
    if not settings.KUBECONFIG_FILES:
        return "No kubeconfig files are listed in KUBECONFIG_FILES yet. Choose another kind of connection."
    return f"Choose one of the files in KUBECONFIG_FILES: {', '.join(settings.KUBECONFIG_FILES)}."


def _annotations_problem(cluster: Cluster) -> str | None:
    if not isinstance(cluster.ingress_annotations, dict):
        return 'Must be names and texts, such as {"cert-manager.io/cluster-issuer": "letsencrypt"}.'
    # Without a value, one of those that the controller's kind brings is taken away.
    added = {key: value for key, value in cluster.ingress_annotations.items() if value is not None}
    problems = (ingress_annotation_problem(*item) for item in added.items())
    return next((f"{problem[0].upper()}{problem[1:]}." for problem in problems if problem), None)
