-- At most {{ candidates }} rows of each kind: the reviews, none of them endless, that the model is most and least
-- sure of. Ties go to the earlier review, so that the same table gives the same rows.
with judged as (
    select
        review_id,
        positive_review,
        positive_probability,
        review_str
    from `{{ dataset }}.movie_review`
    where
        positive_probability is not null
        and char_length(review_str) <= {{ longest_text }}
),

surely_positive as (
    select
        'surely_positive' as kind,
        review_id,
        positive_probability,
        review_str,
        1 - positive_probability as distance
    from judged
    where positive_review
    order by distance, review_id
    limit {{ candidates }}
),

surely_negative as (
    select
        'surely_negative' as kind,
        review_id,
        positive_probability,
        review_str,
        positive_probability as distance
    from judged
    where not positive_review
    order by distance, review_id
    limit {{ candidates }}
),

least_sure as (
    select
        'least_sure' as kind,
        review_id,
        positive_probability,
        review_str,
        abs(positive_probability - 0.5) as distance
    from judged
    order by distance, review_id
    limit {{ candidates }}
),

together as (
    select * from surely_positive
    union all
    select * from surely_negative
    union all
    select * from least_sure
)

select
    kind,
    review_id,
    positive_probability,
    review_str as text
from together
order by kind, distance, review_id
