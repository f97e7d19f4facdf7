"""A program of its own that tries to sign in: python -m tests.support.knocking ADDRESS TIMES. Prints how often it was told to wait."""

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")

import django

django.setup()

from django.test import Client


def main(address: str, times: str) -> None:
    client = Client(headers={"host": "localhost"})
    tries = [client.post("/accounts/login/", {"login": address, "password": f"guess {n}"}) for n in range(int(times))]
    print(sum("Too many attempts" in answer.text or answer.status_code == 429 for answer in tries))


if __name__ == "__main__":
    main(*sys.argv[1:])
