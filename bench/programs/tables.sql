-- tables.sql: a database in memory, filled, indexed, joined and partly deleted.
CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, weight REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
INSERT INTO item SELECT i, (i * 7919) % 5003, 'item ' || ((i * 31337) % 99991), i * 0.5 FROM n;
CREATE INDEX by_owner ON item(owner);
CREATE INDEX by_name ON item(name);
SELECT count(*), sum(a.weight) FROM item a JOIN item b ON a.name = b.name WHERE a.owner < 200;
DELETE FROM item WHERE owner % 3 = 0;
SELECT owner, group_concat(name) FROM item GROUP BY owner ORDER BY owner LIMIT 3 OFFSET 900;
