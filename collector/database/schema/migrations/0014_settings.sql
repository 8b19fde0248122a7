-- What processes must agree on while they use this database: the last start that names a value decides for all.

CREATE TABLE settings (
    name text PRIMARY KEY,
    value text NOT NULL,
    changed_utc timestamptz NOT NULL DEFAULT now()
);
