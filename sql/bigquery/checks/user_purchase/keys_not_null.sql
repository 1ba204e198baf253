-- Every purchase has what the ingestion accepts no row without.
select
    invoice_number,
    stock_code,
    quantity,
    invoice_date,
    unit_price,
    count(*) over () as offending_rows
from `{{ staging_table }}`
where
    invoice_number is null
    or stock_code is null
    or quantity is null
    or invoice_date is null
    or unit_price is null
order by invoice_number, stock_code, invoice_date
limit {{ examples }}
