"""Forms about people."""

from typing import Any

from django import forms

from accounts.models import User


class SignupForm(forms.Form):
    """What allauth's sign-up asks beside address and password."""

    name = forms.CharField(max_length=150, label="Your name")
    affiliation = forms.CharField(max_length=200, required=False, label="Institution or group")

    def signup(self, request: Any, user: Any) -> None:
        user.name = self.cleaned_data["name"]
        user.affiliation = self.cleaned_data["affiliation"]
        user.save(update_fields=["name", "affiliation"])


class ProfileForm(forms.ModelForm):
    """What a person says of themselves; the address is changed elsewhere, since it must be confirmed."""

    class Meta:
        model = User
        fields = ("name", "affiliation")
        labels = {"name": "Your name", "affiliation": "Institution or group"}
