-- Every published version of every order; fct_orders picks the newest.
select
    order_id,
    customer_id,
    product_id,
    quantity,
    unit_price,
    total_amount,
    currency,
    status,
    channel,
    country,
    ordered_at,
    cast(ordered_at as date) as order_date,
    updated_at,
    _partition
from {{ source('cleaned', 'orders') }}
