-- A worker that begins sessions holds advisory locks instead, in a transaction of its own.
DROP TABLE session_keys;
