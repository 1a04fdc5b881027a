{# No key of the run's partitions is there twice, in whatever partition the other one is. #}
{% test unique_in_run(model, column_name) %}
  select {{ column_name }}
  from {{ model }}
  {% if not flags.FULL_REFRESH %}
  where {{ column_name }} in (
    select {{ column_name }} from {{ model }} where {{ run_partitions() }}
  )
  {% endif %}
  group by {{ column_name }}
  having count(*) > 1
{% endtest %}
