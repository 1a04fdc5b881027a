{#
  Which partitions a run builds. They come in the environment variable AGGREGATES_PARTITIONS, as a
  JSON list of spans [first, last], and are read only while a statement runs: as `--vars`, or read
  while parsing, every run would have dbt parse the project anew.
#}
{% macro run_partitions(column='_partition') -%}
  {%- if not execute -%}
    true
  {%- else -%}
    {{ in_spans(fromjson(env_var('AGGREGATES_PARTITIONS', '[["", "~"]]')), column) }}
  {%- endif -%}
{%- endmacro %}


{# Which partitions have rows that the run must not take, in the variable AGGREGATES_HELD. #}
{% macro held_partitions() -%}
  {{ in_spans(fromjson(env_var('AGGREGATES_HELD', '[]')) if execute else [], '_partition') }}
{%- endmacro %}


{% macro in_spans(spans, column) -%}
  {%- if not spans -%}
    false
  {%- else -%}
    ({{ column }} between '{{ spans[0][0] }}' and '{{ spans[-1][1] }}' and (
      {%- for first, last in spans %}
      {{ column }} between '{{ first }}' and '{{ last }}'{{ ' or' if not loop.last }}
      {%- endfor %}))
  {%- endif -%}
{%- endmacro %}


{# Lets a test of the project say `where: __run_partitions__`, which YAML cannot compute. #}
{% macro get_where_subquery(relation) -%}
  {%- set where = config.get('where', '') -%}
  {%- if where -%}
    {%- set where = where | replace('__run_partitions__', run_partitions()) -%}
    {%- set where = where | replace('__run_days__', run_partitions('cast(order_date as varchar)')) -%}
    (select * from {{ relation }} where {{ where }}) dbt_subquery
  {%- else -%}
    {{ relation }}
  {%- endif -%}
{%- endmacro %}


{# Schemas are named as they are configured, not after the profile's. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ custom_schema_name or target.schema }}
{%- endmacro %}
