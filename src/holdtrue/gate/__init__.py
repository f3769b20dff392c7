"""The gate: plan, approve, admit, apply, ready. What is not held, or not approved where it must be,
is not deployed.

It stands in the hold tower and knows the contract alone: of the app it reads files, and asks its interpreter by a
subprocess. ``ready`` is an entrypoint of its own, started before the app.
"""
