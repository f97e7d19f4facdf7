"""Rows as JSON. Never a secret; addresses of labs only while they answer."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from k8s.resources import SUMMED
from labs.models import Instance, Lab, ServiceTemplate
from labs.services.launch import KEY


class ServiceSerializer(serializers.ModelSerializer[ServiceTemplate]):
    class Meta:
        model = ServiceTemplate
        fields = ("slug", "version", "title", "description", "parameters")


class InstanceSerializer(serializers.ModelSerializer[Instance]):
    services = ServiceSerializer(many=True, source="offers")
    ends_at = serializers.DateTimeField(
        read_only=True, help_text="When everything that runs there ends; null if there is no end."
    )

    class Meta:
        model = Instance
        fields = ("slug", "title", "kind", "summary", "policy", "starts_on", "ends_on", "ends_at", "services")


class LabSerializer(serializers.ModelSerializer[Lab]):
    instance = serializers.SlugRelatedField[Instance](slug_field="slug", read_only=True)  # type: ignore[assignment]
    service = serializers.SlugRelatedField[ServiceTemplate](slug_field="slug", read_only=True, source="template")
    owner = serializers.CharField(source="owner.email", read_only=True)
    address = serializers.SerializerMethodField()
    latest_end = serializers.DateTimeField(
        read_only=True, help_text="The latest time at which it ends: after its lifetime, or when its instance ends."
    )
    diagnosis = serializers.SerializerMethodField(
        help_text="The current problem in plain words; null if there is none."
    )

    class Meta:
        model = Lab
        fields = (
            "id", "name", "instance", "service", "owner", "state", "end_reason", "is_ready", "address", "image",
            *SUMMED, "gpu_model", "lifetime_minutes", "created_at", "started_at", "expires_at",
            "latest_end", "ended_at", "lost_at", "lost_why", "diagnosis", "steps",
        )  # fmt: skip
        read_only_fields = fields

    def get_diagnosis(self, lab: Lab) -> dict[str, Any] | None:
        """Without the cluster's own line, which is for the staff, in the console."""
        found = lab.trouble
        return {key: value for key, value in found.items() if key != "technical"} if found else None

    def get_address(self, lab: Lab) -> str | None:
        return lab.address if lab.is_ready else None


class LaunchSerializer(serializers.Serializer[dict[str, Any]]):
    """Names what is launched where; the answers themselves are checked by the launch service."""

    instance = serializers.SlugField()  # type: ignore[assignment]  # the name of an attribute of the base class
    service = serializers.SlugField(default="jupyterlab")
    wait = serializers.BooleanField(default=False, help_text="Wait in the queue if there is no room now.")
    key = serializers.RegexField(
        rf"^{KEY.pattern}$",
        default="",
        allow_blank=True,
        help_text="Letters, digits and hyphens, different for each launch. If you repeat a launch with the same key, for example "
        "after a timeout, the answer is 200 with the lab of the first launch.",
    )
    values = serializers.DictField(
        child=serializers.CharField(allow_blank=True, trim_whitespace=False, allow_null=True),
        help_text="name, image, cpu (cores), memory (MiB), gpus, gpu_model, lifetime (minutes), repository, password",
    )


class ExtendSerializer(serializers.Serializer[dict[str, Any]]):
    minutes = serializers.IntegerField(min_value=1)


class StoppedSerializer(serializers.Serializer[dict[str, Any]]):
    stopped = serializers.BooleanField(help_text="False: it was already ending.")


class RefusalSerializer(serializers.Serializer[dict[str, Any]]):
    message = serializers.CharField()
    code = serializers.CharField()
    errors = serializers.DictField(child=serializers.CharField())  # type: ignore[assignment]
    suggestion = serializers.CharField(allow_blank=True)
    field = serializers.CharField(
        allow_blank=True, help_text="The limit that would be passed, such as cpu_millis; empty where it is no limit."
    )
    unit = serializers.CharField(allow_blank=True, help_text="Of the following amounts.")
    limit = serializers.IntegerField(allow_null=True)
    used = serializers.IntegerField(allow_null=True)
    asked = serializers.IntegerField(allow_null=True)
