-- Two transactions conflict only when they change the same rows. While the published tables are
-- empty there is none, so every publish also updates the one row made here.
create table if not exists `{{ table_id }}`
options (
    description = 'One row that every publish updates, so that no two publishes commit at once'
)
as
select 0 as sequence
