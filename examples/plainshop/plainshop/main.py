"""For the server: `uvicorn plainshop.main:app`. Settings that are missing or weak end the process here."""

from plainshop.app import create_app
from plainshop.settings import load_settings

app = create_app(load_settings())
