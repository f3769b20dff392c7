"""The only place that knows the ASGI framework (FastAPI)."""
