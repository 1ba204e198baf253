-- Every row carries the date of the run and the model of the staging manifest.
select
    review_id,
    logical_date,
    model_version,
    count(*) over () as offending_rows
from `{{ staging_table }}`
where
    not coalesce(logical_date = @ds, false)
    or not coalesce(model_version = @model_version, false)
order by review_id
limit {{ examples }}
