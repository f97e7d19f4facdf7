"""Mail in the console: for owners, with nothing of what mails with a link say; letters asked for twice; words with a preview."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Letter, Mail, MailKind, MailState, MailTemplate, Role, RosterEntry
from labs.models import Instance
from tests.factories import InstanceFactory, LetterFactory, MembershipFactory

from .conftest import Side, World
from .test_queries import queries
from .test_scoping import outcome

LISTS = ("accounts_mail", "accounts_letter", "accounts_mailtemplate")
OUTSIDE = {"anonymous": "sign in", "member": "refused", "suspended": "refused", "staff": "refused"}
PAGES = {
    "accounts_mail": ("change", "delete", "history", "try_again"),
    "accounts_letter": ("change", "delete", "history"),
    "accounts_mailtemplate": ("change", "delete", "history"),
}


def rows(side: Side) -> dict[str, Any]:
    now = timezone.now()
    letter = LetterFactory(instance=side.instance, author=side.owner, subject=f"{side.instance} letter")
    mail = Mail.objects.create(
        key=f"invitation:{side.instance.pk}", kind=MailKind.INVITATION, recipient=side.member.user.email, user=side.member.user,
        instance=side.instance, state=MailState.FAILED, problem="The mail server rejected the address: 550", attempts=1,
        context={"inviter": "something in the context"}, created_at=now,
    )  # fmt: skip
    words = MailTemplate.objects.create(
        instance=side.instance, kind=MailKind.ACCESS_APPROVED, subject=f"{side.instance} subject", body="Hello {name}"
    )
    return {"accounts_mail": mail, "accounts_letter": letter, "accounts_mailtemplate": words}


@pytest.mark.parametrize("role", ["anonymous", "member", "suspended", "staff", "owner", "other owner", "administrator"])
@pytest.mark.parametrize("model", LISTS)
def test_lists_are_for_owners(world: World, role: str, model: str) -> None:
    mine, theirs = rows(world.mine)[model], rows(world.theirs)[model]
    response = world.client(role).get(reverse(f"admin:{model}_changelist"))
    assert outcome(response) == OUTSIDE.get(role, "in")
    if response.status_code == 200:
        shown = {row.pk for row in response.context["cl"].result_list}
        expected = {"owner": {mine.pk}, "other owner": {theirs.pk}, "administrator": {mine.pk, theirs.pk}}
        assert shown == expected[role]


@pytest.mark.parametrize("role", ["staff", "owner"])
@pytest.mark.parametrize(("model", "page"), [(model, page) for model, pages in PAGES.items() for page in pages])
def test_objects_of_others_are_missing(world: World, role: str, model: str, page: str) -> None:
    theirs, mine = rows(world.theirs)[model], rows(world.mine)[model]
    client = world.client(role)
    url = reverse(f"admin:{model}_{page}", args=[theirs.pk])
    for response in (client.get(url), client.post(url, {"post": "yes"})):
        assert outcome(response) == "missing"
    own = client.get(reverse(f"admin:{model}_change", args=[mine.pk]))
    assert outcome(own) == ("missing" if role == "staff" else "in")


def test_staff_here_who_own_elsewhere_see_the_mails_of_elsewhere_only(world: World) -> None:
    mine, theirs = rows(world.mine), rows(world.theirs)
    MembershipFactory(instance=world.theirs.instance, role=Role.OWNER, user=world.people["staff"])
    response = world.client("staff").get(reverse("admin:accounts_mail_changelist"))
    assert list(response.context["cl"].result_list) == [theirs["accounts_mail"]]
    url = reverse("admin:accounts_mail_change", args=[mine["accounts_mail"].pk])
    assert world.client("staff").get(url).status_code == 404


def test_what_a_mail_says_is_not_shown(world: World) -> None:
    mail = rows(world.mine)["accounts_mail"]
    client = world.client("owner")
    for url in (reverse("admin:accounts_mail_changelist"), reverse("admin:accounts_mail_change", args=[mail.pk])):
        text = client.get(url).text
        assert "550" in text
        assert "something in the context" not in text


def test_a_mail_is_sent_again_by_post_only(world: World) -> None:
    mail = rows(world.mine)["accounts_mail"]
    client, url = world.client("owner"), reverse("admin:accounts_mail_try_again", args=[mail.pk])
    assert client.get(url).status_code == 200
    mail.refresh_from_db()
    assert mail.state == MailState.FAILED
    assert client.post(url).status_code == 302
    mail.refresh_from_db()
    assert mail.state == MailState.WAITING


def test_several_are_sent_again_after_a_question(world: World) -> None:
    mail = rows(world.mine)["accounts_mail"]
    client, url = world.client("owner"), reverse("admin:accounts_mail_changelist")
    data = {"action": "try_again_selected", "_selected_action": [str(mail.pk)]}
    assert "Resend this e-mail?" in client.post(url, data).text
    mail.refresh_from_db()
    assert mail.state == MailState.FAILED
    client.post(url, {**data, "confirmed": "yes"})
    mail.refresh_from_db()
    assert mail.state == MailState.WAITING


@pytest.mark.parametrize(
    "lookup",
    ["context__inviter__startswith", "message_id__startswith", "user__password__startswith", "key__startswith"],
)
def test_nothing_is_guessed_by_filtering(world: World, lookup: str) -> None:
    assert world.client("owner").get(reverse("admin:accounts_mail_changelist"), {lookup: "a"}).status_code == 400


def test_200_mails_take_as_many_queries_as_2(world: World) -> None:
    def more(count: int, first: int) -> None:
        for number in range(first, first + count):
            letter = LetterFactory(instance=world.mine.instance)
            Mail.objects.create(
                key=f"{number}", kind=MailKind.LETTER, recipient=f"a{number}@example.org", instance=world.mine.instance,
                user=world.mine.member.user, letter=letter,
            )  # fmt: skip

    client, urls = world.client("owner"), [reverse(f"admin:{name}_changelist") for name in LISTS]
    more(2, 0)
    few = [queries(client, url) for url in urls]
    more(198, 2)
    assert [queries(client, url) for url in urls] == few


# Letters -----------------------------------------------------------------------------------------------------------------

ADD = "/console/accounts/letter/add/"


def letter_form(client: Client, query: str = "") -> dict[str, str]:
    form = client.get(ADD + query).context["form"]
    return {name: str(form[name].value() or "") for name in form.fields}


def test_a_letter_is_asked_for_with_the_number_of_people_before_it_is_sent(world: World) -> None:
    client = world.client("owner")
    data = {**letter_form(client), "subject": "Exercise", "text": "It is due."}
    asked = client.post(ADD, data)
    assert "Send this message to 3 people?" in asked.text
    assert not Letter.objects.exists()
    hidden = {**dict(asked.context["question"].hidden)}
    assert hidden["confirmed"] == "yes"
    for _ in range(2):
        sent = client.post(ADD, hidden)
        assert sent.status_code == 302
    letter = Letter.objects.get()
    assert sent["Location"] == reverse("admin:accounts_letter_change", args=[letter.pk])
    assert Mail.objects.filter(letter=letter).count() == 3
    assert "3 waiting" in client.get(sent["Location"]).text


def test_what_cannot_be_sent_is_said_beside_the_field(world: World) -> None:
    client = world.client("owner")
    data = {**letter_form(client), "subject": "Exercise", "text": " "}
    response = client.post(ADD, data)
    assert response.status_code == 400
    assert response.context["form"].errors["text"]


@pytest.mark.parametrize(("role", "wanted"), [("anonymous", 302), ("member", 403), ("staff", 403), ("owner", 200)])
def test_only_owners_get_to_the_form(world: World, role: str, wanted: int) -> None:
    assert world.client(role).get(ADD).status_code == wanted


def test_a_letter_to_another_instance_is_missing(world: World) -> None:
    for client in (world.client("owner"), world.client("staff")):
        assert client.get(f"{ADD}?instance={world.theirs.instance.pk}").status_code in (403, 404)
    data = {**letter_form(world.client("owner")), "subject": "x", "text": "y", "confirmed": "yes"}
    assert world.client("owner").post(f"{ADD}?instance={world.theirs.instance.pk}", data).status_code == 404
    assert not Letter.objects.exists()


def test_an_owner_of_several_chooses_the_instance_first(world: World) -> None:
    second = InstanceFactory(title="My second")
    MembershipFactory(instance=second, role=Role.OWNER, user=world.people["owner"])
    text = world.client("owner").get(ADD).text
    assert f"?instance={second.pk}" in text
    assert "Theirs" not in text


def test_members_are_chosen_in_their_list(world: World) -> None:
    client, url = world.client("owner"), reverse("admin:accounts_membership_changelist")
    chosen = [str(world.mine.member.pk)]
    response = client.post(url, {"action": "write_to_selected", "_selected_action": chosen})
    assert response.status_code == 302
    data = letter_form(client, "?" + response["Location"].partition("?")[2])
    asked = client.post(response["Location"], {**data, "to": "", "subject": "x", "text": "y"})
    assert "Send this message to 1 person?" in asked.text


def test_sections_of_the_roster_are_offered(world: World) -> None:
    RosterEntry.objects.create(instance=world.mine.instance, email="a@example.org", section="Tuesday")
    RosterEntry.objects.create(instance=world.theirs.instance, email="a@example.org", section="Their Friday")
    text = world.client("owner").get(ADD).text
    assert "Section Tuesday" in text
    assert "Their Friday" not in text


def test_a_letter_with_markup_stays_text_in_the_console(world: World) -> None:
    letter = LetterFactory(instance=world.mine.instance, subject="<b>x</b>", text="<script>alert(1)</script>\n\nline")
    client = world.client("owner")
    for url in (reverse("admin:accounts_letter_changelist"), reverse("admin:accounts_letter_change", args=[letter.pk])):
        text = client.get(url).text
        assert "<script>alert" not in text
        assert "<b>x</b>" not in text


# Words -------------------------------------------------------------------------------------------------------------------

WORDS = "/console/accounts/mailtemplate/"


def words_url(world: World, page: str, kind: str = "access-approved") -> str:
    return f"{WORDS}{page}/?instance={world.mine.instance.pk}&kind={kind}"


def test_words_begin_with_those_of_the_site_and_are_kept(world: World) -> None:
    client = world.client("owner")
    page = client.get(words_url(world, "add"))
    assert "Your request to join {instance} has been approved" in page.context["form"]["body"].value()
    saved = client.post(words_url(world, "add"), {"subject": "Welcome {name}", "body": "Come in.\r\n\r\n{link}"})
    template = MailTemplate.objects.get()
    assert saved["Location"] == reverse("admin:accounts_mailtemplate_change", args=[template.pk])
    assert template.body == "Come in.\n\n{link}"
    assert client.get(words_url(world, "add"))["Location"] == saved["Location"]


def test_unknown_placeholders_are_refused_beside_the_field(world: World) -> None:
    response = world.client("owner").post(words_url(world, "add"), {"subject": "x", "body": "{password}"})
    assert response.status_code == 400
    assert "This e-mail has no placeholder {password}" in response.text
    assert not MailTemplate.objects.exists()


def test_the_preview_shows_the_typed_words_escaped_and_keeps_nothing(world: World) -> None:
    client = world.client("owner")
    data = {"subject": "Welcome <b>{name}</b>", "body": "<script>alert(1)</script> {instance}\n\n{link}"}
    shown = client.post(words_url(world, "preview"), data)
    assert shown.status_code == 200
    assert "&lt;script&gt;" in shown.text
    assert "<script" not in shown.text
    assert shown["Content-Security-Policy"].endswith("sandbox")
    assert shown["X-Frame-Options"] == "SAMEORIGIN"
    assert not MailTemplate.objects.exists()
    assert client.get(words_url(world, "preview")).status_code == 405
    assert client.post(words_url(world, "preview"), {"subject": "x", "body": "{x}"}).status_code == 400


@pytest.mark.parametrize("role", ["anonymous", "member", "staff", "other owner"])
def test_nobody_else_gets_to_the_words(world: World, role: str) -> None:
    for page in ("add", "preview"):
        response = world.client(role).post(words_url(world, page), {"subject": "x", "body": "y"})
        assert outcome(response) in ("sign in", "refused", "missing")
    assert not MailTemplate.objects.exists()


@pytest.mark.parametrize("kind", ["letter", "nothing"])
def test_other_kinds_have_no_words(world: World, kind: str) -> None:
    for page in ("add", "preview"):
        assert (
            world.client("owner").post(words_url(world, page, kind), {"subject": "x", "body": "y"}).status_code == 404
        )


def test_words_are_taken_away_by_post(world: World) -> None:
    template = rows(world.mine)["accounts_mailtemplate"]
    client, url = world.client("owner"), reverse("admin:accounts_mailtemplate_delete", args=[template.pk])
    assert client.get(url).status_code == 200
    assert MailTemplate.objects.exists()
    client.post(url)
    assert not MailTemplate.objects.exists()


def test_a_member_whose_mail_came_back_has_a_flag(world: World) -> None:
    mail = rows(world.mine)["accounts_mail"]
    client, url = world.client("staff"), reverse("admin:accounts_membership_changelist")
    assert "bounced" not in client.get(url).text
    now = timezone.now()
    Mail.objects.filter(pk=mail.pk).update(state=MailState.BOUNCED, bounced_at=now, sent_at=now)
    assert client.get(url).text.count("E-mail to this address bounced on") == 1
    page = reverse("admin:accounts_membership_change", args=[world.mine.member.pk])
    assert "E-mail to this address bounced on" in client.get(page).text


def test_staff_write_where_the_owners_let_them_and_see_no_mails(world: World) -> None:
    client = world.client("staff")
    assert client.get(ADD).status_code == 403
    Instance.objects.filter(pk=world.mine.instance.pk).update(staff_may_write=True)
    page = reverse("admin:labs_instance_change", args=[world.mine.instance.pk])
    assert f"{ADD}?instance={world.mine.instance.pk}" in client.get(page).text
    data = {**letter_form(client), "subject": "Exercise", "text": "It is due."}
    sent = client.post(ADD, {**data, "confirmed": "yes"})
    letter = Letter.objects.get()
    assert (letter.author, letter.author_email) == (world.people["staff"], world.people["staff"].email)
    assert "Recipients" not in client.get(sent["Location"]).text
    assert client.get(reverse("admin:accounts_letter_changelist")).status_code == 200
    assert client.get(reverse("admin:accounts_mail_changelist")).status_code == 403
    assert client.get(f"{ADD}?instance={world.theirs.instance.pk}").status_code == 404
    data = {"action": "write_to_selected", "_selected_action": [world.mine.member.pk]}
    assert ADD in client.post(reverse("admin:accounts_membership_changelist"), data)["Location"]
