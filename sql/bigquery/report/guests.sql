-- One row: the purchases that name no customer, which no view counts.
select
    count(*) as guest_purchases,
    coalesce(sum(quantity * unit_price), 0) as guest_amount
from `{{ dataset }}.user_purchase`
where customer_id is null
