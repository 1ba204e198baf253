-- No review is staged twice, as a write that was repeated would do.
with

repeated as (
    select
        review_id,
        count(*) as occurrences
    from `{{ staging_table }}`
    group by review_id
    having count(*) > 1
)

select
    review_id,
    occurrences,
    count(*) over () as offending_keys
from repeated
order by review_id
limit {{ examples }}
