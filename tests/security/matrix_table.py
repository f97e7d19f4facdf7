"""What every address of the site answers to whom: a row for each group of addresses that answer alike.

A row is the answer to GET, the answer to POST, and the names of the addresses. An answer has a letter for each of ROLES, in their order:

    o  here it is (2xx)            r  sent on to another page      b  not understood (400): allowed, and the form was empty
    s  sent to sign in             x  refused (403)                m  missing (404): there is no such thing, for this person
    n  not by this method (405)    u  the sign-in failed (401)

The object is one of "Mine", an instance that is not listed, in which the other owner has no part; the lab is the member's.
`a_{b,c}` stands for two names. An address without a name stands with its route.
"""

from __future__ import annotations

ROLES = ("anonymous", "signed in", "requested", "member", "staff", "owner", "other owner", "suspended", "administrator")

ROWS: list[tuple[str, str, str]] = [
    # Pages ---------------------------------------------------------------------------------------------------------
    ("ooooooooo", "nnnnnnnnn", "home about healthz"),
    ("soooooooo", "srrrrrrrr", "profile"),
    ("mmmmmmmmm", "mmmmmmmmm", "mailgun-notices"),
    ("mmoooomoo", "nnnnnnnnn", "instance instance-theme"),
    ("snnnnnnnn", "smrrrrmrr", "request-access leave"),
    ("smrooomrr", "smrbbbmrr", "launch"),
    ("smrooomrr", "smrnnnmrr", "launch-name launch-meters"),
    ("soooooooo", "snnnnnnnn", "labs labs-changes history"),
    ("smmooommo", "snnnnnnnn", "lab lab-live lab-log"),
    ("snnnnnnnn", "smmrrrmmr", "lab-stop lab-token"),
    ("snnnnnnnn", "smmbbbmmb", "lab-extend"),
    # Accounts ------------------------------------------------------------------------------------------------------
    ("orrrrrrrr", "orrrrrrrr", "account_login account_signup"),
    ("roooooooo", "rrrrrrrrr", "account_logout"),
    (
        "ooooooooo",
        "nnnnnnnnn",
        """
        account_inactive account_email_verification_sent account_reset_password_from_key_done
        account_reset_password_done
    """,
    ),
    ("soooooooo", "soooooooo", "account_reauthenticate account_change_password"),
    ("soooooooo", "srrrrrrrr", "account_email"),
    ("srrrrrrrr", "srrrrrrrr", "account_set_password account_confirm_login_code"),
    ("ooooooooo", "ooooooooo", "account_reset_password account_reset_password_from_key"),
    ("ooooooooo", "mmmmmmmmm", "account_confirm_email"),
    # People of an instance: for its staff and owners ------------------------------------------------------------------
    ("smmmoommo", "nnnnnnnnn", "people roster-csv roster-xlsx members-csv classes class-run"),
    ("nnnnnnnnn", "smmmrrmmr", "people-change class-start class-stop class-remove"),
    ("smmmoommo", "smmmbbmmb", "roster-import class-prepare"),
    # An upload is of whoever made it, here the owner.
    ("smmmmommm", "smmmmrmmm", "roster-preview"),
    ("rrrrrrrrr", "rrrrrrrrr", "invitation-remembered"),
    ("mmmmmmmmm", "mmmmmmmmm", "invitation"),
    # One's own account, and ways to sign in ---------------------------------------------------------------------------
    ("soooooooo", "snnnnnnnn", "profile-data sign-in-again mfa_index mfa_list_webauthn"),
    ("soooooooo", "srrrrrrrr", "profile-delete usersessions_list"),
    ("snnnnnnnn", "srrrrrrrr", "sign-out-everywhere"),
    (
        "srrrrrrrr",
        "srrrrrrrr",
        """
        mfa_{authenticate,reauthenticate,activate_totp,generate_recovery_codes,add_webauthn,reauthenticate_webauthn}
        mfa_{remove_webauthn,edit_webauthn,login_webauthn}
    """,
    ),
    ("smmmmmmmm", "smmmmmmmm", "mfa_{deactivate_totp,download_recovery_codes}"),
    ("smmmmmmmm", "snnnnnnnn", "mfa_view_recovery_codes"),
    ("soooooooo", "soooooooo", "socialaccount_connections"),
    ("sssssssss", "sssssssss", "socialaccount_signup"),
    ("ooooooooo", "nnnnnnnnn", "socialaccount_login_cancelled"),
    ("uuuuuuuuu", "nnnnnnnnn", "socialaccount_login_error"),
    ("rrrrrrrrr", "rrrrrrrrr", "accounts/social/{login/cancelled/,login/error/,signup/,connections/}"),
    ("mmmmmmmmm", "mmmmmmmmm", "openid_connect_login"),
    ("mrrrrrrrr", "mrrrrrrrr", "openid_connect_callback"),
    # The JSON interface --------------------------------------------------------------------------------------------
    ("xoooooooo", "xnnnnnnnn", "api-instances"),
    ("xoooooooo", "xbbbbbbbb", "api-labs"),
    ("xmmooommo", "xnnnnnnnn", "api-lab"),
    ("xnnnnnnnn", "xmmooommo", "api-lab-stop"),
    ("xnnnnnnnn", "xbbbbbbbb", "api-lab-extend"),
    ("ooooooooo", "nnnnnnnnn", "api-schema"),
    # The console ---------------------------------------------------------------------------------------------------
    (
        "sxxxoooxo",
        "sxxxoooxo",
        """
        admin:search admin:index admin:labs_{event,quota,instance,lab}_changelist admin:accounts_membership_changelist
    """,
    ),
    ("srrrrrrrr", "srrrrrrrr", "admin:login"),
    (
        "sxxxrrrxr",
        "sxxxrrrxr",
        """
        admin:logout admin:app_list console/labs/{cluster,event,quota,instance,lab,servicetemplate}/<path:object_id>/
        console/django_q/{failure,success,schedule,ormq}/<path:object_id>/
        console/accounts/{letter,mail,membership,user,mailtemplate}/<path:object_id>/
    """,
    ),
    ("sxxxxxxxx", "sxxxnnnxn", "admin:autocomplete"),
    ("sxxxoooxo", "sxxxnnnxn", "admin:jsi18n admin:labs_{event,lab}_export admin:accounts_membership_export"),
    ("sxxxxxmxo", "sxxxxxmxo", "admin:labs_cluster_{test_connection,change}"),
    (
        "sxxxxxxxo",
        "sxxxxxxxo",
        """
        admin:labs_{cluster,servicetemplate}_changelist admin:django_q_{failure,success,schedule,ormq}_changelist
        admin:accounts_user_changelist admin:labs_{cluster,instance}_add admin:accounts_{membership,user}_add
    """,
    ),
    ("sxxxxxmxm", "sxxxxxmxm", "admin:labs_cluster_history"),
    # That of the matrix is in use, and its page says so.
    ("sxxxxxmxr", "sxxxxxmxr", "admin:labs_cluster_delete"),
    (
        "sxxxxxmxx",
        "sxxxxxmxx",
        """
        admin:labs_{event,instance,lab}_delete admin:accounts_{membership,user}_delete
    """,
    ),
    (
        "sxxxxxxxx",
        "sxxxxxxxx",
        """
        admin:labs_{event,lab,servicetemplate}_add admin:django_q_{failure,success,schedule,ormq}_add
        admin:accounts_mail_add admin:labs_servicetemplate_delete
    """,
    ),
    (
        "sxxxmmmxm",
        "sxxxmmmxm",
        """
        console/<url> admin:labs_event_history admin:django_q_{failure,success,schedule,ormq}_history
        admin:accounts_{letter,mail,mailtemplate}_history
    """,
    ),
    ("sxxxoomxo", "sxxxxxmxx", "admin:labs_{event,lab}_change"),
    (
        "sxxxxooxo",
        "sxxxxooxo",
        """
        admin:labs_quota_add admin:accounts_mailtemplate_add admin:accounts_{letter,mail,mailtemplate}_changelist
    """,
    ),
    ("sxxxrrmxr", "sxxxrrmxr", "admin:labs_{quota,instance,lab}_history admin:accounts_membership_history"),
    (
        "sxxxxomxo",
        "sxxxxrmxr",
        """
        admin:labs_quota_delete admin:labs_instance_archive admin:accounts_membership_remove
    """,
    ),
    ("sxxxoomxo", "sxxxxrmxr", "admin:labs_quota_change"),
    ("sxxxoomxo", "sxxxxomxo", "admin:labs_instance_change admin:accounts_membership_change"),
    ("sxxxoomxo", "sxxxoomxo", "admin:labs_lab_log"),
    ("sxxxoomxo", "sxxxrrmxr", "admin:labs_lab_stop admin:accounts_membership_{approve,deny,suspend,reinstate}"),
    ("sxxxmmmxx", "sxxxmmmxx", "admin:django_q_{failure,success,schedule,ormq}_delete"),
    ("sxxxmmmxo", "sxxxmmmxx", "admin:django_q_{failure,success,schedule,ormq}_change"),
    ("sxxxxxxxm", "sxxxxxxxm", "admin:labs_servicetemplate_history"),
    ("sxxxxxxxo", "sxxxxxxxr", "admin:labs_servicetemplate_change"),
    ("sxxxxooxo", "sxxxxbbxo", "admin:accounts_letter_add"),
    ("sxxxmxmxx", "sxxxmxmxx", "admin:accounts_{letter,mail}_delete"),
    ("sxxxmomxo", "sxxxmxmxx", "admin:accounts_{letter,mail}_change"),
    ("sxxxmomxo", "sxxxmrmxr", "admin:accounts_mail_try_again admin:accounts_mailtemplate_delete"),
    ("sxxxxxmxr", "sxxxxxmxr", "admin:accounts_user_history"),
    ("sxxxxxmxo", "sxxxxxmxo", "admin:accounts_user_change"),
    ("sxxxxxxxo", "sxxxxxxxr", "admin:accounts_user_unlink"),
    ("snnnnnnnn", "smrrrrmrr", "seen"),
    ("sxxxnnnxn", "sxxxmmmxm", "admin:accounts_mailtemplate_preview"),
    ("sxxxmomxo", "sxxxmbmxb", "admin:accounts_mailtemplate_change"),
]
