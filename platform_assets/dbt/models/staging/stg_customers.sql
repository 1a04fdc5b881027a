-- Of each customer the newest version: by updated_at, then by the partition that it came in.
select * exclude (_source_file)
from {{ source('cleaned', 'customers') }}
qualify row_number() over (
    partition by customer_id order by updated_at desc, _partition desc
) = 1
