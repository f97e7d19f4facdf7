"""From a workload's row to the objects that it should have on its cluster."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings

from k8s import labels, manifests, policy
from k8s.exposure import exposure
from k8s.jupyter import lab_config
from k8s.names import object_name
from labs.models import Cluster, Lab, ServiceTemplate, Workload

from . import repositories
from .repositories import Place
from .secrets import token_of

#: What a workload may consist of, the owner of the rest first.
WORKLOAD_KINDS = ("Secret", "Pod", "Service", "Ingress")
SERVICE_ACCOUNT = "lab"


def kinds_of(cluster: Cluster) -> tuple[str, ...]:
    """What a workload consists of on this cluster: an HTTPRoute in the place of the Ingress where it has a Gateway."""
    return tuple("HTTPRoute" if kind == "Ingress" and cluster.gateway else kind for kind in WORKLOAD_KINDS)


def name_of(workload: Workload) -> str:
    """The name of all its objects."""
    return object_name(workload.name, workload.pk)


def is_of(workload: Workload, metadata: dict[str, Any]) -> bool:
    """Whether this is an object of the workload. Its labels alone do not tell: anybody on the cluster can copy labels."""
    return metadata.get("name") == name_of(workload) and metadata.get("namespace") == workload.instance.namespace


def render(lab: Lab) -> list[dict[str, Any]]:
    """Its objects, the Secret first; checked after rendering. Who owns them is added when they are sent (`manifests.owned`).

    Raises k8s.manifests.ManifestError and k8s.policy.PolicyError: a template that asks for what it may not have.
    """
    context = _context(lab)
    objects = manifests.render(_template(lab.template), context)
    policy.check(
        objects,
        namespace=lab.instance.namespace,
        name=context["object_name"],
        labels=context["labels"],
        allowed_kinds=set(kinds_of(lab.cluster)),
        service_account=SERVICE_ACCOUNT,
        images=_images(lab),
        host=lab.host,
        gateway=context["gateway"],
        secrets={secret for secret in (token_of(lab), lab.password_hash) if secret},
    )
    return objects


def _template(template: ServiceTemplate) -> dict[str, Any]:
    return {"slug": template.slug, "version": template.version, "objects": template.objects_json}


def _images(lab: Lab) -> set[str]:
    """The images that its template's list allows here, and the one that clones repositories."""
    choices = (lab.template.parameter("image") or {}).get("choices", [])
    return {_full_image(lab, choice["value"]) for choice in choices} | {_full_image(lab, settings.GIT_IMAGE)}


def _full_image(lab: Lab, image: str) -> str:
    registry = lab.cluster.image_registry.rstrip("/")
    return f"{registry}/{image}" if registry else image


def _context(lab: Lab) -> dict[str, Any]:
    gpu: dict[str, Any] = next((model for model in lab.cluster.gpu_models if model["name"] == lab.gpu_model), {})
    place = _place(lab)
    folder = _folder(place)
    expires = {labels.EXPIRES: str(int(lab.expires_at.timestamp()))} if lab.expires_at else {}
    return {
        "name": lab.name,
        "object_name": name_of(lab),
        "namespace": lab.instance.namespace,
        "host": lab.host,
        "uid": str(lab.pk),
        "labels": _labels(lab),
        "expires": expires.get(labels.EXPIRES, _latest_end(lab)),
        "image": _full_image(lab, lab.image),
        "git_image": _full_image(lab, settings.GIT_IMAGE),
        "cpu_request_millis": lab.cpu_millis,
        "cpu_limit_millis": 2 * lab.cpu_millis,
        **lab.amounts,
        "gpu_label": gpu.get("node_labels", {}),
        "repository": place.repository,
        "repository_dir": folder,
        "branch": place.branch,
        "config": lab_config(
            password_hash=lab.password_hash,
            token=token_of(lab),
            host=lab.host,
            opens=f"{folder}/{place.path}" if place.path else "",
        ),
        "scratch_gib": settings.SCRATCH_GIB,
        "home_gib": settings.HOME_GIB,
        "shm_mib": max(64, lab.memory_mib // 2),
        "run_as_user": 1000,
        "group": 100,
        **_exposure(lab),
    }


def _place(lab: Lab) -> Place:
    """What it copies. An address that would be refused today, of a lab of before, is given to git as it is."""
    address = str(lab.parameters.get("repository", ""))
    try:
        return repositories.read(address)
    except ValueError:
        return Place(address)


def _folder(place: Place) -> str:
    """Into which it is copied."""
    last = place.repository.rstrip("/").split("/")[-1].removesuffix(".git")
    return re.sub(r"[^A-Za-z0-9_.-]", "-", last).lstrip(".-") or "repository"


def _exposure(lab: Lab) -> dict[str, Any]:
    cluster = lab.cluster
    return exposure(
        host=lab.host,
        object_name=name_of(lab),
        labels=_labels(lab),
        is_secure=cluster.lab_scheme == "https",
        controller=cluster.ingress_controller,
        ingress_class=cluster.ingress_class,
        tls_secret=cluster.tls_secret,
        cluster_issuer=cluster.cluster_issuer,
        annotations=cluster.ingress_annotations,
        gateway=cluster.gateway,
    )


def _labels(lab: Lab) -> dict[str, str]:
    """By which all its objects are known for ours."""
    return {
        labels.MANAGED_BY: labels.MANAGER,
        labels.SITE: settings.SITE_IDENTITY,
        labels.INSTANCE: lab.instance.slug,
        labels.WORKLOAD: str(lab.pk),
    }


def _latest_end(lab: Lab) -> str:
    """Before the first answer: the time by which it is over in any case."""
    return str(int(lab.latest_end.timestamp()))
