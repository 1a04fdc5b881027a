{#
  fct_orders, incrementally: the orders that a partition of the run has, or had.

  affected_orders are the keys of cleaned rows in the run's partitions and of rows in fct_orders
  that came from them. For these the newest version is looked up among all cleaned rows. What came
  from a partition that was published anew without it is thus replaced by the version that is now
  the newest, or deleted where there is none.
#}
{% macro find_affected_orders() %}
  {%- if is_incremental() %}
    create or replace temp table affected_orders as
    select order_id from {{ ref('stg_orders') }} where {{ run_partitions() }}
    union
    select order_id from {{ this }} where {{ run_partitions() }};
    -- Constants, known when a statement is planned: files outside of them are not even opened.
    set variable first_affected = (select min(order_id) from affected_orders);
    set variable last_affected = (select max(order_id) from affected_orders)
  {%- elif execute and load_relation(this) is not none %}
    -- A full refresh: days that lose all their orders have to be rebuilt too.
    {{ touch_days('select order_date from ' ~ this) }}
  {%- endif %}
{% endmacro %}


{% macro is_affected() -%}
  order_id between getvariable('first_affected') and getvariable('last_affected')
  and order_id in (select order_id from affected_orders)
{%- endmacro %}


{# The incremental strategy `affected`. #}
{% macro get_incremental_affected_sql(args) %}
  {%- set columns = get_quoted_csv(args['dest_columns'] | map(attribute='name')) %}
  {{ touch_days(
      'select order_date from ' ~ args['target_relation'] ~ ' where ' ~ is_affected()
      ~ ' union select order_date from ' ~ args['temp_relation']
  ) }}
  delete from {{ args['target_relation'] }} where {{ is_affected() }};
  insert into {{ args['target_relation'] }} ({{ columns }})
  select {{ columns }} from {{ args['temp_relation'] }}
{% endmacro %}


{# After the first build and a full refresh all days have to be rebuilt. #}
{% macro touch_all_days_of_a_new_table() %}
  {%- if not is_incremental() %}
    {{ touch_days('select order_date from ' ~ this) }}
  {%- endif %}
{% endmacro %}


{#
  All versions of an order but the newest: by updated_at, then by the partition that it came in.

  Few orders have several. Ranking all rows would triple time and memory, so the repeated keys are
  found first and only their rows are ranked. They are kept in tables, not in subqueries, because
  only of a table does the engine know that it is small: otherwise it holds the ten million others
  in memory to find these few among them.
#}
{% macro find_superseded_versions() %}
  create or replace temp table repeated_orders as
  select order_id from ({{ versions() }}) group by order_id having count(*) > 1;
  create or replace temp table superseded_versions as
  select order_id, _partition
  from ({{ versions() }})
  where order_id in (select order_id from repeated_orders)
  qualify row_number() over (
    partition by order_id order by updated_at desc, _partition desc
  ) > 1
{% endmacro %}


{# The versions that the run looks at. #}
{% macro versions() -%}
  select * from {{ ref('stg_orders') }}
  {%- if is_incremental() %} where {{ is_affected() }}{% endif %}
{%- endmacro %}
