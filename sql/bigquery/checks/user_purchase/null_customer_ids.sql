-- As many guests as the raw manifest says.
with

staged as (
    select countif(customer_id is null) as found
    from `{{ staging_table }}`
)

select
    staged.found,
    @null_customer_ids as expected
from staged
where staged.found != @null_customer_ids
