"""A person. The e-mail address is the identity for sign-in; it is kept in the form of `accounts.addresses`."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from accounts.addresses import BadAddress, normalised, searched


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A person who can sign in; without a password only by an institution's sign-on. Raises BadAddress."""
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=normalised(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> User:
        """A site administrator."""
        return self.create_user(email, password, **{**fields, "is_superuser": True})

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email=searched(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField(
        "e-mail", unique=True, error_messages={"unique": "There is already an account with this address."}
    )
    name = models.CharField(max_length=150, blank=True, help_text="The name that others see.")
    affiliation = models.CharField(max_length=200, blank=True, help_text="Institution or group.")
    is_active = models.BooleanField("can sign in", default=True)
    created_at = models.DateTimeField("registered", default=timezone.now, editable=False)
    #: The person has deleted the account, and what they ran is ending; see `accounts.services.deletion`.
    closing_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        ordering = ["email"]
        verbose_name = "person"
        verbose_name_plural = "people"
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique_in_any_case"),
            models.CheckConstraint(condition=models.Q(email=Lower("email")), name="user_email_in_lower_case"),
        ]

    def __str__(self) -> str:
        return self.name or self.email

    def clean(self) -> None:
        super().clean()
        try:
            self.email = normalised(self.email or "") if self._state.adding else self.email.strip().lower()
        except BadAddress as problem:
            raise ValidationError({"email": str(problem)}) from problem

    def save(self, *args: Any, **kwargs: Any) -> None:
        # A row of long ago keeps what it has: another account may have the address in its normal form.
        self.email = normalised(self.email or "") if self._state.adding else self.email.strip().lower()
        super().save(*args, **kwargs)

    @property
    def is_staff(self) -> bool:
        """What Django's admin asks for. Who may enter the console is decided in `mlsite.console`."""
        return self.is_superuser

    @property
    def initials(self) -> str:
        words = (self.name or self.email.split("@")[0].replace(".", " ")).split()
        return "".join(word[0] for word in words[:2]).upper()

    def get_full_name(self) -> str:
        return str(self)

    def get_short_name(self) -> str:
        return str(self).split(" ")[0]
