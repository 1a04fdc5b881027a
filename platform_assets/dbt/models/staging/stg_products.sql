-- The catalogue as last delivered.
select * exclude (_source_file, _partition)
from {{ source('cleaned', 'products') }}
