-- Between which dates the events of each leaf lie, so that a search for some dates reads few leaves. A leaf's row is
-- made with it, empty; a worker widens it before it stores. See collector/database/leaf_dates.py.
CREATE TABLE leaf_dates (
    day      date PRIMARY KEY,
    smallest timestamptz NOT NULL DEFAULT 'infinity',
    largest  timestamptz NOT NULL DEFAULT '-infinity'
);

-- What is in the existing leaves is unknown: they may hold all dates.
INSERT INTO leaf_dates (day, smallest, largest)
SELECT substr(c.relname, 8)::date, '-infinity', 'infinity'
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'events'::regclass AND c.relname ~ '^events_\d{8}$';
