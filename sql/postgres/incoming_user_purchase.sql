-- Where a file is read into before it replaces the source table. Postgres would round a price to
-- the column's 3 decimals: here a price with more is an error of its line.
CREATE TEMPORARY TABLE incoming_user_purchase (
    LIKE retail.user_purchase,
    CONSTRAINT unit_price_is_a_numeric_8_3 CHECK (unit_price = unit_price::numeric(8, 3))
) ON COMMIT DROP;

ALTER TABLE incoming_user_purchase ALTER COLUMN unit_price TYPE numeric;
