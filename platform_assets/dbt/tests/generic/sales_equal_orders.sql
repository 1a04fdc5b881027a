{# Each day that the run's orders were placed on has exactly the sales of all its orders. #}
{% test sales_equal_orders(model, orders) %}
  with days as (
    select distinct order_date from {{ orders }} where {{ run_partitions() }}
  ),
  expected as (
    select order_date, currency, sum(total_amount) filter (status <> 'cancelled') as sales
    from {{ orders }} where order_date in (select order_date from days)
    group by order_date, currency
  ),
  found as (
    select order_date, currency, sales
    from {{ model }} where order_date in (select order_date from days)
  )
  select order_date, currency
  from expected full join found using (order_date, currency)
  where found.sales is distinct from coalesce(expected.sales, 0)
{% endtest %}
