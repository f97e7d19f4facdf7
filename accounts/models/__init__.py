from accounts.roles import Role, Status

from .mail import Letter, Mail, MailKind, MailNotice, MailState, MailTemplate
from .membership import Membership
from .rate import Rate
from .roster import RosterEntry, RosterUpload, UploadState
from .user import User

__all__ = [
    "Letter",
    "Mail",
    "MailKind",
    "MailNotice",
    "MailState",
    "MailTemplate",
    "Membership",
    "Rate",
    "Role",
    "RosterEntry",
    "RosterUpload",
    "Status",
    "UploadState",
    "User",
]
