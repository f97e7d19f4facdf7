"""Forms about people."""

from typing import Any

from allauth.core import context
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

from accounts.addresses import BadAddress, normalised, searched
from accounts.models import User

#: Others read it in lists and mails: no line break that begins another header, no sign that turns the text around it.
ONE_LINE = RegexValidator(
    r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", "Please enter a single line of text.", inverse_match=True
)


#: In the session: how the roster calls whoever has opened an invitation and goes on to make an account.
INVITED_NAME = "invited_name"


class AddressField(forms.EmailField):
    """An e-mail address, brought into its normal form; an error names the sign that is wrong.

    `is_known`: it is only looked up, so an account of long ago is found by whatever address it has.
    """

    def __init__(self, *, is_known: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_known = is_known

    def to_python(self, value: Any) -> str:
        text = str(value or "")
        if not text.strip():
            return ""
        try:
            return searched(text) if self.is_known else normalised(text)
        except BadAddress as problem:
            raise ValidationError(str(problem), code="address") from problem


class SignupForm(forms.Form):
    """What allauth's sign-up asks beside address and password."""

    name = forms.CharField(max_length=150, label="Your name", validators=[ONE_LINE])
    affiliation = forms.CharField(max_length=200, required=False, label="Institution or group", validators=[ONE_LINE])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        request = context.request
        if request and hasattr(request, "session"):
            self.fields["name"].initial = request.session.get(INVITED_NAME, "")

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
        help_texts = {"affiliation": ""}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.validators.append(ONE_LINE)


class DeletionForm(forms.Form):
    """The last question before an account is deleted."""

    address = forms.CharField(max_length=254, label="Type your e-mail address to confirm")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_address(self) -> str:
        address = searched(str(self.cleaned_data["address"]))
        if address != self.user.email:
            raise forms.ValidationError("This is not your account's e-mail address.")
        return address
