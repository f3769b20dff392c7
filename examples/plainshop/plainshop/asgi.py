"""For the server: `uvicorn plainshop.asgi:app`."""

from plainshop.main import create_app
from plainshop.settings import load_settings

app = create_app(load_settings())
