create or replace view `{{ dataset }}.top_5_customers_by_amount_spent_view` (
    rank options (
        description = '1 to 5; equal values in order of customer_id'
    ),
    customer_id options (
        description = 'Customer; unique'
    ),
    amount_spent options (
        description = 'Σ quantity × unit_price of the customer; above 0'
    )
)
options (
    description = 'One row per customer, at most 5: those who spent most'
)
as
with

metrics as (
    select
        customer_id,
        amount_spent
    from `{{ dataset }}.user_behaviour_metrics_view`
    where amount_spent > 0
),

ranked as (
    select
        row_number() over (
            order by amount_spent desc, customer_id asc
        ) as rank,
        customer_id,
        amount_spent
    from metrics
)

select
    rank,
    customer_id,
    amount_spent
from ranked
where rank <= 5
