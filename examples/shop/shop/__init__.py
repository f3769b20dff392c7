"""A multi-tenant shop: what only this shop knows. The rest is modules."""
