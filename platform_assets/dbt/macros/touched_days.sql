{#
  touched_days: the days whose orders the run changes, which daily_sales has to compute again.

  A temporary table of the run's one connection: fct_orders and daily_sales are built in one
  transaction, so a run that ends in between has changed neither.
#}
{% macro touch_days(days) %}
  create or replace temp table touched_days as {{ days }};
{% endmacro %}
