"""The console: Django's admin, in unfold's clothes, for owners, staff and site administrators."""

from typing import Any

from unfold.sites import UnfoldAdminSite

from labs.models import Instance


class Console(UnfoldAdminSite):
    site_title = "Console"
    site_header = "Console"
    index_title = "Overview"

    def has_permission(self, request: Any) -> bool:
        """Site administrators, and everybody who owns or helps to run an instance."""
        return bool(request.user.is_active and Instance.objects.managed_by(request.user).exists() or request.user.is_superuser)
