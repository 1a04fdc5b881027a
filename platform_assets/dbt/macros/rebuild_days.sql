{# daily_sales, incrementally: the days in touched_days are deleted and computed again. #}
{% macro find_days_to_rebuild() %}
  {%- if is_incremental() %}
    -- Constants, known when a statement is planned: files outside of them are not even opened.
    set variable first_day = (select min(order_date) from touched_days);
    set variable last_day = (select max(order_date) from touched_days)
  {%- endif %}
{% endmacro %}


{% macro is_to_be_rebuilt() -%}
  order_date between getvariable('first_day') and getvariable('last_day')
  and order_date in (select order_date from touched_days)
{%- endmacro %}


{# The incremental strategy `rebuild_days`. #}
{% macro get_incremental_rebuild_days_sql(args) %}
  {%- set columns = get_quoted_csv(args['dest_columns'] | map(attribute='name')) %}
  delete from {{ args['target_relation'] }} where {{ is_to_be_rebuilt() }};
  insert into {{ args['target_relation'] }} ({{ columns }})
  select {{ columns }} from {{ args['temp_relation'] }}
{% endmacro %}
