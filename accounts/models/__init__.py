from .membership import Membership, Role, Status
from .user import User

__all__ = ["Membership", "Role", "Status", "User"]
