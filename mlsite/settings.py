"""The settings of the site. Every option comes from the environment; docs/operators.md, section Settings, lists them."""

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL

from . import env, mail_settings, sign_in_settings
from .console_settings import UNFOLD as UNFOLD

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.flag("DEBUG")
SECRET_KEY = env.text("SECRET_KEY", "only-for-debug" if DEBUG else None)
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
SITE_URL = env.address(env.text("SITE_URL", "http://localhost:8000" if DEBUG else None), "SITE_URL")
ALLOWED_HOSTS = [env.host_of(SITE_URL), *env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if DEBUG else "")]
CSRF_TRUSTED_ORIGINS = [SITE_URL]

#: Tells this site's objects on a cluster from those of another site there. Never change it while anything runs.
SITE_IDENTITY = env.text("SITE_IDENTITY", "mlsite")
#: The namespace, on every cluster, of what is the site's own and no instance's: the lease of its watcher.
SITE_NAMESPACE = env.text("SITE_NAMESPACE", "mlsite")
#: The name in the page head and in mails where no instance gives its own.
SITE_TITLE = env.text("SITE_TITLE", "Labs")
#: Whom people ask who do not know whom to ask: a link to an address or a page, at the foot of pages and on those of errors.
CONTACT = env.contact(env.text("CONTACT", ""), "CONTACT")
#: Whether labs may run on the embedded cluster, as processes of this machine.
EMBEDDED_CLUSTER = DEBUG
#: The kubeconfig files by which the site may connect to clusters, by the names that the console offers.
KUBECONFIG_FILES = env.files(env.text("KUBECONFIG_FILES", ""), "KUBECONFIG_FILES")
#: Minutes after which a workload that never answered is given up.
START_DEADLINE_MINUTES = env.number("START_DEADLINE_MINUTES", 15)
#: The most labs that wait for room at the same time in one instance: of one person, and of all.
QUEUE_PER_PERSON = env.number("QUEUE_PER_PERSON", 10)
QUEUE_PER_INSTANCE = env.number("QUEUE_PER_INSTANCE", 500)
#: Beside these, the most that wait because they were started for a class.
QUEUE_FOR_CLASSES = env.number("QUEUE_FOR_CLASSES", 1000)
#: The most host names of labs that are one person's. A host stays its owner's for good (`labs.models.Host`).
HOSTS_PER_PERSON = env.number("HOSTS_PER_PERSON", 200)
#: How often in an hour a person may do what leaves lines in the history, or takes work; 0: as often as they like.
RATE_LIMITS = env.numbers(
    "RATE_LIMITS", {"launch": 60, "extend": 60, "stop": 120, "key": 60, "ask": 20, "leave": 20, "upload": 60}
)
#: Size of a lab's home folder and of /data, in GiB; both live as long as the lab.
HOME_GIB = env.number("HOME_GIB", 5)
SCRATCH_GIB = env.number("SCRATCH_GIB", 10)
#: What clones a repository before the lab starts.
GIT_IMAGE = env.text("GIT_IMAGE", "alpine/git:2.45.2")

INSTALLED_APPS = [
    "mlsite.apps.SiteConfig",
    "accounts.apps.AccountsConfig",
    "labs.apps.LabsConfig",
    # Not plain "unfold", which would put a site of its own in the place of ours.
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "mlsite.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "allauth.usersessions",
    "django_include_bootstrap",
    "django_htmx",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "django_q",
    "anymail",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "mlsite.middleware.few_cookies",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "mlsite.middleware.plain_text",
    "mlsite.middleware.private_pages",
    "mlsite.middleware.whole_pages",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.SignInRules",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "mlsite.urls"
WSGI_APPLICATION = "mlsite.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mlsite.context.site",
            ],
        },
    },
]

# Data base -----------------------------------------------------------------------------------------------------------
DATABASES = {
    "default": env.database(
        env.text("DATABASE_URL", f"sqlite:///{BASE_DIR}/.run/site.sqlite3" if DEBUG else None), "DATABASE_URL"
    )
}
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Several processes write: readers must not block the writer, and a transaction that will write says so at its start.
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=30000;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Queue: a dispatcher only; what it loses, the minute sweep finds again ---------------------------------------------------
Q_CLUSTER = {
    "name": SITE_IDENTITY,
    "orm": "default",
    "workers": env.number("WORKERS", 2),
    "timeout": 50,
    "retry": 60,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": 50,
    "poll": 0.2,
    "queue_limit": 50,
    "bulk": 5,
    "label": "Queue",
}

# People ----------------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_SIGNUP_FORM_CLASS = "accounts.forms.SignupForm"
ACCOUNT_FORMS = {
    "login": "accounts.sign_in_forms.SignInForm",
    "signup": "accounts.sign_in_forms.SignUpForm",
    "add_email": "accounts.sign_in_forms.AddAddressForm",
    "reset_password": "accounts.sign_in_forms.ResetPasswordForm",
}
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none" if DEBUG else "mandatory"
# A code is typed into the browser that asked for it; a link in a mail would let a stranger confirm what somebody else began.
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = not DEBUG
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_TIMEOUT = ACCOUNT_LOGIN_TIMEOUT = 20 * 60
ACCOUNT_MAX_EMAIL_ADDRESSES = 5
ACCOUNT_EMAIL_NOTIFICATIONS = not DEBUG
# What would let somebody else in later asks for the password, or the second factor, once more.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 10 * 60
# A whole class may come from one address at once; the tries at one account are few wherever they come from.
ACCOUNT_RATE_LIMITS = {
    "login": "300/m/ip",
    # The key is the address with the network from which it is tried; in all: from everywhere together, but browsers that are known.
    "login_failed": "100/m/ip,10/5m/key",
    "login_failed_in_all": "200/h/key",
    "signup": "100/m/ip",
    "reset_password": "30/m/ip,5/h/key",
    "reset_password_from_key": "30/m/ip",
    "reauthenticate": "10/5m/user",
}
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = None
#: Whether people may sign in with e-mail and password; else only with a provider, or a passkey.
PASSWORD_SIGN_IN = env.flag("PASSWORD_SIGN_IN", default=True)
#: Who may make an account: everybody, who comes from a provider, or nobody.
SIGN_UP = env.choice("SIGN_UP", ("everybody", "providers", "nobody"))
#: Who must have a second factor before console, staff pages and JSON interface open: off (nobody), or managers (who runs something).
REQUIRE_TWO_FACTOR = env.choice("REQUIRE_TWO_FACTOR", ("off", "managers"))
SOCIALACCOUNT_PROVIDERS = sign_in_settings.providers(allow_http=DEBUG)
if sign_in_settings.GITHUB in SOCIALACCOUNT_PROVIDERS:
    INSTALLED_APPS.append("allauth.socialaccount.providers.github")
SOCIALACCOUNT_ADAPTER = "accounts.adapter.SocialAccountAdapter"
SOCIALACCOUNT_FORMS = {
    "disconnect": "accounts.sign_in_forms.UnlinkForm",
    "signup": "accounts.sign_in_forms.ProviderSignUpForm",
}
# Who somebody is, is provider and subject. An address never signs anybody in to an account, and links none.
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = False
SOCIALACCOUNT_LOGIN_ON_GET = False
SOCIALACCOUNT_STORE_TOKENS = False
MFA_ADAPTER = "accounts.adapter.SecondFactorAdapter"
MFA_FORMS = {
    "authenticate": "accounts.sign_in_forms.SecondFactorForm",
    "reauthenticate": "accounts.sign_in_forms.SecondFactorAgainForm",
    "activate_totp": "accounts.sign_in_forms.ActivateAppForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = SITE_TITLE
MFA_TOTP_TOLERANCE = 1
# Browsers take passkeys on localhost without https.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = MFA_ALLOW_UNVERIFIED_EMAIL = DEBUG
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
#: The largest roster that is read: of the file in MiB, and in lines.
ROSTER_MAX_MB = env.number("ROSTER_MAX_MB", 10)
ROSTER_MAX_LINES = env.number("ROSTER_MAX_LINES", 20_000)
#: How long the link of an invitation is good.
INVITATION_DAYS = env.number("INVITATION_DAYS", 14)
#: How long mails that were sent or given up are kept in their list.
MAIL_KEEP_DAYS = env.number("MAIL_KEEP_DAYS", 90)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("DEFAULT_FROM_EMAIL", "labs@localhost")
_MAIL = mail_settings.read(debug=DEBUG, folder=BASE_DIR / ".run" / "mail")
MAIL_FOLDER: str = _MAIL["MAIL_FOLDER"]
ANYMAIL: dict[str, Any] = _MAIL["ANYMAIL"]
globals().update(_MAIL)
# allauth's rate limits count in the cache, which all processes must share.
# Tries to sign in are counted here. Beyond its number of entries the cache drops some, and whoever tries from many addresses would
# have the count of the others forgotten: Django's 300 are far too few.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "mlsite_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# Security --------------------------------------------------------------------------------------------------------------
SECURE_SSL_REDIRECT = not DEBUG and SITE_URL.startswith("https://") and env.flag("SECURE_SSL_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
if env.flag("BEHIND_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # Tries to sign in are counted by the address that the proxy saw; else one person could shut out all others.
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
SECURE_HSTS_SECONDS = env.number("SECURE_HSTS_SECONDS", 0 if DEBUG else 31_536_000)
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_URL.startswith("https://")
# A browser takes a cookie with this prefix from this very host only. Labs are neighbours by name, and their people write
# their pages: without it, a lab could plant a session of its owner's in the browser of somebody else.
_HOST_ONLY = "__Host-" if SESSION_COOKIE_SECURE else ""
SESSION_COOKIE_NAME = f"{_HOST_ONLY}mlsite_session"
CSRF_COOKIE_NAME = f"{_HOST_ONLY}mlsite_csrf"
#: Tells a browser in which somebody has signed in before; see `accounts.services.browsers`.
BROWSER_COOKIE_NAME = f"{_HOST_ONLY}mlsite_browser"
# In the session, so that what is said to one person is shown to nobody else.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# A file that is too large is not kept, not even on its way in.
FILE_UPLOAD_HANDLERS = [
    "accounts.uploads.NoLargerThanARoster",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}
#: The console's pages bring Alpine, which evaluates expressions; no inline script, style or handler.
CONSOLE_CONTENT_SECURITY_POLICY = {
    **CONTENT_SECURITY_POLICY["DIRECTIVES"],
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF],
}

# Pages -----------------------------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = ["mlsite.formats"]
TIME_ZONE = env.zone(env.text("TIME_ZONE", "UTC"), "TIME_ZONE")
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = Path(env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["labs.api.permissions.SignedIn"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["labs.api.parsers.JSON"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 100,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "labs.api.errors.answer",
}
SPECTACULAR_SETTINGS = {"TITLE": SITE_TITLE, "VERSION": "1", "SERVE_INCLUDE_SCHEMA": False}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "mlsite.logs.Line", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "filters": {
        "no links": {"()": "mlsite.logs.NoLinks"},
        "no refused forms": {"()": "mlsite.logs.NoRefusedForms"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["no links", "no refused forms"]}
    },
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
    "loggers": {
        # Django's own handlers would write each line a second time, and not through the formatter.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django-q": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "WARNING"), "propagate": False},
    },
}
