-- Σ quantity as the raw manifest says.
with

staged as (
    select coalesce(sum(quantity), 0) as found
    from `{{ staging_table }}`
)

select
    staged.found,
    @sum_quantity as expected
from staged
where staged.found != @sum_quantity
