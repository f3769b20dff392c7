"""plainshop: a small multi-tenant shop backend."""
