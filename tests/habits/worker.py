"""Does what the kiosk's webhooks leave to do, in a process of its own."""

from told import Listening

Listening(inside=False).work()
