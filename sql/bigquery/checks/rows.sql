-- As many rows as the raw manifest says.
with

staged as (
    select count(*) as found
    from `{{ staging_table }}`
)

select
    staged.found,
    @rows as expected
from staged
where staged.found != @rows
