create table if not exists `{{ table_id }}` (
    sequence int64 not null options (
        description = 'Ordinal of the publish, from 1; the highest is what the tables hold'
    ),
    publication_id string not null options (
        description = 'Derived from both staging tables: the same pair is published once'
    ),
    ds date not null options (
        description = 'Logical date that was published'
    ),
    mode string not null options (
        description = 'full: both tables replaced; incremental: a window of user_purchase replaced'
    ),
    window_start timestamp options (
        description = 'First instant of the replaced window, UTC; null for a full publish'
    ),
    window_end timestamp options (
        description = 'First instant after the replaced window, UTC; null for a full publish'
    ),
    published_at timestamp not null options (
        description = 'When the transaction ran'
    ),
    version string not null options (
        description = 'Version of user-analytics that published'
    ),
    model_version string not null options (
        description = 'Version of the sentiment model that judged the reviews'
    ),
    movie_review_source_rows int64 not null options (
        description = 'Reviews in the source file'
    ),
    movie_review_rows int64 not null options (
        description = 'Reviews published'
    ),
    movie_review_quarantined_rows int64 not null options (
        description = 'Reviews quarantined'
    ),
    movie_review_raw_digest string not null options (
        description = 'SHA-256 of the raw manifest of movie_review'
    ),
    movie_review_staging_digest string not null options (
        description = 'SHA-256 of the staging manifest of movie_review'
    ),
    movie_review_staging_table string not null options (
        description = 'Staging table that movie_review was published from'
    ),
    user_purchase_source_rows int64 not null options (
        description = 'Purchases read from the source table'
    ),
    user_purchase_rows int64 not null options (
        description = 'Purchases published'
    ),
    user_purchase_quarantined_rows int64 not null options (
        description = 'Purchases quarantined'
    ),
    user_purchase_raw_digest string not null options (
        description = 'SHA-256 of the raw manifest of user_purchase'
    ),
    user_purchase_staging_digest string not null options (
        description = 'SHA-256 of the staging manifest of user_purchase'
    ),
    user_purchase_staging_table string not null options (
        description = 'Staging table that user_purchase was published from'
    )
)
options (
    description = 'One row per publish, written in the transaction that replaced the tables; rows are only added'
)
