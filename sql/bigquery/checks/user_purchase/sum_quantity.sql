-- Σ quantity as the raw manifest says; wide enough for any number of 64-bit quantities.
with

staged as (
    select coalesce(sum(cast(quantity as bignumeric)), 0) as found
    from `{{ staging_table }}`
)

select
    staged.found,
    @sum_quantity as expected
from staged
where staged.found != @sum_quantity
