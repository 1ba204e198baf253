-- The source table: one row per line of an invoice. Can be run again.
create schema if not exists retail;

create table if not exists retail.user_purchase (
    invoice_number text not null,
    stock_code text not null,
    detail text,
    quantity integer not null,
    invoice_date timestamp not null,
    unit_price numeric(8, 3) not null,
    customer_id bigint,
    country text
);

comment on table retail.user_purchase is 'Lines of invoices: what was bought, when, at which price, by whom';
comment on column retail.user_purchase.invoice_number is 'Invoice; cancellations begin with C';
comment on column retail.user_purchase.stock_code is 'Article';
comment on column retail.user_purchase.detail is 'Description of the article';
comment on column retail.user_purchase.quantity is 'Pieces; negative when cancelled or returned';
comment on column retail.user_purchase.invoice_date is 'When, in the time zone SOURCE_TIMEZONE names';
comment on column retail.user_purchase.unit_price is 'Price of one piece in pounds sterling';
comment on column retail.user_purchase.customer_id is 'Who bought; NULL for guests';
comment on column retail.user_purchase.country is 'Country of the customer';

-- An incremental extract reads a window of invoice dates.
create index if not exists user_purchase_invoice_date on retail.user_purchase (invoice_date);
