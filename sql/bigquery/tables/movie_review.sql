create table if not exists `{{ table_id }}` (
    review_id int64 options (
        description = 'Ordinal of the record in the reviews file, from 1; unique'
    ),
    cid int64 options (
        description = 'Customer who wrote the review'
    ),
    review_str string options (
        description = 'Text of the review as it came'
    ),
    positive_review bool options (
        description = 'Verdict of the model; null when there is nothing to judge'
    ),
    positive_probability float64 options (
        description = 'Probability that the review is positive, 0 to 1; null with the verdict'
    ),
    model_version string options (
        description = 'Version of the sentiment model that judged'
    ),
    logical_date date options (
        description = 'Date of the run that wrote the row'
    )
)
cluster by cid
options (
    description = 'One row per accepted review of the last published date'
)
