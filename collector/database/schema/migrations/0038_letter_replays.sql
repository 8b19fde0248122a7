-- What it takes to make a post of a dead letter again.
ALTER TABLE dead_letters
    ADD COLUMN api_version  smallint NOT NULL DEFAULT 2,
    ADD COLUMN kind         text NOT NULL DEFAULT '',
    ADD COLUMN reference_id text NOT NULL DEFAULT '';

-- A replayed dead letter waits among the held posts. It is tried once, and becomes a dead letter again if it fails.
ALTER TABLE held_posts ADD COLUMN is_replay boolean NOT NULL DEFAULT false;
