-- Accounting: what the workers have finished, to be compared with what the doors have counted as accepted in Redis.

-- Which stream entry a batch was stored from: met again under that one it is a replay, under another a repeat.
ALTER TABLE stored_batches
    ADD COLUMN shard    integer NOT NULL DEFAULT 0,
    ADD COLUMN entry_id text NOT NULL DEFAULT '';

-- Further entries of a stored batch: a door whose reply was lost writes the batch again. Each is counted once.
CREATE TABLE repeated_entries (
    shard      integer NOT NULL,
    entry_id   text NOT NULL,
    batch_id   uuid NOT NULL,
    stored_utc timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, entry_id)
);
CREATE INDEX repeated_entries_stored ON repeated_entries USING brin (stored_utc);

-- Counted in the transaction that stores a batch. `events` is all that came out of the posts, whatever became of it.
CREATE TABLE finished (
    shard            integer PRIMARY KEY,
    batches          bigint NOT NULL,
    posts            bigint NOT NULL,
    events           bigint NOT NULL,
    repeated_batches bigint NOT NULL,
    repeated_posts   bigint NOT NULL
);
