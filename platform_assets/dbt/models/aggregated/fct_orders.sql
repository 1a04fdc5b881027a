{{
    config(
        incremental_strategy='affected',
        on_schema_change='fail',
        pre_hook=['{{ find_affected_orders() }}', '{{ find_superseded_versions() }}'],
    )
}}
{#
  Facts and keys only. What describes a customer or a product is joined where it is read
  (stg_customers, stg_products), so a change of theirs needs no order to be built again.
#}
select * from ({{ versions() }}) anti join superseded_versions using (order_id, _partition)
