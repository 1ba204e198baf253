-- The source table: one row per line of an invoice. Can be run again.
CREATE SCHEMA IF NOT EXISTS retail;

CREATE TABLE IF NOT EXISTS retail.user_purchase (
    invoice_number text NOT NULL,
    stock_code text NOT NULL,
    detail text,
    quantity integer NOT NULL,
    invoice_date timestamp NOT NULL,
    unit_price numeric(8, 3) NOT NULL,
    customer_id bigint,
    country text
);

COMMENT ON TABLE retail.user_purchase IS 'Lines of invoices: what was bought, when, at which price, by whom';
COMMENT ON COLUMN retail.user_purchase.invoice_number IS 'Invoice; cancellations begin with C';
COMMENT ON COLUMN retail.user_purchase.stock_code IS 'Article';
COMMENT ON COLUMN retail.user_purchase.detail IS 'Description of the article';
COMMENT ON COLUMN retail.user_purchase.quantity IS 'Pieces; negative when cancelled or returned';
COMMENT ON COLUMN retail.user_purchase.invoice_date IS 'When, in the time zone SOURCE_TIMEZONE names';
COMMENT ON COLUMN retail.user_purchase.unit_price IS 'Price of one piece in pounds sterling';
COMMENT ON COLUMN retail.user_purchase.customer_id IS 'Who bought; NULL for guests';
COMMENT ON COLUMN retail.user_purchase.country IS 'Country of the customer';

-- An incremental extract reads a window of invoice dates.
CREATE INDEX IF NOT EXISTS user_purchase_invoice_date ON retail.user_purchase (invoice_date);
