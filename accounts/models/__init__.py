from .mail import Mail, MailKind, MailState
from .membership import Membership, Role, Status
from .roster import RosterEntry
from .user import User

__all__ = ["Mail", "MailKind", "MailState", "Membership", "Role", "RosterEntry", "Status", "User"]
