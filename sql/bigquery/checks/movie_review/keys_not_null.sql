-- Every review has its number, its customer and its text.
select
    review_id,
    cid,
    review_str is null as review_str_is_null,
    count(*) over () as offending_rows
from `{{ staging_table }}`
where
    review_id is null
    or cid is null
    or review_str is null
order by review_id, cid
limit {{ examples }}
