-- Σ cid as the raw manifest says; wide enough for any number of 64-bit customers.
with

staged as (
    select coalesce(sum(cast(cid as bignumeric)), 0) as found
    from `{{ staging_table }}`
)

select
    staged.found,
    @sum_cid as expected
from staged
where staged.found != @sum_cid
