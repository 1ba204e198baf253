create or replace view `{{ dataset }}.top_5_customers_by_positive_reviews_view` (
    rank options (
        description = '1 to 5; equal values in order of customer_id'
    ),
    customer_id options (
        description = 'Customer; unique'
    ),
    num_positive_reviews options (
        description = 'Reviews judged positive; above 0'
    )
)
options (
    description = 'One row per customer, at most 5: those with most positive reviews'
)
as
with

metrics as (
    select
        customer_id,
        num_positive_reviews
    from `{{ dataset }}.user_behaviour_metrics_view`
    where num_positive_reviews > 0
),

ranked as (
    select
        row_number() over (
            order by num_positive_reviews desc, customer_id asc
        ) as rank,
        customer_id,
        num_positive_reviews
    from metrics
)

select
    rank,
    customer_id,
    num_positive_reviews
from ranked
where rank <= 5
