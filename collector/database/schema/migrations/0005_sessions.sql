-- Sessions, what is still to be written into their start events, and users' descriptions that wait for their event.

-- A worker that begins a session locks its key's row until the commit: two workers never begin the same one.
CREATE TABLE session_keys (
    project_id uuid NOT NULL,
    digest     bytea NOT NULL,
    seen_utc   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, digest)
);

-- One row a session. `start_utc` and `last_utc` are dates of events; `heard_utc` and `due_utc` go by this server's clock.
CREATE TABLE sessions (
    project_id     uuid NOT NULL,
    start_event_id uuid NOT NULL,
    digest         bytea NOT NULL,                 -- SHA-1 of the id that its events name, or of its user's identity
    is_manual      boolean NOT NULL,               -- named by its events; otherwise found by user and date
    session_id     text NOT NULL,
    start_utc      timestamptz NOT NULL,
    last_utc       timestamptz NOT NULL,
    closed_utc     timestamptz,                    -- when its client said that it ended
    is_idle        boolean NOT NULL DEFAULT false, -- without activity for so long that it counts as ended
    has_error      boolean NOT NULL,
    heard_utc      timestamptz NOT NULL DEFAULT now(),
    due_utc        timestamptz,                    -- when to write it into its start event, or to check whether it is idle
    PRIMARY KEY (start_event_id, project_id)
) WITH (fillfactor = 80);
-- Both begin with what is nearly unique: whatever the planner believes of projects, no look goes through all of one.
CREATE INDEX sessions_key ON sessions (digest, project_id);
CREATE INDEX sessions_due ON sessions (due_utc) WHERE due_utc IS NOT NULL;

-- Descriptions come at any time after their event, also before it is stored.
CREATE TABLE user_descriptions (
    id           uuid PRIMARY KEY,                 -- that of the post
    project_id   uuid NOT NULL,
    reference_id text NOT NULL,                    -- the event's reference id, or its own
    description  bytea NOT NULL,                   -- UTF-8 JSON: what `jsonb` might refuse must not stop the worker
    tries        integer NOT NULL DEFAULT 0,
    stored_utc   timestamptz NOT NULL DEFAULT now(),
    due_utc      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX user_descriptions_due ON user_descriptions (due_utc);
