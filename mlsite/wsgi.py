"""The entry point for gunicorn. A wrong setting ends it with one line."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlsite.settings")
#: gunicorn's own code of a worker that cannot begin (gunicorn.arbiter.Arbiter.WORKER_BOOT_ERROR): it starts no other.
CANNOT_BEGIN = 3

try:
    application = get_wsgi_application()
except ImproperlyConfigured as error:
    sys.stderr.write(f"mlsite: {error}\n")
    sys.exit(CANNOT_BEGIN)
