"""The words of other programs' lists: heads of columns, roles, and how somebody is enrolled, in the languages that people use."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from accounts.models import Role
from k8s.resources import LISTED

#: Heads as people write them, small and without signs and spaces; those that say it best come first. "login" and "status" are not
#: kept: a login name with a domain behind it is an address, and a status leaves somebody out.
ALIASES = {
    "email": """email emails mail emailaddress emailaddresses emailadresse emailadressen mailadresse emailadres adressemail
        adresseemail adresseelectronique adressedecourriel courriel correo correoelectronico direcciondecorreo
        direcciondecorreoelectronico adrecaelectronica correuelectronic correio correioeletronico correioelectronico
        enderecodeemail enderecodecorreioeletronico eposta epostadresi epostaadresi epost epostadress epostadresse
        posta indirizzoemail indirizzodiposta contactemail studentemail primaryemail institutionalemail
        universityemail schoolemail workemail emailid sisemail eadresse sahkoposti sahkopostiosoite emailovaadresa
        adresemail adrespocztyelektronicznej emailcim ηλεκτρονικηδιευθυνση διευθυνσηηλεκτρονικουταχυδρομειου
        διευθυνσηηλεκτρονικηςαλληλογραφιας адресэлектроннойпочты электроннаяпочта электроннаяпошта почта
        електроннапошта адресаелектронноїпошти електроннаадреса عنوانالبريدالإلكتروني البريدالإلكتروني
        البريدالالكتروني عنوانالبريدالالكتروني メール メールアドレス eメール
        电子邮件地址 电子邮件 电子邮箱 邮箱 邮件地址 電子郵件 電子郵件地址 이메일 이메일주소""",
    "login": """userprincipalname upn sisloginid loginid login username user userid netid uid uniqname identifier kennung
        benutzername benutzerkennung anmeldename identifiant usuario utente gebruikersnaam kullaniciadi ユーザ名 用户名
        사용자이름""",
    "given": """firstname givenname givennames forename first vorname vornamen prenom prenoms nombre nombres voornaam
        nomeproprio primeironome fornavn fornamn etunimi krestnijmeno jmeno imie keresztnev utonev adı adi ad ονομα
        имя ім'я імя الاسمالأول الاسمالاول الاسم 名""",
    "family": """lastname surname familyname last nachname familienname nomdefamille apellido apellidos cognom cognoms
        cognome achternaam sobrenome apelido apelidos efternavn efternamn etternavn sukunimi prijmeni nazwisko
        vezeteknev csaladnev soyadı soyadi soyad επωνυμο επιθετο фамилия прізвище اسمالعائلة الاسمالأخير الاسمالاخير
        اللقب 姓""",
    "name": """name fullname displayname student studentname studentin participant participantname teilnehmer teilnehmerin
        nom nome vollername nomcomplet nombrecompleto nomecompleto nomecognome naam vollstandigername whatisyourname
        yourname adısoyadı adısoyad adsoyad фио 姓名 氏名 名前 이름 성명""",
    "section": """section sections labsection sektion tutorial tutorium tutorialgroup ubung ubungsgruppe group groups gruppe
        gruppen groupe groupes grup grups grupo grupos gruppo gruppi groep groepen grupper grupp ryhma ryhmat
        skupina skupiny grupa grupy csoport csoportok gruplar ομαδα ομαδες группа группы група групи المجموعات
        المجموعة グループ 小组 群组 组 班级 그룹 class klasse cohort team turma abschnitt seccion sezione""",
    "role": "role roles rolle rollen rol rolename ruolo funktion fonction роль роли 役割 角色 역할",
    "status": """status enrollmentstatus enrolmentstatus enrollmentstate registrationstatus enrollstatus statut estado stato
        anmeldestatus""",
    **{item.name: item.heads for item in LISTED},
}  # fmt: skip
#: What a column can be, in the words of the page; "" is not used.
WORDS = {
    "email": "e-mail", "name": "name", "given": "first name", "family": "last name", "section": "section", "role": "role",
    "status": "status", **{item.name: item.small_title for item in LISTED}, "note": "note",
}  # fmt: skip
#: The site's own words; and those of others, which an owner may want to take otherwise.
ROLES = {
    Role.MEMBER: """member student students learner participant teilnehmer teilnehmerin studierende etudiant etudiante studentin
        studentenrollment auditor audit observer observerenrollment guest guestauditor access""",
    Role.STAFF: """staff ta tas tutor tutorin assistant teachingassistant assistent assistentin hiwi taenrollment grader reader teacher
        noneditingteacher editingteacher teacherenrollment instructor instructors coinstructor lecturer professor
        designer designerenrollment lehrende dozent dozentin maintain manager courseassistant coursebuilder""",
    Role.OWNER: "owner",
}
OWN_ROLES = ("member", "staff", "owner")
#: Statuses of those who are not, or not yet, of the class. Every other status leaves nobody out.
OUT = """dropped drop withdrawn withdrew withdrawal deleted removed cancelled canceled inactive unenrolled disenrolled deregistered
    concluded waitlisted waitlist waiting waitinglist wartend warteliste abgemeldet storniert pending rejected declined failed"""
#: What stands in the place of a name in rows that are no people: of sums, of test students, of the points that can be had. Nothing
#: that somebody may be called, as Max and Min are.
NOBODY = """pointspossible studenttest teststudent total totals average median maximum minimum anzahl summe
    gesamt moyenne overall"""


def normal(head: str) -> str:
    """A head without capitals, accents, signs and spaces, and without a remark in brackets."""
    return _normal(head[:200])


@lru_cache(maxsize=4096)
def _normal(head: str) -> str:
    head = _without_brackets(head)
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", head) if not unicodedata.combining(letter))
    # NFKD takes syllables of Hangul and voiced kana apart; put together again, they are as they stand in the table above.
    return unicodedata.normalize("NFC", re.sub(r"[\W_]+", "", plain.lower()))


def _without_brackets(head: str) -> str:
    """Brackets and what they hold are taken out, but when nothing else is there."""
    kept, depth = "", 0
    for sign in head:
        if sign in "([":
            depth += 1
        elif sign in ")]":
            depth = max(depth - 1, 0)
        elif not depth:
            kept += sign
    return kept if kept.strip() and not depth else head


def _table(aliases: dict[str, str]) -> dict[str, str]:
    return {normal(alias): key for key, words in aliases.items() for alias in words.split()}


KNOWN = _table(ALIASES)
#: How well a head says what it is: the place of its word among the aliases.
RANK = {normal(alias): place for words in ALIASES.values() for place, alias in enumerate(words.split())}
ROLE_WORDS = {word: str(role.value) for role, words in ROLES.items() for word in map(normal, words.split())}
OUT_WORDS = {normal(word) for word in OUT.split()}
NOBODY_WORDS = {normal(word) for word in NOBODY.split()}


def role_of(text: str) -> str:
    """The role that a cell means, the highest of several; "" where none of its words is known."""
    if found := ROLE_WORDS.get(normal(text)):
        return found
    ranks = [OWN_ROLES.index(ROLE_WORDS[word]) for part in text.split(",") if (word := normal(part)) in ROLE_WORDS]
    return OWN_ROLES[max(ranks)] if ranks else ""


def is_own_role(text: str) -> bool:
    """Whether a cell says a role in the site's own words: these are taken at their word, also where that is refused."""
    return normal(text) in OWN_ROLES


def is_nobody(name: str) -> bool:
    """Whether the row is one of sums or of a test student: “Total: 2”, “Student, Test”."""
    return normal(name).strip("0123456789") in NOBODY_WORDS
