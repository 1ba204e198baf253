-- An incremental extract holds nothing outside its window; a full one has no window.
select
    invoice_number,
    stock_code,
    invoice_date,
    count(*) over () as offending_rows
from `{{ staging_table }}`
where
    invoice_date < @window_start
    or invoice_date >= @window_end
order by invoice_date, invoice_number, stock_code
limit {{ examples }}
