create or replace view `{{ dataset }}.user_behaviour_metrics_view` (
    customer_id options (
        description = 'Customer; unique'
    ),
    amount_spent options (
        description = 'Σ quantity × unit_price of the customer; cancellations reduce it; 0 without purchases'
    ),
    num_positive_reviews options (
        description = 'Reviews judged positive; 0 without reviews'
    ),
    num_reviews options (
        description = 'Reviews, judged or not; 0 without reviews'
    )
)
options (
    description = 'One row per customer seen in user_purchase or in movie_review; purchases of guests stay out'
)
as
with

purchases as (
    select
        customer_id,
        quantity,
        unit_price
    from `{{ dataset }}.user_purchase`
    where customer_id is not null
),

reviews as (
    select
        cid as customer_id,
        positive_review
    from `{{ dataset }}.movie_review`
),

spent_by_customer as (
    select
        customer_id,
        sum(quantity * unit_price) as amount_spent
    from purchases
    group by customer_id
),

reviews_by_customer as (
    select
        customer_id,
        countif(positive_review) as num_positive_reviews,
        count(*) as num_reviews
    from reviews
    group by customer_id
),

-- Both sides have one row per customer by now: joining the tables themselves would multiply the sums.
joined as (
    select
        coalesce(spent.customer_id, reviewed.customer_id) as customer_id,
        coalesce(spent.amount_spent, 0) as amount_spent,
        coalesce(reviewed.num_positive_reviews, 0) as num_positive_reviews,
        coalesce(reviewed.num_reviews, 0) as num_reviews
    from spent_by_customer as spent
    full outer join reviews_by_customer as reviewed
        on spent.customer_id = reviewed.customer_id
)

select
    customer_id,
    amount_spent,
    num_positive_reviews,
    num_reviews
from joined
