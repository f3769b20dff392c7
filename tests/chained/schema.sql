CREATE TABLE shops (id serial PRIMARY KEY, name text NOT NULL, token text NOT NULL UNIQUE);
CREATE TABLE orders (
    id serial PRIMARY KEY,
    shop_id int NOT NULL REFERENCES shops,
    status text NOT NULL DEFAULT 'open',
    session text UNIQUE,
    payment_intent text,
    refunded int NOT NULL DEFAULT 0
);
CREATE TABLE refunds (id text PRIMARY KEY, order_id int NOT NULL REFERENCES orders, amount int NOT NULL);
CREATE TABLE parcels (order_id int PRIMARY KEY, note text NOT NULL);
CREATE TABLE handled (event text PRIMARY KEY);
