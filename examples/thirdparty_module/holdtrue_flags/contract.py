"""What the module promises."""

from holdtrue.contract import Contract, Event, Guard, Payload, Permission, Table

READ = Permission(name="flags.read", doc="see which features are on")
WRITE = Permission(name="flags.write", doc="switch features on and off")


class Switch(Payload):
    """A feature, and whether it is on."""

    name: str
    on: bool


SWITCHED = Event(name="flags.switched", payload=Switch, audited=True, subject="name", doc="a feature is on or off now")
SWITCHING = Guard(name="flags.switching", payload=Switch, doc="before a feature is switched: may refuse")

CONTRACT = Contract(
    name="flags",
    version="1.0.0",
    doc="Feature flags, each of one tenant.",
    permissions=(READ, WRITE),
    events=(SWITCHED,),
    hooks=(SWITCHING,),
    tables=(Table(name="feature_flags"),),
    guarantees=("TEN042", "AUD001"),
)
