-- One row per occupied cell of a grid over (amount spent, number of reviews), so that the result
-- stays small for any number of customers.
-- An axis is linear, or symmetric-log with a constant: sign(x) * ln(1 + |x| / constant); 0 stands for linear.
with metrics as (
    select
        amount_spent,
        num_reviews,
        cast(amount_spent as float64) as amount,
        cast(num_reviews as float64) as reviews
    from `{{ dataset }}.user_behaviour_metrics_view`
),

placed as (
    select
        amount_spent,
        num_reviews,
        if(
            @amount_constant = 0,
            amount,
            sign(amount) * ln(1 + abs(amount) / nullif(@amount_constant, 0))
        ) as amount_position,
        if(
            @reviews_constant = 0,
            reviews,
            sign(reviews) * ln(1 + abs(reviews) / nullif(@reviews_constant, 0))
        ) as reviews_position
    from metrics
),

gridded as (
    select
        amount_spent,
        num_reviews,
        cast(floor((amount_position - @amount_origin) / @amount_cell) as int64) as across,
        cast(floor((reviews_position - @reviews_origin) / @reviews_cell) as int64) as up
    from placed
)

select
    across,
    up,
    count(*) as customers,
    sum(amount_spent) as amount_spent,
    sum(num_reviews) as num_reviews,
    min(amount_spent) as least_spent,
    max(amount_spent) as most_spent
from gridded
group by across, up
order by across, up
