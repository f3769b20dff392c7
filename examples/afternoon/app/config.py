"""All settings come from the environment, with defaults that work for local development."""
import os

DATABASE_URL = os.getenv("DATABASE_URL", "postgresql://postgres:postgres@localhost:5432/afternoon")
# SQLAlchemy picks psycopg2 for plain postgresql:// urls, we use psycopg 3
if DATABASE_URL.startswith(("postgresql://", "postgres://")):
    DATABASE_URL = "postgresql+psycopg://" + DATABASE_URL.split("://", 1)[1]

SECRET_KEY = os.getenv("SECRET_KEY", "super-secret-key-change-me-in-production")
STRIPE_API_KEY = os.getenv("STRIPE_API_KEY", "")
STRIPE_WEBHOOK_SECRET = os.getenv("STRIPE_WEBHOOK_SECRET", "")
SMTP_HOST = os.getenv("SMTP_HOST", "localhost")
SMTP_PORT = int(os.getenv("SMTP_PORT", "1025"))
MAIL_FROM = os.getenv("MAIL_FROM", "Afternoon <hello@example.com>")
BASE_URL = os.getenv("BASE_URL", "http://localhost:8000").rstrip("/")
