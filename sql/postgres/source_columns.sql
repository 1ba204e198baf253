-- The columns of the source table and their types, a domain's being the one it is made of.
select
    a.attname::text as column_name,
    format_type(coalesce(nullif(t.typbasetype, 0), t.oid), null) as column_type
from pg_attribute as a
inner join pg_type as t on a.atttypid = t.oid
where a.attrelid = 'retail.user_purchase'::regclass and a.attnum > 0 and not a.attisdropped
