-- Every row of the source table (within a window of invoice dates, if one is given) with its verdict:
-- `rejected` is NULL for a row to take, which then has all its values in their final types; else it
-- holds the reason, a line feed, and the row as JSON. Times are UTC; the session's time zone is the
-- one that a timestamp without time zone is written in.
--
-- A table as designed is read at the speed of a plain COPY; numbers may also come as a wider type
-- or as text (`*_type` are their declared types).
{%- set integers = ("smallint", "integer", "bigint") %}
{%- set floats = ("real", "double precision") %}

{%- macro number(column, type, pattern) -%}
    {%- if type in integers -%}
        u.{{ column }}
    {%- elif type == "numeric" -%}
        u.{{ column }}
    {%- elif type in floats -%}
        {#- Cast directly, a real would keep 6 digits and a double precision 15. -#}
        u.{{ column }}::text::numeric
    {%- else -%}
        case
            when u.{{ column }} ~ '{{ pattern }}' then u.{{ column }}::numeric
            when u.{{ column }} is not null then 'NaN'
        end
    {%- endif -%}
{%- endmacro %}
{%- macro whole_number(column, type) -%}
    {%- if type in floats -%}
        {#- As text, a whole number above 2^24 or 2^53 would end in zeros. -#}
        case
            when u.{{ column }} >= -9223372036854775808 and u.{{ column }} < 9223372036854775808
                and u.{{ column }} = trunc(u.{{ column }})
                then u.{{ column }}::bigint::numeric
            when u.{{ column }} is not null then 'NaN'::numeric
        end
    {%- else -%}
        {{ number(column, type, "^[+-]?[0-9]{1,38}$") }}
    {%- endif -%}
{%- endmacro %}
{%- macro is_bigint(column, type) -%}
    {{ whole_number(column, type) }} between -9223372036854775808 and 9223372036854775807
{%- endmacro %}
{%- macro bigint(column, type) -%}
    {%- if type in integers -%}
        u.{{ column }}
    {%- else -%}
        case when {{ is_bigint(column, type) }} then ({{ whole_number(column, type) }})::bigint end as {{ column }}
    {%- endif -%}
{%- endmacro %}
{%- set price = number("unit_price", unit_price_type, "^[+-]?([0-9]{1,38}([.][0-9]{0,38})?|[.][0-9]{1,38})$") %}
{%- set is_price = price ~ " between -99999.999 and 99999.999" %}
{#- Compared before it is converted: converting a date far outside is an error. #}
{%- set is_date -%}
    u.invoice_date >= '1960-01-01 00:00+00'::timestamptz and u.invoice_date < '2160-01-01 00:00+00'::timestamptz
{%- endset %}
{%- macro rejected(reason) -%}
    concat('{{ reason }}', chr(10), row_to_json(u))
{%- endmacro %}
select
    u.invoice_number::text as invoice_number,
    u.stock_code::text as stock_code,
    u.detail::text as detail,
    {{ bigint("quantity", quantity_type) }},
    case when {{ is_date }} then u.invoice_date::timestamptz at time zone 'UTC' end as invoice_date,
    case when {{ is_price }} then ({{ price }})::numeric(8, 3) end as unit_price,
    {{ bigint("customer_id", customer_id_type) }},
    u.country::text as country,
    case
        when u.invoice_number is null then {{ rejected("invoice_number is NULL") }}
        when u.stock_code is null then {{ rejected("stock_code is NULL") }}
        when u.quantity is null then {{ rejected("quantity is NULL") }}
        when u.unit_price is null then {{ rejected("unit_price is NULL") }}
        when u.invoice_date is null then {{ rejected("invoice_date is NULL") }}
        {%- for column, type in (("quantity", quantity_type), ("customer_id", customer_id_type)) %}
            {%- if type not in integers %}
        when
            not {{ is_bigint(column, type) }}
            or {{ whole_number(column, type) }} <> trunc({{ whole_number(column, type) }})
            then {{ rejected(column ~ " is not an integer of 64 bits") }}
        {%- endif %}
        {%- endfor %}
        when not {{ is_price }} or {{ price }} <> trunc({{ price }}, 3)
            then {{ rejected("unit_price is not a NUMERIC(8,3)") }}
        when not ({{ is_date }}) then {{ rejected("invoice_date is not from 1960-01-01 to 2159-12-31") }}
    end as rejected
from retail.user_purchase as u
{%- if window_start %}
    where
        u.invoice_date >= '{{ window_start }}'::timestamptz
        and u.invoice_date < '{{ window_end }}'::timestamptz
{%- endif %}
