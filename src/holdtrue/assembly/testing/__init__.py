"""For tests of modules and apps: a PostgreSQL of their own, an app in this process, a worker without waiting."""

from holdtrue.assembly.testing.doors import Doors, DoorsMail
from holdtrue.assembly.testing.kit import Kit, running
from holdtrue.assembly.testing.postgres import Postgres

__all__ = ["Doors", "DoorsMail", "Kit", "Postgres", "running"]
