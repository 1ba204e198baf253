-- The columns of the source table and their types, a domain's being the one it is made of.
SELECT
    a.attname::text AS column_name,
    format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS column_type
FROM pg_attribute AS a
INNER JOIN pg_type AS t ON a.atttypid = t.oid
WHERE a.attrelid = 'retail.user_purchase'::regclass AND a.attnum > 0 AND NOT a.attisdropped
