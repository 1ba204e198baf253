create table if not exists `{{ table_id }}` (
    invoice_number string options (
        description = 'Invoice the line belongs to'
    ),
    stock_code string options (
        description = 'Product code'
    ),
    detail string options (
        description = 'Product description'
    ),
    quantity int64 options (
        description = 'Units bought; negative for a cancellation'
    ),
    invoice_date timestamp options (
        description = 'When the invoice was made, UTC'
    ),
    unit_price numeric(8, 3) options (
        description = 'Price of one unit'
    ),
    customer_id int64 options (
        description = 'Customer who bought; null for a guest'
    ),
    country string options (
        description = 'Country of the customer'
    ),
    logical_date date options (
        description = 'Date of the run that wrote the row'
    )
)
partition by timestamp_trunc(invoice_date, month)
cluster by customer_id
options (
    description = 'One row per accepted invoice line of retail.user_purchase'
)
