-- Every row of the source table (within a window of invoice dates, if one is given) with its verdict:
-- `reason` is NULL for a row to take, which then has all its values in their final types;
-- `raw_text` is the row as JSON when there is a reason. Times are UTC; the session's time zone is
-- the one that a timestamp without time zone is written in.
--
-- A table as designed is read at the speed of a plain COPY; numbers may also come as a wider type
-- or as text (`*_type` are their declared types).
{%- macro number(column, type, pattern) -%}
    {%- if type in ("smallint", "integer", "bigint") -%}
        u.{{ column }}
    {%- elif type in ("numeric", "real", "double precision") -%}
        u.{{ column }}::numeric
    {%- else -%}
        CASE
            WHEN u.{{ column }} ~ '{{ pattern }}' THEN u.{{ column }}::numeric
            WHEN u.{{ column }} IS NOT NULL THEN 'NaN'
        END
    {%- endif -%}
{%- endmacro %}
{%- set whole = "^[+-]?[0-9]{1,38}$" %}
{%- set decimal = "^[+-]?([0-9]{1,38}([.][0-9]{0,38})?|[.][0-9]{1,38})$" %}
SELECT
    p.invoice_number,
    p.stock_code,
    p.detail,
    CASE WHEN v.reason IS NULL THEN p.quantity::bigint END AS quantity,
    CASE WHEN v.reason IS NULL THEN p.invoice_date::timestamptz AT TIME ZONE 'UTC' END AS invoice_date,
    CASE WHEN v.reason IS NULL THEN p.unit_price::numeric(8, 3) END AS unit_price,
    CASE WHEN v.reason IS NULL THEN p.customer_id::bigint END AS customer_id,
    p.country,
    v.reason,
    CASE WHEN v.reason IS NOT NULL THEN row_to_json(p.source_row)::text END AS raw_text
FROM (
    SELECT
        u.invoice_number::text AS invoice_number,
        u.stock_code::text AS stock_code,
        u.detail::text AS detail,
        {{ number("quantity", quantity_type, whole) }} AS quantity,
        u.invoice_date,
        {{ number("unit_price", unit_price_type, decimal) }} AS unit_price,
        {{ number("customer_id", customer_id_type, whole) }} AS customer_id,
        u.country::text AS country,
        u AS source_row
    FROM retail.user_purchase AS u
    {%- if window_start %}
    WHERE
        u.invoice_date >= '{{ window_start }}'::timestamptz
        AND u.invoice_date < '{{ window_end }}'::timestamptz
    {%- endif %}
) AS p
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN p.invoice_number IS NULL THEN 'invoice_number is NULL'
            WHEN p.stock_code IS NULL THEN 'stock_code is NULL'
            WHEN p.quantity IS NULL THEN 'quantity is NULL'
            WHEN
                p.quantity NOT BETWEEN -9223372036854775808 AND 9223372036854775807
                OR p.quantity <> trunc(p.quantity)
                THEN 'quantity is not an integer of 64 bits'
            WHEN p.unit_price IS NULL THEN 'unit_price is NULL'
            WHEN
                p.unit_price NOT BETWEEN -99999.999 AND 99999.999
                OR p.unit_price <> trunc(p.unit_price, 3)
                THEN 'unit_price is not a NUMERIC(8,3)'
            WHEN
                p.customer_id NOT BETWEEN -9223372036854775808 AND 9223372036854775807
                OR p.customer_id <> trunc(p.customer_id)
                THEN 'customer_id is not an integer of 64 bits'
            WHEN p.invoice_date IS NULL THEN 'invoice_date is NULL'
            -- Compared before it is converted: converting a date far outside is an error.
            WHEN
                p.invoice_date < '1960-01-01 00:00+00'::timestamptz
                OR p.invoice_date >= '2160-01-01 00:00+00'::timestamptz
                THEN 'invoice_date is not from 1960-01-01 to 2159-12-31'
        END AS reason
    -- Without this fence the planner would copy the verdict into each expression that uses it.
    OFFSET 0
) AS v
