"""What the views are called. Apart from `views`, since links are made where no client of BigQuery is installed."""

METRICS_VIEW = "user_behaviour_metrics_view"
TOP_5_BY_AMOUNT_SPENT_VIEW = "top_5_customers_by_amount_spent_view"
TOP_5_BY_POSITIVE_REVIEWS_VIEW = "top_5_customers_by_positive_reviews_view"
CORRELATION_VIEW = "correlation_amount_spent_vs_reviews_view"
# The others read the first.
VIEWS = (METRICS_VIEW, TOP_5_BY_AMOUNT_SPENT_VIEW, TOP_5_BY_POSITIVE_REVIEWS_VIEW, CORRELATION_VIEW)
