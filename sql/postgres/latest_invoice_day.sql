-- The UTC day of the latest invoice that an extract takes; NULL when there is none.
SELECT (max(u.invoice_date)::timestamptz AT TIME ZONE 'UTC')::date AS latest_invoice_day
FROM retail.user_purchase AS u
WHERE
    u.invoice_date >= '1960-01-01 00:00+00'::timestamptz
    AND u.invoice_date < '2160-01-01 00:00+00'::timestamptz
