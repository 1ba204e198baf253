-- Every row carries the date of the run.
select
    invoice_number,
    stock_code,
    logical_date,
    count(*) over () as offending_rows
from `{{ staging_table }}`
where not coalesce(logical_date = @ds, false)
order by invoice_number, stock_code, logical_date
limit {{ examples }}
