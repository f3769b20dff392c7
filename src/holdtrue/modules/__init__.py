"""The dangerous parts, each a module with a contract. No module imports another."""
