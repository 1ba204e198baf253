-- Every publish, newest first.
select
    sequence,
    publication_id,
    ds,
    mode,
    window_start,
    window_end,
    published_at,
    version,
    model_version,
    movie_review_source_rows,
    movie_review_rows,
    movie_review_quarantined_rows,
    movie_review_raw_digest,
    movie_review_staging_digest,
    movie_review_staging_table,
    user_purchase_source_rows,
    user_purchase_rows,
    user_purchase_quarantined_rows,
    user_purchase_raw_digest,
    user_purchase_staging_digest,
    user_purchase_staging_table
from `{{ publications }}`
order by sequence desc
