{#
  touched_days: the days whose orders changed and whose sales are not rebuilt yet.

  It is written in the transaction that changes fct_orders and cleared in the one that rebuilds
  daily_sales. So a run that is killed in between loses nothing: the next one finds its days here.

  It always has one row without a day, and who writes the table replaces all rows. Two runs at
  once (a killed run's dbt may live on for a moment) therefore delete the same row, and DuckLake
  refuses the one that commits second; without that, both could insert the same order. A SQLite
  catalog refuses every overlap by itself, others do not.
#}
{% macro touched_days() -%}
  {{ target.database }}.staging.touched_days
{%- endmacro %}


{% macro ensure_touched_days() %}
  create schema if not exists {{ target.database }}.staging;
  create table if not exists {{ touched_days() }} (order_date date);
  insert into {{ touched_days() }}
  select null where not exists (from {{ touched_days() }})
{% endmacro %}


{# Statements that add the days of a query to the table. #}
{% macro touch_days(days) %}
  create or replace temp table days_to_rebuild as
  select order_date from {{ touched_days() }} union {{ days }};
  delete from {{ touched_days() }};
  insert into {{ touched_days() }} from days_to_rebuild;
{% endmacro %}


{% macro clear_touched_days() %}
  delete from {{ touched_days() }};
  insert into {{ touched_days() }} values (null)
{% endmacro %}
