"""The JSON interface: the same services as the pages, for the person who is signed in."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import Prefetch, QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from labs.errors import Refusal
from labs.models import Instance, Lab, ServiceTemplate
from labs.services.extension import extend
from labs.services.launch import launch
from labs.services.stopping import stop

from .errors import body_of
from .serializers import (
    ExtendSerializer,
    InstanceSerializer,
    LabSerializer,
    LaunchSerializer,
    RefusalSerializer,
    StoppedSerializer,
)


class InstancesView(generics.ListAPIView[Instance]):
    """The instances that the person may see, with what they offer."""

    serializer_class = InstanceSerializer

    def get_queryset(self) -> QuerySet[Instance]:
        offers = Prefetch("services", ServiceTemplate.objects.filter(is_current=True), to_attr="offers")
        user = cast(User, self.request.user)
        return Instance.objects.visible_to(user).prefetch_related(offers).order_by("slug")


class OfLabs(generics.GenericAPIView[Lab]):
    serializer_class = LabSerializer

    def get_queryset(self) -> QuerySet[Lab]:
        user = cast(User, self.request.user)
        return Lab.objects.visible_to(user).select_related("instance", "owner", "template", "cluster")


class LabsView(OfLabs, generics.ListAPIView[Lab]):
    """The labs that the person may see, newest first; launching."""

    @extend_schema(
        request=LaunchSerializer,
        responses={200: LabSerializer, 201: LabSerializer, 400: RefusalSerializer, 429: RefusalSerializer},
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        asked = LaunchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user, data = cast(User, request.user), asked.validated_data
        instance = get_object_or_404(Instance.objects.visible_to(user), slug=data["instance"])
        template = get_object_or_404(instance.services.filter(is_current=True), slug=data["service"])
        now = timezone.now()
        try:
            lab = launch(
                actor=user, instance=instance, template=template, values=data["values"], now=now, wait=data["wait"],
                key=data["key"],
            )  # fmt: skip
        except Refusal as refusal:
            return refused(refusal)
        return Response(LabSerializer(lab).data, status=201 if lab.created_at == now else 200)


class LabView(OfLabs, generics.RetrieveAPIView[Lab]):
    """One lab."""


class StopView(OfLabs, APIView):
    @extend_schema(request=None, responses={200: StoppedSerializer, 400: RefusalSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        try:
            stopped = stop(self.get_object(), actor=cast(User, request.user), now=timezone.now())
        except Refusal as refusal:
            return refused(refusal)
        return Response({"stopped": stopped})


class ExtendView(OfLabs, APIView):
    @extend_schema(request=ExtendSerializer, responses={200: LabSerializer, 400: RefusalSerializer})
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        asked = ExtendSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        lab = self.get_object()
        try:
            extend(lab, actor=cast(User, request.user), minutes=asked.validated_data["minutes"], now=timezone.now())
        except Refusal as refusal:
            return refused(refusal)
        lab.refresh_from_db()
        return Response(LabSerializer(lab).data)


def refused(refusal: Refusal) -> Response:
    """What a service refused, in its own words."""
    body = body_of(refusal)
    if refusal.retry_after:
        return Response(body, status=429, headers={"Retry-After": str(refusal.retry_after)})
    return Response(body, status=400)
