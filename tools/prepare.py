"""Bring the data base of `make run` up to date and load the demo; prints how to sign in.

One process for all of it, because each start of Django takes a second.
"""

import sys

import django
from django.core.exceptions import ImproperlyConfigured


def main(lab_port: str) -> None:
    django.setup()
    from django.core.management import call_command

    from labs.management.commands.demo import PASSWORD, PEOPLE

    call_command("migrate", verbosity=0, interactive=False)
    call_command("createcachetable", verbosity=0)
    call_command("demo", ingress_port=int(lab_port), verbosity=0)
    sys.stdout.write(f"{' '.join(PEOPLE)}\n{PASSWORD}\n")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except ImproperlyConfigured as error:
        sys.exit(f"mlsite: {error}")
