-- A probability is null, with the verdict, or from 0 to 1. NaN is neither below nor above.
select
    review_id,
    positive_probability,
    positive_review,
    count(*) over () as offending_rows
from `{{ staging_table }}`
where
    not coalesce(positive_probability between 0 and 1, true)
    or (positive_probability is null) != (positive_review is null)
order by review_id
limit {{ examples }}
