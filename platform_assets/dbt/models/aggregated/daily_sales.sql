{{
    config(
        incremental_strategy='rebuild_days',
        on_schema_change='fail',
        pre_hook='{{ find_days_to_rebuild() }}',
    )
}}
select
    order_date,
    currency,
    count(*) filter (status <> 'cancelled') as orders,
    count(distinct customer_id) filter (status <> 'cancelled') as customers,
    cast(coalesce(sum(quantity) filter (status <> 'cancelled'), 0) as bigint) as units,
    cast(
        coalesce(sum(total_amount) filter (status <> 'cancelled'), 0) as decimal(38, 2)
    ) as sales,
    count(*) filter (status = 'cancelled') as cancelled_orders
from {{ ref('fct_orders') }}
{% if is_incremental() %} where {{ is_to_be_rebuilt() }} {% endif %}
group by order_date, currency
