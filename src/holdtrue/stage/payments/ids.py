"""Ids that look like Stripe's and are the same in every run with the same seed."""

import hashlib
import string

_ALPHABET = string.digits + string.ascii_letters

# Prefix and length of the random part, as Stripe's own ids have them.
_SHAPES = {
    "account": ("acct_1", 15),
    "account_link": ("alink_1", 15),
    "balance_transaction": ("txn_3", 23),
    "billing_portal.configuration": ("bpc_1", 23),
    "billing_portal.session": ("bps_1", 23),
    "charge": ("ch_3", 23),
    "checkout.session": ("cs_test_a1", 56),
    "client_secret": ("secret_", 25),
    "customer": ("cus_", 14),
    "dispute": ("du_1", 23),
    "event": ("evt_1", 23),
    "invoice": ("in_1", 23),
    "invoice_item": ("ii_1", 23),
    "invoice_payment": ("inpay_1", 23),
    "item": ("li_1", 23),
    "line_item": ("il_1", 23),
    "payment_intent": ("pi_3", 23),
    "payment_method": ("pm_1", 23),
    "price": ("price_1", 23),
    "product": ("prod_", 14),
    "refund": ("re_3", 23),
    "request": ("req_", 14),
    "setup_intent": ("seti_1", 23),
    "subscription": ("sub_1", 23),
    "subscription_item": ("si_", 14),
    "webhook_endpoint": ("we_1", 23),
    "webhook_secret": ("whsec_", 32),
}


class Ids:
    """Counts per kind, and hides the count behind a hash of the seed, so that ids carry no order."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self.counts: dict[str, int] = {}

    def next(self, kind: str) -> str:
        """The next id of a kind (`customer`, `charge`, …)."""
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        prefix, length = _SHAPES[kind]
        number = int.from_bytes(hashlib.shake_256(f"{self._seed}/{kind}/{count}".encode()).digest(length))
        letters = []
        for _ in range(length):
            number, rest = divmod(number, len(_ALPHABET))
            letters.append(_ALPHABET[rest])
        return prefix + "".join(letters)
