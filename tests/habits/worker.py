"""Does what the kiosk's webhooks leave to do, in a process of its own."""

import os

from ways import WAYS

WAYS[os.environ["HABIT"]]().work()
