// Drives the double with the official Node SDK and prints what it saw as JSON.
import Stripe from "stripe";

const { STRIPE_KEY, STRIPE_PORT, WEBHOOK_SECRET, WEBHOOK_BODY, WEBHOOK_SIGNATURE } = process.env;
const stripe = new Stripe(STRIPE_KEY, { host: "127.0.0.1", port: Number(STRIPE_PORT), protocol: "https", maxNetworkRetries: 0 });
const seen = { apiVersion: Stripe.API_VERSION ?? null };

const session = await stripe.checkout.sessions.create({
  mode: "payment",
  success_url: "https://app.example.com/ok",
  line_items: [{ quantity: 3, price_data: { currency: "usd", unit_amount: 700, product_data: { name: "Tea" } } }],
  expand: ["line_items"],
});
seen.session = { id: session.id, total: session.amount_total, lines: session.line_items.data.length };

const intent = await stripe.paymentIntents.create({ amount: 2100, currency: "usd", payment_method: "pm_card_visa", confirm: true });
const refund = await stripe.refunds.create({ payment_intent: intent.id, amount: 100 }, { idempotencyKey: "probe-1" });
const again = await stripe.refunds.create({ payment_intent: intent.id, amount: 100 }, { idempotencyKey: "probe-1" });
seen.refund = { status: refund.status, repeated: refund.id === again.id };

const failure = async (promise) => promise.then(() => null, (error) => ({ type: error.type, code: error.code ?? null }));
seen.tooMuch = await failure(stripe.refunds.create({ payment_intent: intent.id, amount: 5000 }));
seen.mismatch = await failure(stripe.refunds.create({ payment_intent: intent.id, amount: 1 }, { idempotencyKey: "probe-1" }));
seen.declined = await failure(
  stripe.paymentIntents.create({ amount: 2100, currency: "usd", payment_method: "pm_card_chargeDeclined", confirm: true }),
);

for (const name of ["a", "b", "c"]) await stripe.customers.create({ name, metadata: { name } });
seen.customers = [];
for await (const customer of stripe.customers.list({ limit: 2 })) seen.customers.push(customer.name);

const event = stripe.webhooks.constructEvent(WEBHOOK_BODY, WEBHOOK_SIGNATURE, WEBHOOK_SECRET);
seen.event = { type: event.type };
try {
  stripe.webhooks.constructEvent(WEBHOOK_BODY + " ", WEBHOOK_SIGNATURE, WEBHOOK_SECRET);
} catch (error) {
  seen.tampered = error.type;
}
console.log(JSON.stringify(seen));
