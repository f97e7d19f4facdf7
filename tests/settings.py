"""The site's settings for tests. All of them come from the environment, so it is filled before they are read."""

import os

os.environ.update(
    {
        "DEBUG": "on",
        "SECRET_KEY": "tests",
        "SITE_URL": "http://testserver",
        "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    }
)
os.environ["DATABASE_URL"] = os.environ.get("TEST_DATABASE_URL", "sqlite:///:memory:")
os.environ.setdefault("EMAIL_BACKEND", "django.core.mail.backends.locmem.EmailBackend")

from mlsite.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
# Each test client makes the middleware anew; found when asked for, 200 files need not be found a thousand times.
WHITENOISE_AUTOREFRESH = True
