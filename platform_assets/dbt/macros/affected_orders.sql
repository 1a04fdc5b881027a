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


{#
  The versions that the run looks at: of each partition those that it is to stand at after the run.

  A partition may have been cleaned anew and not be built, as its gate or a test keeps it out. Its
  new rows must not come in by way of an order that another partition has too: of such a partition
  the version counts that fct_orders has.
#}
{% macro versions() -%}
  {%- if is_incremental() -%}
    select * from {{ ref('stg_orders') }} where {{ is_affected() }} and not {{ held_partitions() }}
    {%- if held_partitions() != 'false' %}
    union all by name
    select * from {{ this }} where {{ is_affected() }} and {{ held_partitions() }}
    {%- endif -%}
  {%- else -%}
    select * from {{ ref('stg_orders') }} where not {{ held_partitions() }}
  {%- endif -%}
{%- endmacro %}
