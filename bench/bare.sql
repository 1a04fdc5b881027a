-- The bare script: what an expert writes by hand for the same tables, without a platform.
--
-- It does the same reads and writes into the same lake format with the same memory and threads,
-- and its tables are compared with the platform's, checksum by checksum (compare.py). It has no
-- ledger, no gate, no history of attempts, no row numbers, no retry: it is one go from nothing.
-- It asks of the aggregates what the platform's tests of them ask.
-- It uses the plain casts that suffice for this data ('1.5' pieces would be cast to 2: the one
-- trap in it). $input is replaced by the shop's folder;
-- the session variables pii_inner and pii_outer hold the padded key of the keyed hash.
-- One statement ends with a semicolon at the end of a line; a line "-- stage: name" starts a stage.

-- stage: raw
CALL lake.set_option('parquet_compression', 'zstd');
CREATE SCHEMA lake.raw;
CREATE SCHEMA lake.cleaned;
CREATE SCHEMA lake.quarantine;
CREATE SCHEMA lake.aggregated;

CREATE TABLE lake.raw.customers AS
SELECT * EXCLUDE (filename), parse_filename(filename, true) AS _partition,
       'customers/' || parse_filename(filename) AS _source_file
FROM read_csv('$input/customers/*.csv', header=true, all_varchar=true, auto_detect=false,
    delim=',', quote='"', escape='"', filename=true, columns={customer_id: 'VARCHAR',
    email: 'VARCHAR', full_name: 'VARCHAR', phone: 'VARCHAR', country: 'VARCHAR',
    consent: 'VARCHAR', signed_up_at: 'VARCHAR', updated_at: 'VARCHAR'});

CREATE TABLE lake.raw.products AS
SELECT *, 'all' AS _partition, 'products/products.csv' AS _source_file
FROM read_csv('$input/products/products.csv', header=true, all_varchar=true, auto_detect=false,
    delim=',', quote='"', escape='"', columns={product_id: 'VARCHAR', name: 'VARCHAR',
    category: 'VARCHAR', unit_price: 'VARCHAR', cost: 'VARCHAR', active: 'VARCHAR'});

CREATE TABLE lake.raw.orders AS
SELECT * EXCLUDE (filename), parse_filename(filename, true) AS _partition,
       'orders/' || parse_filename(filename) AS _source_file
FROM read_csv('$input/orders/*.csv', header=true, all_varchar=true, auto_detect=false,
    delim=',', quote='"', escape='"', filename=true, columns={order_id: 'VARCHAR',
    customer_id: 'VARCHAR', product_id: 'VARCHAR', quantity: 'VARCHAR', unit_price: 'VARCHAR',
    total_amount: 'VARCHAR', currency: 'VARCHAR', status: 'VARCHAR', channel: 'VARCHAR',
    country: 'VARCHAR', ordered_at: 'VARCHAR', updated_at: 'VARCHAR'});

-- stage: customers
CREATE TEMP TABLE bad_customers AS
SELECT rowid AS id, list_filter([
    CASE WHEN customer_id IS NULL THEN 'customer_id__not_null' END,
    CASE WHEN email IS NULL THEN 'email__not_null' END,
    CASE WHEN NOT regexp_matches(email, '^[^@\s]+@[^@\s]+\.[^@\s]+$')
        THEN 'email__str_matches' END,
    CASE WHEN full_name IS NULL THEN 'full_name__not_null' END,
    CASE WHEN country IS NULL THEN 'country__not_null' END,
    CASE WHEN length(country) <> 2 THEN 'country__str_length' END,
    CASE WHEN consent IS NOT NULL AND TRY_CAST(consent AS BOOLEAN) IS NULL
        THEN 'consent__castable' END,
    CASE WHEN consent IS NULL THEN 'consent__not_null' END,
    CASE WHEN signed_up_at IS NOT NULL AND TRY_CAST(signed_up_at AS TIMESTAMP) IS NULL
        THEN 'signed_up_at__castable' END,
    CASE WHEN signed_up_at IS NULL THEN 'signed_up_at__not_null' END,
    CASE WHEN updated_at IS NOT NULL AND TRY_CAST(updated_at AS TIMESTAMP) IS NULL
        THEN 'updated_at__castable' END,
    CASE WHEN updated_at IS NULL THEN 'updated_at__not_null' END
    ], lambda name: name IS NOT NULL) AS rules
FROM lake.raw.customers
WHERE customer_id IS NULL OR email IS NULL
   OR NOT regexp_matches(email, '^[^@\s]+@[^@\s]+\.[^@\s]+$') OR full_name IS NULL
   OR country IS NULL OR length(country) <> 2 OR TRY_CAST(consent AS BOOLEAN) IS NULL
   OR TRY_CAST(signed_up_at AS TIMESTAMP) IS NULL OR TRY_CAST(updated_at AS TIMESTAMP) IS NULL;

CREATE TEMP TABLE old_customers AS
WITH repeated AS (
    SELECT _partition, customer_id FROM lake.raw.customers
    GROUP BY ALL HAVING count(*) > 1
)
SELECT rowid AS id FROM lake.raw.customers SEMI JOIN repeated USING (_partition, customer_id)
WHERE rowid NOT IN (SELECT id FROM bad_customers)
QUALIFY row_number() OVER (PARTITION BY _partition, customer_id
    ORDER BY CAST(updated_at AS TIMESTAMP) DESC, rowid DESC) > 1;

CREATE TABLE lake.cleaned.customers AS
SELECT customer_id,
       sha256(getvariable('pii_outer')
           || unhex(sha256(getvariable('pii_inner') || encode(email)))) AS email,
       CASE WHEN phone IS NOT NULL THEN CASE
           WHEN regexp_matches(phone, '^[^@\s]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)$')
           THEN '***@' || split_part(phone, '@', 2) ELSE '***' END END AS phone,
       country, CAST(consent AS BOOLEAN) AS consent,
       CAST(signed_up_at AS TIMESTAMP) AS signed_up_at, CAST(updated_at AS TIMESTAMP) AS updated_at,
       _partition, _source_file
FROM lake.raw.customers
WHERE rowid NOT IN (SELECT id FROM bad_customers UNION ALL SELECT id FROM old_customers);

CREATE TABLE lake.quarantine.customers AS
SELECT r._partition AS partition, b.rules, r.customer_id AS row_key,
       r._source_file AS source_file, to_json(struct_pack(customer_id := r.customer_id,
           email := r.email, full_name := r.full_name, phone := r.phone, country := r.country,
           consent := r.consent, signed_up_at := r.signed_up_at,
           updated_at := r.updated_at)) AS original_row
FROM lake.raw.customers AS r JOIN bad_customers AS b ON r.rowid = b.id;

-- stage: products
CREATE TEMP TABLE bad_products AS
SELECT rowid AS id, list_filter([
    CASE WHEN product_id IS NULL THEN 'product_id__not_null' END,
    CASE WHEN name IS NULL THEN 'name__not_null' END,
    CASE WHEN category IS NULL THEN 'category__not_null' END,
    CASE WHEN unit_price IS NOT NULL AND TRY_CAST(unit_price AS DECIMAL(18, 2)) IS NULL
        THEN 'unit_price__castable' END,
    CASE WHEN unit_price IS NULL THEN 'unit_price__not_null' END,
    CASE WHEN TRY_CAST(unit_price AS DECIMAL(18, 2)) < 0 THEN 'unit_price__ge' END,
    CASE WHEN cost IS NOT NULL AND TRY_CAST(cost AS DECIMAL(18, 2)) IS NULL
        THEN 'cost__castable' END,
    CASE WHEN cost IS NULL THEN 'cost__not_null' END,
    CASE WHEN TRY_CAST(cost AS DECIMAL(18, 2)) < 0 THEN 'cost__ge' END,
    CASE WHEN active IS NOT NULL AND TRY_CAST(active AS BOOLEAN) IS NULL
        THEN 'active__castable' END,
    CASE WHEN active IS NULL THEN 'active__not_null' END
    ], lambda name: name IS NOT NULL) AS rules
FROM lake.raw.products;

CREATE TABLE lake.cleaned.products AS
SELECT product_id, name, category, CAST(unit_price AS DECIMAL(18, 2)) AS unit_price,
       CAST(cost AS DECIMAL(18, 2)) AS cost, CAST(active AS BOOLEAN) AS active,
       _partition, _source_file
FROM lake.raw.products
WHERE rowid NOT IN (SELECT id FROM bad_products WHERE rules <> [])
QUALIFY row_number() OVER (PARTITION BY product_id ORDER BY rowid DESC) = 1;

CREATE TABLE lake.quarantine.products AS
SELECT r._partition AS partition, b.rules, r.product_id AS row_key,
       r._source_file AS source_file, to_json(struct_pack(product_id := r.product_id,
           name := r.name, category := r.category, unit_price := r.unit_price, cost := r.cost,
           active := r.active)) AS original_row
FROM lake.raw.products AS r JOIN bad_products AS b ON r.rowid = b.id WHERE b.rules <> [];

-- stage: orders
CREATE TEMP TABLE bad_orders AS
SELECT id, list_filter([
    CASE WHEN order_id IS NULL THEN 'order_id__not_null' END,
    CASE WHEN customer_id IS NULL THEN 'customer_id__not_null' END,
    CASE WHEN orphan THEN 'customer_id__references_customers' END,
    CASE WHEN product_id IS NULL THEN 'product_id__not_null' END,
    CASE WHEN unknown_product THEN 'product_id__references_products' END,
    CASE WHEN quantity IS NOT NULL AND pieces IS NULL THEN 'quantity__castable' END,
    CASE WHEN quantity IS NULL THEN 'quantity__not_null' END,
    CASE WHEN pieces < 1 THEN 'quantity__ge' END,
    CASE WHEN unit_price IS NOT NULL AND price IS NULL THEN 'unit_price__castable' END,
    CASE WHEN unit_price IS NULL THEN 'unit_price__not_null' END,
    CASE WHEN price < 0 THEN 'unit_price__ge' END,
    CASE WHEN total_amount IS NOT NULL AND total IS NULL THEN 'total_amount__castable' END,
    CASE WHEN total_amount IS NULL THEN 'total_amount__not_null' END,
    CASE WHEN total < 0 THEN 'total_amount__ge' END,
    CASE WHEN currency IS NULL THEN 'currency__not_null' END,
    CASE WHEN currency NOT IN ('GBP', 'EUR', 'USD') THEN 'currency__isin' END,
    CASE WHEN status IS NULL THEN 'status__not_null' END,
    CASE WHEN status NOT IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled', 'returned')
        THEN 'status__isin' END,
    CASE WHEN channel IS NULL THEN 'channel__not_null' END,
    CASE WHEN channel NOT IN ('web', 'app', 'store', 'phone') THEN 'channel__isin' END,
    CASE WHEN country IS NULL THEN 'country__not_null' END,
    CASE WHEN length(country) <> 2 THEN 'country__str_length' END,
    CASE WHEN ordered_at IS NOT NULL AND ordered IS NULL THEN 'ordered_at__castable' END,
    CASE WHEN ordered_at IS NULL THEN 'ordered_at__not_null' END,
    CASE WHEN updated_at IS NOT NULL AND updated IS NULL THEN 'updated_at__castable' END,
    CASE WHEN updated_at IS NULL THEN 'updated_at__not_null' END
    ], lambda name: name IS NOT NULL) AS rules
FROM (
    SELECT rowid AS id, order_id, customer_id, product_id, quantity, unit_price, total_amount,
           currency, status, channel, country, ordered_at, updated_at,
           CASE WHEN NOT contains(quantity, '.') THEN TRY_CAST(quantity AS BIGINT) END AS pieces,
           TRY_CAST(unit_price AS DECIMAL(18, 2)) AS price,
           TRY_CAST(total_amount AS DECIMAL(18, 2)) AS total,
           TRY_CAST(ordered_at AS TIMESTAMP) AS ordered,
           TRY_CAST(updated_at AS TIMESTAMP) AS updated,
           customer_id NOT IN (SELECT customer_id FROM lake.cleaned.customers) AS orphan,
           product_id NOT IN (SELECT product_id FROM lake.cleaned.products) AS unknown_product
    FROM lake.raw.orders
)
WHERE order_id IS NULL OR coalesce(orphan, true) OR coalesce(unknown_product, true)
   OR coalesce(pieces < 1, true) OR coalesce(price < 0, true) OR coalesce(total < 0, true)
   OR coalesce(currency NOT IN ('GBP', 'EUR', 'USD'), true)
   OR coalesce(status NOT IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled', 'returned'),
               true)
   OR coalesce(channel NOT IN ('web', 'app', 'store', 'phone'), true)
   OR coalesce(length(country) <> 2, true) OR ordered IS NULL OR updated IS NULL;

CREATE TEMP TABLE old_orders AS
WITH repeated AS (
    SELECT _partition, order_id FROM lake.raw.orders GROUP BY ALL HAVING count(*) > 1
)
SELECT rowid AS id FROM lake.raw.orders SEMI JOIN repeated USING (_partition, order_id)
WHERE rowid NOT IN (SELECT id FROM bad_orders)
QUALIFY row_number() OVER (PARTITION BY _partition, order_id
    ORDER BY CAST(updated_at AS TIMESTAMP) DESC, rowid DESC) > 1;

CREATE TABLE lake.cleaned.orders AS
SELECT order_id, customer_id, product_id, CAST(quantity AS BIGINT) AS quantity,
       CAST(unit_price AS DECIMAL(18, 2)) AS unit_price,
       CAST(total_amount AS DECIMAL(18, 2)) AS total_amount, currency, status, channel, country,
       CAST(ordered_at AS TIMESTAMP) AS ordered_at, CAST(updated_at AS TIMESTAMP) AS updated_at,
       _partition, _source_file
FROM lake.raw.orders
WHERE rowid NOT IN (SELECT id FROM bad_orders UNION ALL SELECT id FROM old_orders);

CREATE TABLE lake.quarantine.orders AS
SELECT r._partition AS partition, b.rules, r.order_id AS row_key,
       r._source_file AS source_file, to_json(struct_pack(order_id := r.order_id,
           customer_id := r.customer_id, product_id := r.product_id, quantity := r.quantity,
           unit_price := r.unit_price, total_amount := r.total_amount, currency := r.currency,
           status := r.status, channel := r.channel, country := r.country,
           ordered_at := r.ordered_at, updated_at := r.updated_at)) AS original_row
FROM lake.raw.orders AS r JOIN bad_orders AS b ON r.rowid = b.id;

-- stage: counts
SELECT _partition, count(*) FROM lake.raw.customers GROUP BY 1;
SELECT _partition, count(*) FROM lake.raw.orders GROUP BY 1;
SELECT _partition, count(*) FROM lake.cleaned.customers GROUP BY 1;
SELECT _partition, count(*) FROM lake.cleaned.orders GROUP BY 1;
SELECT partition, count(*) FROM lake.quarantine.customers GROUP BY 1;
SELECT partition, count(*) FROM lake.quarantine.orders GROUP BY 1;

-- stage: aggregates
CREATE TABLE lake.aggregated.fct_orders AS
WITH repeated AS (SELECT order_id FROM lake.cleaned.orders GROUP BY 1 HAVING count(*) > 1),
newest AS (
    SELECT * FROM lake.cleaned.orders ANTI JOIN repeated USING (order_id)
    UNION ALL
    (SELECT * FROM lake.cleaned.orders SEMI JOIN repeated USING (order_id)
     QUALIFY row_number() OVER (
         PARTITION BY order_id ORDER BY updated_at DESC, _partition DESC) = 1)
)
SELECT * EXCLUDE (_source_file), CAST(ordered_at AS DATE) AS order_date FROM newest;

CREATE TABLE lake.aggregated.daily_sales AS
SELECT order_date, currency, count(*) FILTER (status <> 'cancelled') AS orders,
       count(DISTINCT customer_id) FILTER (status <> 'cancelled') AS customers,
       CAST(coalesce(sum(quantity) FILTER (status <> 'cancelled'), 0) AS BIGINT) AS units,
       CAST(coalesce(sum(total_amount) FILTER (status <> 'cancelled'), 0) AS DECIMAL(38, 2))
           AS sales,
       count(*) FILTER (status = 'cancelled') AS cancelled_orders
FROM lake.aggregated.fct_orders GROUP BY ALL;

-- stage: tests
SELECT count(*) FROM lake.aggregated.fct_orders WHERE order_id IS NULL;
SELECT count(*) FROM lake.aggregated.fct_orders WHERE customer_id IS NULL;
SELECT count(*) FROM lake.aggregated.fct_orders WHERE total_amount IS NULL;
SELECT count(*) FROM lake.aggregated.fct_orders WHERE order_date IS NULL;
SELECT count(*) FROM (
    SELECT order_id FROM lake.aggregated.fct_orders GROUP BY 1 HAVING count(*) > 1);
SELECT count(*) FROM lake.aggregated.fct_orders
WHERE customer_id NOT IN (SELECT customer_id FROM lake.cleaned.customers);
SELECT count(*) FROM lake.aggregated.fct_orders
WHERE product_id NOT IN (SELECT product_id FROM lake.cleaned.products);
SELECT count(*) FROM lake.aggregated.fct_orders WHERE currency NOT IN ('GBP', 'EUR', 'USD');
SELECT count(*) FROM lake.aggregated.fct_orders
WHERE status NOT IN ('placed', 'paid', 'shipped', 'delivered', 'cancelled', 'returned');
SELECT count(*) FROM lake.aggregated.daily_sales WHERE order_date IS NULL;
SELECT count(*) FROM lake.aggregated.daily_sales WHERE sales < 0;
SELECT count(*) FROM lake.aggregated.daily_sales AS found
FULL JOIN (
    SELECT order_date, currency, sum(total_amount) FILTER (status <> 'cancelled') AS sales
    FROM lake.aggregated.fct_orders GROUP BY ALL
) AS expected USING (order_date, currency)
WHERE found.sales IS DISTINCT FROM coalesce(expected.sales, 0);
