-- The UTC day of the latest invoice that an extract takes; NULL when there is none.
select (max(u.invoice_date)::timestamptz at time zone 'UTC')::date as latest_invoice_day
from retail.user_purchase as u
where
    u.invoice_date >= '1960-01-01 00:00+00'::timestamptz
    and u.invoice_date < '2160-01-01 00:00+00'::timestamptz
