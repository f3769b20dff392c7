// Calls the official Node SDK as told, one JSON line in, one JSON line out.
import readline from "node:readline";
import Stripe from "stripe";

const { STRIPE_KEY, STRIPE_PORT } = process.env;
const stripe = new Stripe(STRIPE_KEY, {
  host: "127.0.0.1",
  port: Number(STRIPE_PORT),
  protocol: "https",
  maxNetworkRetries: 0,
  telemetry: false,
});

const say = (told) => process.stdout.write(JSON.stringify(told) + "\n");

const failure = (error) => ({
  type: error.type.replace(/^Stripe/, ""),
  status: error.statusCode ?? null,
  code: error.code ?? null,
  param: error.param ?? null,
  decline_code: error.decline_code ?? null,
  message: error.message,
});

const verify = ({ body, signature, secret }) => {
  const event = stripe.webhooks.constructEvent(body, signature, secret);
  return { id: event.id, type: event.type };
};

const call = async ({ call: path, args, options }) => {
  const names = path.split(".");
  const method = names.pop();
  const resource = names.reduce((node, name) => node[name], stripe);
  const given = Object.keys(options).length > 0 ? [...args, options] : args;
  return resource[method](...given);
};

const everyone = async () => {
  const found = [];
  for await (const customer of stripe.customers.list({ limit: 2 })) found.push(customer.id);
  return found;
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const told = JSON.parse(line);
  try {
    if (told.call === "webhooks.constructEvent") say({ value: verify(told.args[0]) });
    else if (told.call === "customers.everyone") say({ value: await everyone() });
    else say({ value: await call(told) });
  } catch (error) {
    say({ error: failure(error) });
  }
}
