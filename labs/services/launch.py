"""Launching: the one service behind form, API and console."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.rules import authority, rates
from k8s.jupyter import hash_password
from labs.errors import OverLimit, Refusal
from labs.models import Cluster, Host, Instance, InstanceCluster, Lab, ServiceTemplate, State, Verb
from labs.models.template import ServiceKind
from labs.rules.history import record

from .admission import Limits, ask_of, limits_of
from .names import check_name
from .parameters import Answers, clean, name_of
from .placement import clusters_of, gpu_counts, place, places
from .refusals import over
from .waiting import check_queue, check_turn, start_deadline

#: What a key of a launch looks like.
KEY = re.compile(r"[A-Za-z0-9-]{1,64}")
#: Refusals that may pass: the launch can stand in the queue.
CAN_WAIT = ("over-limit", "over-own-limit", "no-room", "cluster-silent", "queue-first")


def launchable(instance: Instance, user: User) -> QuerySet[ServiceTemplate]:
    """The services that the person may launch in the instance."""
    if not authority.can_launch(user, instance):
        return ServiceTemplate.objects.none()
    return instance.services.filter(is_current=True)


def launch(
    *,
    actor: User,
    instance: Instance,
    template: ServiceTemplate,
    values: Mapping[str, Any],
    now: datetime.datetime,
    wait: bool = False,
    owner: User | None = None,
    key: str = "",
) -> Lab:
    """Accept a launch, or raise Refusal with what is wrong. `wait`: stand in the queue if there is no room now.

    `owner`: whose it will be, and against whose limits it counts, when that is not the actor.
    `key`: tells one request from another (KEY). The same one sent twice gives the lab of the first time.
    """
    try:
        return _launch(actor, owner or actor, instance, template, values, now, wait, key)
    except (Refusal, IntegrityError):
        # Looked for only now: it costs the usual launch nothing.
        if key and (before := _launched_with(key, owner or actor, instance, values)):
            return before
        raise


def _launched_with(key: str, owner: User, instance: Instance, values: Mapping[str, Any]) -> Lab | None:
    found: QuerySet[Lab] = Lab.objects.select_related("instance", "owner", "template", "cluster")
    return found.filter(owner=owner, instance=instance, launch_key=key, name=name_of(values)).first()


def _launch(
    actor: User, owner: User, instance: Instance, template: ServiceTemplate, values: Mapping[str, Any],
    now: datetime.datetime, wait: bool, key: str,
) -> Lab:  # fmt: skip
    """One transaction locks the instance's row, so that no number of requests at once takes it over its limits."""
    if template.kind != ServiceKind.LAB:
        raise Refusal("This service cannot be launched yet.", code="invalid")
    clusters = clusters_of(instance)
    answers = clean(template, gpu_counts(clusters), values)
    if answers.password and owner != actor:
        raise Refusal("You cannot set the password of another person's lab.", code="invalid")
    if owner == actor:
        _check_name(clusters, answers.name, owner)
        # Before the transaction, which a refusal undoes: what is refused has cost a look at the limits under the lock, too.
        rates.spend(actor, "launch", now=now)
    password_hash = _hashed(answers, actor, owner, instance, template, wait, now)
    try:
        with transaction.atomic():
            locked = Instance.objects.select_for_update(no_key=True).get(pk=instance.pk)
            _check_open(actor, owner, locked, template, now)
            # Read under the lock, which whoever changes the domain of a cluster has to take.
            found = places(locked)
            own_hosts = _check_name([one.cluster for one in found], answers.name, owner)
            limits = limits_of(locked, owner)
            _check_lifetime(limits, answers.amounts["lifetime_minutes"])
            state, cluster = _check_room(limits, found, answers, wait, now, is_for_class=owner != actor)
            lab = _create(actor, owner, locked, cluster, template, answers, password_hash, state, now, key)
            if lab.host not in own_hosts:
                Host.objects.create(name=lab.host, owner=owner, created_at=now)
    except IntegrityError:
        # Somebody of another instance took the name between our look and our write.
        _check_name(clusters_of(instance), answers.name, owner)
        raise
    return lab


def _hashed(
    answers: Answers, actor: User, owner: User, instance: Instance, template: ServiceTemplate, wait: bool, now: datetime.datetime
) -> str:  # fmt: skip
    """The password as the lab keeps it; empty without one. Hashing takes a tenth of a second, so it is not done under the lock, nor
    for a launch that is refused: all is looked at here, and again under the lock."""
    if not answers.password:
        return ""
    _check_open(actor, owner, instance, template, now)
    limits = limits_of(instance, owner)
    _check_lifetime(limits, answers.amounts["lifetime_minutes"])
    _check_room(limits, places(instance), answers, wait, now)
    return hash_password(answers.password)


def _check_open(
    actor: User, owner: User, instance: Instance, template: ServiceTemplate, now: datetime.datetime
) -> None:  # fmt: skip
    if owner != actor and not authority.can_launch_for(actor, owner, instance):
        raise Refusal(f"{owner} is not a member of {instance}, or you are not on its staff.", code="not-member")
    if owner == actor and not authority.can_launch(actor, instance):
        raise Refusal(f"You are not a member of {instance}, or your access has not been approved.", code="not-member")
    if not instance.is_running(timezone.localdate(now)):
        raise Refusal(when_open(instance, now), code="instance-over")
    if not instance.services.filter(pk=template.pk, is_current=True).exists():
        raise Refusal(f"{instance} does not offer this service.", code="not-offered")


def when_open(instance: Instance, now: datetime.datetime) -> str:
    """Why nothing can be launched in it now, and from when on; empty where that is possible."""
    today = timezone.localdate(now)
    if instance.is_running(today):
        return ""
    if instance.archived_at:
        return f"{instance} has ended."
    if instance.ends_on and instance.ends_on < today:
        return f"{instance} ended on {instance.ends_on:%-d %B %Y}."
    return f"{instance} starts on {instance.starts_on:%-d %B %Y}. You can launch labs from that day."


def _check_name(clusters: list[Cluster], name: str, owner: User) -> Collection[str]:
    """The hosts of this name that are the owner's already. Raises Refusal when they may not have it."""
    answer = check_name(clusters, name, owner)
    if answer.most:
        raise OverLimit(
            answer.message, code="name", field="names", limit=answer.most, used=answer.most, asked=1,
            errors={"name": answer.message}, suggestion=answer.suggestion,
        )  # fmt: skip
    if not answer.ok:
        raise Refusal(answer.message, code="name", errors={"name": answer.message}, suggestion=answer.suggestion)
    return answer.own_hosts


def _check_lifetime(limits: Limits, minutes: int) -> None:
    """Raises Refusal for a lifetime, in minutes, beyond the limits."""
    longest = limits.longest_lifetime
    if longest is not None and minutes > longest:
        raise over(
            "over-limit", "lifetime_minutes", limit=longest, used=0, asked=minutes, instance=limits.instance,
            form_field="lifetime",
        )  # fmt: skip


def _check_room(
    limits: Limits,
    found: Sequence[InstanceCluster],
    answers: Answers,
    wait: bool,
    now: datetime.datetime,
    *,
    is_for_class: bool = False,
) -> tuple[State, Cluster]:
    """Accepted or queued, and where: within the limits first, then on a cluster that has room. Raises Refusal."""
    ask = ask_of(answers.amounts)
    try:
        limits.check_room(ask)
        cluster = place(found, ask, now=now, gpu_model=answers.gpu_model)
        check_turn(limits.instance, found, now=now)
        return State.REQUESTED, cluster
    except Refusal as refusal:
        if wait and refusal.code in CAN_WAIT and limits.fits_at_all(ask):
            check_queue(limits.instance, limits.user, is_for_class=is_for_class)
            return State.QUEUED, place(found, ask, now=now, gpu_model=answers.gpu_model, for_later=True)
        raise


def _create(
    actor: User, owner: User, instance: Instance, cluster: Cluster, template: ServiceTemplate, answers: Answers,
    password_hash: str, state: State, now: datetime.datetime, key: str,
) -> Lab:  # fmt: skip
    lab = Lab(
        instance=instance,
        owner=owner,
        template=template,
        cluster=cluster,
        name=answers.name,
        state=state,
        image=answers.image,
        **answers.amounts,
        gpu_model=answers.gpu_model,
        parameters=answers.others,
        created_at=now,
        start_deadline=start_deadline(now),
        password_hash=password_hash,
        launch_key=key,
    )
    lab.save(force_insert=True)
    _record(lab, actor, answers, now)
    return lab


def _record(lab: Lab, actor: User, answers: Answers, now: datetime.datetime) -> None:
    """Write the Event of a new lab, with what was asked for."""
    verb = Verb.QUEUED if lab.state == State.QUEUED else Verb.LAUNCHED
    record(
        verb,
        lab.name,
        actor=actor,
        now=now,
        instance=lab.instance,
        user=lab.owner,
        workload=lab,
        after={"state": lab.state, **answers.amounts, "image": lab.image},
    )
