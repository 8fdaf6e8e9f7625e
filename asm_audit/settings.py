"""Settings of asm_audit. Everything that differs between machines is an environment variable; `./dev` sets them all
for a private stack, docs/deployment.md lists them for a server."""

import os
from pathlib import Path

# Guards of the libraries that open files: set before GDAL is loaded, in every process (docs/security.md).
os.environ.setdefault("CPL_VSIL_CURL_ALLOWED_EXTENSIONS", ".none")
os.environ.setdefault("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
os.environ.setdefault("GDAL_HTTP_MAX_RETRY", "0")
os.environ.setdefault("VRT_SHARED_SOURCE", "0")
# Several processes share the cores: threads of the matrix library would only spin against each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.pop("PROJ_LIB", None)  # a stray PROJ database would shadow the wheel's
os.environ.pop("PROJ_DATA", None)

import rasterio
from csp.constants import NONCE, NONE, SELF
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from kombu import Queue

from asm_audit import environment as env

BASE_DIR = Path(__file__).resolve().parent.parent

_wheel_libraries = Path(rasterio.__file__).parent.parent / "rasterio.libs"
GDAL_LIBRARY_PATH = str(next(_wheel_libraries.glob("libgdal*.so*")))
GEOS_LIBRARY_PATH = str(next(_wheel_libraries.glob("libgeos_c*.so*")))

SECRET_KEY = env.text("SECRET_KEY")
DEBUG = env.flag("DEBUG", False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "127.0.0.1,localhost")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

# Whether people reach the site over TLS; only the local demonstration and the tests switch it off.
HTTPS = env.flag("HTTPS", True)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.contrib.gis",
    "axes",
    "csp",
    "django_htmx",
    "leaflet",
    "labels",
    "predictions",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "labels.login.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "asm_audit.urls"
WSGI_APPLICATION = "asm_audit.wsgi.application"

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
                "django.template.context_processors.i18n",
                "csp.context_processors.nonce",
                "labels.views.context.project",
            ]
        },
    }
]

# PostgreSQL with PostGIS: DATABASE_HOST is a socket folder or a host name.
DATABASES = {
    "default": {
        "ENGINE": "django.contrib.gis.db.backends.postgis",
        "NAME": env.text("DATABASE_NAME", "asm_audit"),
        "USER": env.text("DATABASE_USER", "asm_audit"),
        "PASSWORD": env.text("DATABASE_PASSWORD", ""),
        "HOST": env.text("DATABASE_HOST", ""),
        "PORT": env.text("DATABASE_PORT", ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        # No just-in-time compilation: it took 10 of 11 s of a report that runs in 0.1 s, and never helped a page.
        "OPTIONS": {"options": "-c jit=off"},
        "TEST": {"NAME": env.text("TEST_DATABASE_NAME", "asm_audit_test")},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Redis carries Celery messages only: every job's truth is a row in PostgreSQL.
REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A message that cannot be sent must not hold a page: beat sends the job again within 30 s.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 6 * 3600,
    "socket_connect_timeout": 2,
    "max_retries": 1,
    "interval_start": 0,
    "interval_max": 0.2,
}
CELERY_TASK_PUBLISH_RETRY = False
# A worker takes from both in turn, unless told otherwise with -Q.
CELERY_TASK_DEFAULT_QUEUE = "celery"
SLOW_QUEUE = "slow"
CELERY_TASK_QUEUES = [Queue(CELERY_TASK_DEFAULT_QUEUE), Queue(SLOW_QUEUE)]
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False  # LOGGING below holds for workers too
CELERY_BEAT_SCHEDULE = {
    "resend-silent-jobs": {"task": "labels.tasks.resend_silent_jobs", "schedule": 30.0},
    "clear-kept-tiles": {"task": "labels.tasks.clear_kept_tiles", "schedule": 3600.0, "options": {"expires": 3000}},
    "retrain-where-due": {"task": "predictions.tasks.retrain_where_due", "schedule": 60.0, "options": {"expires": 55}},
}

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = reverse_lazy("login")
LOGIN_REDIRECT_URL = reverse_lazy("labels:projects")
LOGOUT_REDIRECT_URL = reverse_lazy("login")

# Lock-out: five wrong passwords for one name from one address, or twenty for one name from anywhere.
AXES_FAILURE_LIMIT = "labels.access.login_failure_limit"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"], "username"]
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"
AXES_ENABLE_ACCESS_FAILURE_LOG = True
AXES_IPWARE_PROXY_COUNT = env.number("TRUSTED_PROXIES", 0)
AXES_VERBOSE = False

SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_SECURE = HTTPS
CSRF_COOKIE_HTTPONLY = True  # scripts read the token from the page, not from the cookie
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrf"
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.flag("BEHIND_PROXY", False) else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("fr", _("French")), ("pt", _("Portuguese"))]
LOCALE_PATHS = [BASE_DIR / "asm_audit" / "locale"]
FORMAT_MODULE_PATH = ["asm_audit.formats"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_COOKIE_SECURE = HTTPS
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env.text("STATIC_ROOT", str(BASE_DIR / "staticfiles"))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "whitenoise.storage.CompressedManifestStaticFilesStorage"
        )
    },
}

# Uploads, prepared imagery and releases. Never served by path: only views that ask labels.access read it.
MEDIA_ROOT = env.text("MEDIA_ROOT", str(BASE_DIR / "media"))
# Where an operator puts pictures for the admins of a project to register: in a folder of the project's short name.
IMAGERY_FOLDER = env.text("IMAGERY_FOLDER", "")
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700
# Largest register a person may upload in the browser, and the largest image (bytes).
UPLOAD_LIMIT_REGISTER = env.number("UPLOAD_LIMIT_REGISTER", 200 * 1024 * 1024)
UPLOAD_LIMIT_IMAGERY = env.number("UPLOAD_LIMIT_IMAGERY", 4 * 1024 * 1024 * 1024)
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

# Providers of imagery are asked at public https addresses only; these host:port entries may also be asked without
# TLS, at another port or in a network of our own (the demonstration's provider is one).
IMAGERY_ALLOWED_HOSTS = env.words("IMAGERY_ALLOWED_HOSTS")
# How much disk their tiles may fill (bytes), and for how many days they are kept.
PROVIDER_CACHE_BYTES = env.number("PROVIDER_CACHE_BYTES", 5 * 1024 * 1024 * 1024)
PROVIDER_CACHE_DAYS = env.number("PROVIDER_CACHE_DAYS", 30)
# Threads of one web process that may wait for providers at the same time: fewer than it has.
PROVIDER_THREADS = env.number("PROVIDER_THREADS", 3)

# How long a unit stays with the annotator it was handed to (seconds).
LEASE_S = env.number("LEASE_S", 600)
# Seconds without a heartbeat after which a running job is sent again.
JOB_SILENCE_S = env.number("JOB_SILENCE_S", 90)
# Seconds that a chunk of features stays with the worker that took it, which puts them off while it works.
CHUNK_LEASE_S = env.number("CHUNK_LEASE_S", 60)

LEAFLET_CONFIG = {"TILES": [], "ATTRIBUTION_PREFIX": "", "SCALE": None, "MINIMAP": False, "RESET_VIEW": False}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "asm_audit.logs.Discreet",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"axes": {"level": "WARNING"}, "numexpr": {"level": "WARNING"}},  # both greet at every start
    "root": {"handlers": ["console"], "level": env.text("LOG_LEVEL", "INFO")},
}
