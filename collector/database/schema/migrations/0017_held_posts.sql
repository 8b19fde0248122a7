-- Posts of projects whose events are mostly refused: as they came, until they are tried again. What came out of them is
-- counted when it is stored, so the account adds up meanwhile.
CREATE TABLE held_posts (
    id         uuid PRIMARY KEY,                   -- the post's
    project_id uuid NOT NULL,
    shard      integer NOT NULL,
    post       bytea NOT NULL,                     -- msgpack
    unpacked_limit_bytes bigint NOT NULL,
    held_utc   timestamptz NOT NULL DEFAULT now(),
    due_utc    timestamptz NOT NULL DEFAULT now() + interval '1 minute',
    tries      integer NOT NULL DEFAULT 0
);
CREATE INDEX held_posts_project ON held_posts (project_id, due_utc);
CREATE INDEX held_posts_due ON held_posts (due_utc);
