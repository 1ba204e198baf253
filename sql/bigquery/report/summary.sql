-- One row: the metrics of all customers together, and how they are distributed.
-- Quartiles are of absolute values other than zero, and approximate: they only choose the scale of an axis.
-- They are returned as arrays, because the emulator counts the elements of this function's result wrongly.
select
    count(*) as customers,
    coalesce(sum(amount_spent), 0) as amount_spent,
    coalesce(sum(num_reviews), 0) as num_reviews,
    coalesce(sum(num_positive_reviews), 0) as num_positive_reviews,
    min(amount_spent) as least_spent,
    max(amount_spent) as most_spent,
    approx_quantiles(nullif(abs(amount_spent), 0), 4) as amount_quartiles,
    min(num_reviews) as fewest_reviews,
    max(num_reviews) as most_reviews,
    approx_quantiles(nullif(num_reviews, 0), 4) as reviews_quartiles
from `{{ dataset }}.user_behaviour_metrics_view`
