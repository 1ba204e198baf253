-- Σ quantity × unit_price as the raw manifest says, to the last digit.
with

staged as (
    select coalesce(sum(quantity * unit_price), 0) as found
    from `{{ staging_table }}`
)

select
    staged.found,
    @sum_amount as expected
from staged
where staged.found != @sum_amount
