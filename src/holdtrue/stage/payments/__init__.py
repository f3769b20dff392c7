"""A Stripe for one run: an HTTPS server that the official SDKs cannot tell from the real one.

Shapes and semantics follow https://docs.stripe.com/api; what is not modelled answers 404 and is listed.
`payments.chaos` has what can happen to deliveries.
"""

from holdtrue.stage.payments.bank import Bank
from holdtrue.stage.payments.calls import Call
from holdtrue.stage.payments.clock import Clock
from holdtrue.stage.payments.customer import ScriptedCustomer
from holdtrue.stage.payments.double import HOSTS, State, StripeDouble
from holdtrue.stage.payments.outages import Hold, Outage
from holdtrue.stage.payments.webhooks import FORGERIES, Delivery, Endpoint, Forgery, Secret, Webhooks
from holdtrue.stage.payments.world import Dunning, Event

__all__ = [
    "FORGERIES",
    "HOSTS",
    "Bank",
    "Call",
    "Clock",
    "Delivery",
    "Dunning",
    "Endpoint",
    "Event",
    "Forgery",
    "Hold",
    "Outage",
    "ScriptedCustomer",
    "Secret",
    "State",
    "StripeDouble",
    "Webhooks",
]
