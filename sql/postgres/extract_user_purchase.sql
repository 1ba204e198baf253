-- Every row of the source table (within a window of invoice dates, if one is given) with its verdict:
-- `rejected` is NULL for a row to take, which then has all its values in their final types; else it
-- holds the reason, a line feed, and the row as JSON. Times are UTC; the session's time zone is the
-- one that a timestamp without time zone is written in.
--
-- A table as designed is read at the speed of a plain COPY; numbers may also come as a wider type
-- or as text (`*_type` are their declared types).
{%- set integers = ("smallint", "integer", "bigint") %}
{%- set numbers = ("numeric", "real", "double precision") %}

{%- macro number(column, type, pattern) -%}
    {%- if type in integers -%}
        u.{{ column }}
    {%- elif type in numbers -%}
        u.{{ column }}::numeric
    {%- else -%}
        CASE
            WHEN u.{{ column }} ~ '{{ pattern }}' THEN u.{{ column }}::numeric
            WHEN u.{{ column }} IS NOT NULL THEN 'NaN'
        END
    {%- endif -%}
{%- endmacro %}
{%- macro whole_number(column, type) -%}
    {{ number(column, type, "^[+-]?[0-9]{1,38}$") }}
{%- endmacro %}
{%- macro is_bigint(column, type) -%}
    {{ whole_number(column, type) }} BETWEEN -9223372036854775808 AND 9223372036854775807
{%- endmacro %}
{%- macro bigint(column, type) -%}
    {%- if type in integers -%}
        u.{{ column }}
    {%- else -%}
        CASE WHEN {{ is_bigint(column, type) }} THEN ({{ whole_number(column, type) }})::bigint END
    {%- endif -%}
{%- endmacro %}
{%- set price = number("unit_price", unit_price_type, "^[+-]?([0-9]{1,38}([.][0-9]{0,38})?|[.][0-9]{1,38})$") %}
{%- set is_price = price ~ " BETWEEN -99999.999 AND 99999.999" %}
{#- Compared before it is converted: converting a date far outside is an error. #}
{%- set is_date -%}
    u.invoice_date >= '1960-01-01 00:00+00'::timestamptz AND u.invoice_date < '2160-01-01 00:00+00'::timestamptz
{%- endset %}
{%- macro rejected(reason) -%}
    concat('{{ reason }}', chr(10), row_to_json(u))
{%- endmacro %}
SELECT
    u.invoice_number::text AS invoice_number,
    u.stock_code::text AS stock_code,
    u.detail::text AS detail,
    {{ bigint("quantity", quantity_type) }} AS quantity,
    CASE WHEN {{ is_date }} THEN u.invoice_date::timestamptz AT TIME ZONE 'UTC' END AS invoice_date,
    CASE WHEN {{ is_price }} THEN ({{ price }})::numeric(8, 3) END AS unit_price,
    {{ bigint("customer_id", customer_id_type) }} AS customer_id,
    u.country::text AS country,
    CASE
        WHEN u.invoice_number IS NULL THEN {{ rejected("invoice_number is NULL") }}
        WHEN u.stock_code IS NULL THEN {{ rejected("stock_code is NULL") }}
        WHEN u.quantity IS NULL THEN {{ rejected("quantity is NULL") }}
        WHEN u.unit_price IS NULL THEN {{ rejected("unit_price is NULL") }}
        WHEN u.invoice_date IS NULL THEN {{ rejected("invoice_date is NULL") }}
        {%- for column, type in (("quantity", quantity_type), ("customer_id", customer_id_type)) %}
        {%- if type not in integers %}
        WHEN
            NOT {{ is_bigint(column, type) }}
            OR {{ whole_number(column, type) }} <> trunc({{ whole_number(column, type) }})
            THEN {{ rejected(column ~ " is not an integer of 64 bits") }}
        {%- endif %}
        {%- endfor %}
        WHEN NOT {{ is_price }} OR {{ price }} <> trunc({{ price }}, 3)
            THEN {{ rejected("unit_price is not a NUMERIC(8,3)") }}
        WHEN NOT ({{ is_date }}) THEN {{ rejected("invoice_date is not from 1960-01-01 to 2159-12-31") }}
    END AS rejected
FROM retail.user_purchase AS u
{%- if window_start %}
WHERE
    u.invoice_date >= '{{ window_start }}'::timestamptz
    AND u.invoice_date < '{{ window_end }}'::timestamptz
{%- endif %}
