"""The queue in the console: for site administrators, to see what failed and what is planned. Tasks carry primary keys only."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django_q.models import Failure, OrmQ, Schedule, Success

from labs.access import Rows

from .pills import when
from .scoped import AdministratorsOnly


class ReadOnly(AdministratorsOnly):
    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Failure)
class FailureAdmin(ReadOnly):
    list_display = ("name", "func", "started", "stopped", "attempt_count")
    search_fields = ("name", "func")
    fields = ("name", "func", "args", "started", "stopped", "attempt_count", "result")
    ordering = ("-stopped",)

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).filter(success=False)


@admin.register(Success)
class SuccessAdmin(ReadOnly):
    list_display = ("name", "func", "started", "stopped")
    search_fields = ("name", "func")
    fields = ("name", "func", "args", "started", "stopped")
    ordering = ("-stopped",)

    def get_queryset(self, request: HttpRequest) -> Rows:
        return super().get_queryset(request).filter(success=True)


@admin.register(Schedule)
class ScheduleAdmin(ReadOnly):
    list_display = ("name", "func", "how_often", "next_time")
    fields = ("name", "func", "how_often", "next_time")
    ordering = ("name",)

    @admin.display(description="How often")
    def how_often(self, row: Schedule) -> str:
        if row.schedule_type == Schedule.MINUTES:
            return "every minute" if row.minutes == 1 else f"every {row.minutes} minutes"
        return str(row.get_schedule_type_display()).lower()

    @admin.display(description="Next time", ordering="next_run")
    def next_time(self, row: Schedule) -> SafeString:
        return when(row.next_run)


@admin.register(OrmQ)
class WaitingTaskAdmin(ReadOnly):
    list_display = ("id", "name", "func", "lock")
    fields = ("key", "lock")
    ordering = ("lock",)
