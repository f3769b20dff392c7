"""What the audit module promises."""

from holdtrue.contract import Contract, Permission, Rehearsal, Table

READ = Permission(name="audit.read", doc="read the history of who did what")

CONTRACT = Contract(
    name="audit",
    version="1.0.0",
    doc="A row for every audited event and every denial, in the transaction of the change; nobody can edit one.",
    permissions=(READ,),
    tables=(Table(name="audit_events"),),
    guarantees=("AUD001", "AUD007"),
    rehearsal=Rehearsal(audit_tables=["audit_events"]),
)
