from tests.fakes import send_mails


def test_the_whole_story_of_an_order(client, shop, stripe_double, settings, smtp, admin):
    order, intent = shop.paid(stripe_double)
    told = shop.call("GET", f"/orders/{order}").json()
    assert told["status"] == "paid"
    send_mails(settings)
    assert {m["To"] for m in smtp.sent} == {shop.owner, "c@customer.example"}
    assert client.get("/health/ready").status_code == 200
