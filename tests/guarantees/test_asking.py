"""Whether an app's own code asks the payment provider what became of a payment."""

from pathlib import Path

import pytest

from holdtrue.guarantees.payments.asking import never_asks

MAKES = "session = stripe.checkout.Session.create(mode='payment')\n"


@pytest.mark.parametrize(
    "reads",
    [
        "stripe.checkout.Session.retrieve(known)",
        "client.v1.events.list({'limit': 100})",
        "for event in page.auto_paging_iter(): ...",
        "await stripe.paymentIntents.retrieve(id)",
        "httpx.get(f'{base}/v1/checkout/../v1/payment_intents/{known}')",
    ],
)
def test_code_that_reads_from_the_provider_may_find_out(tmp_path: Path, reads: str) -> None:
    (tmp_path / "pay.py").write_text(MAKES)
    assert never_asks(tmp_path)
    (tmp_path / "job.js").write_text(reads)
    assert not never_asks(tmp_path)


def test_what_tests_and_installed_packages_ask_counts_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "pay.py").write_text(f"{MAKES}@event.listens_for(Session, 'after_flush')\nsession.get(Order, 1)\n")
    for folder in ("tests", "node_modules"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sdk.js").write_text("stripe.events.list()")
    assert never_asks(tmp_path)


def test_of_an_app_whose_payments_are_made_elsewhere_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("from payments import checkout\n")
    assert not never_asks(tmp_path)
