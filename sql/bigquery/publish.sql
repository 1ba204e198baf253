-- Puts two staging tables in the place of what is published, and records it: all or nothing.
-- No exception handler: BigQuery and the emulator roll back on an error that nothing catches.
begin transaction;

-- The preconditions were checked outside, against this many publications.
if (
    select coalesce(max(sequence), 0)
    from `{{ publications }}`
) != {{ publication.sequence }} - 1 then
    raise using message = 'aborted due to concurrent update of {{ publications }}';
end if;

update `{{ publish_lock }}`
set sequence = {{ publication.sequence }}
where true;

delete from `{{ movie_review.published }}`
where true;

insert into `{{ movie_review.published }}` (
    review_id,
    cid,
    review_str,
    positive_review,
    positive_probability,
    model_version,
    logical_date
)
select
    review_id,
    cid,
    review_str,
    positive_review,
    positive_probability,
    model_version,
    logical_date
from `{{ movie_review.staged }}`;

delete from `{{ user_purchase.published }}`
where
{%- if window %}
    invoice_date >= {{ publication.window_start }}
    and invoice_date < {{ publication.window_end }};
{%- else %}
    true;
{%- endif %}

insert into `{{ user_purchase.published }}` (
    invoice_number,
    stock_code,
    detail,
    quantity,
    invoice_date,
    unit_price,
    customer_id,
    country,
    logical_date
)
select
    invoice_number,
    stock_code,
    detail,
    quantity,
    invoice_date,
    unit_price,
    customer_id,
    country,
    logical_date
from `{{ user_purchase.staged }}`;

insert into `{{ publications }}` (
    {{ publication.keys() | join(',\n    ') }},
    published_at
)
values (
    {{ publication.values() | join(',\n    ') }},
    current_timestamp()
);

commit transaction;
