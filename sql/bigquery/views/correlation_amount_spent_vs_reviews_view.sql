create or replace view `{{ dataset }}.correlation_amount_spent_vs_reviews_view` (
    amount_spent_vs_num_reviews options (
        description = 'Pearson correlation to 12 decimals; null when one of the two does not vary'
    ),
    amount_spent_vs_num_positive_reviews options (
        description = 'Pearson correlation to 12 decimals; null when one of the two does not vary'
    ),
    num_customers options (
        description = 'Rows of user_behaviour_metrics_view, over which the correlations are'
    )
)
options (
    description = 'One row: how spending goes with reviewing, over all customers'
)
as
with

metrics as (
    select
        amount_spent,
        num_positive_reviews,
        num_reviews
    from `{{ dataset }}.user_behaviour_metrics_view`
),

aggregated as (
    select
        min(amount_spent) < max(amount_spent) as amount_spent_varies,
        min(num_reviews) < max(num_reviews) as num_reviews_varies,
        min(num_positive_reviews) < max(num_positive_reviews) as num_positive_reviews_varies,
        corr(amount_spent, num_reviews) as amount_spent_vs_num_reviews,
        corr(amount_spent, num_positive_reviews) as amount_spent_vs_num_positive_reviews,
        count(*) as num_customers
    from metrics
),

-- CORR is NaN when a side does not vary (undefined), and in BigQuery also when the covariance is 0
-- (no correlation). Sums of floating point numbers depend on their order in the last digits: 12 do not.
defined as (
    select
        case
            when not (amount_spent_varies and num_reviews_varies) then null
            when is_nan(amount_spent_vs_num_reviews) then 0
            else round(amount_spent_vs_num_reviews, 12)
        end as amount_spent_vs_num_reviews,
        case
            when not (amount_spent_varies and num_positive_reviews_varies) then null
            when is_nan(amount_spent_vs_num_positive_reviews) then 0
            else round(amount_spent_vs_num_positive_reviews, 12)
        end as amount_spent_vs_num_positive_reviews,
        num_customers
    from aggregated
)

select
    amount_spent_vs_num_reviews,
    amount_spent_vs_num_positive_reviews,
    num_customers
from defined
