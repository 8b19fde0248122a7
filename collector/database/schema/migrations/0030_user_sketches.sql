-- How many different users events have: sketches, made from the events of a day of acceptance once it is over. By hour for all of
-- a project's events of a type, by UTC day for those of a stack. Users are hashed; see collector/domain/accounting/user_sketch.py.

CREATE TABLE user_hours (
    day        date NOT NULL,
    project_id uuid NOT NULL,
    type       text NOT NULL,
    begin_utc  timestamptz NOT NULL,
    sketch     bytea NOT NULL,
    PRIMARY KEY (day, project_id, begin_utc, type)
);
CREATE TABLE stack_user_days (
    day        date NOT NULL,
    project_id uuid NOT NULL,
    stack_id   uuid NOT NULL,
    type       text NOT NULL,
    begin_utc  timestamptz NOT NULL,
    users      integer NOT NULL,                    -- what the sketch counts
    sketch     bytea NOT NULL,
    PRIMARY KEY (day, project_id, stack_id, type, begin_utc)
);
ALTER TABLE rollup_days ADD COLUMN has_users boolean NOT NULL DEFAULT false;
