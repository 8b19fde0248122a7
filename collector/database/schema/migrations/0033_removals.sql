-- What people asked to be deleted: the events of one stack, or all of a project, that were accepted until then.
CREATE TABLE removals (
    id              uuid PRIMARY KEY,
    project_id      uuid NOT NULL,
    stack_id        uuid,                          -- null: every stack of the project
    asked_utc       timestamptz NOT NULL,
    done_utc        timestamptz                    -- when nothing of it was left
);
CREATE INDEX removals_left ON removals (asked_utc) WHERE done_utc IS NULL;
