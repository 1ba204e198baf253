-- Where a file is read into before it replaces the source table. Postgres would round a price to
-- the column's 3 decimals: here a price with more is an error of its line.
create temporary table incoming_user_purchase (like retail.user_purchase) on commit drop;

alter table incoming_user_purchase alter column unit_price type numeric;

alter table incoming_user_purchase
add constraint unit_price_has_at_most_3_decimals check (unit_price = unit_price::numeric(8, 3));
