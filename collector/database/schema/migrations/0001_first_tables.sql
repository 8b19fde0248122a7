-- Who owns events, what may be done with which token, the events themselves and what became of every accepted one.

CREATE TABLE organizations (
    id           uuid PRIMARY KEY,
    name         text NOT NULL,
    is_suspended boolean NOT NULL DEFAULT false,
    created_utc  timestamptz NOT NULL DEFAULT now(),
    updated_utc  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projects (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    name            text NOT NULL,
    config_version  integer NOT NULL DEFAULT 1,    -- clients keep the greatest they saw: it must only grow
    settings        jsonb NOT NULL DEFAULT '{}',   -- the client configuration: texts by name
    created_utc     timestamptz NOT NULL DEFAULT now(),
    updated_utc     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX projects_organization ON projects (organization_id, name);

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email_address text NOT NULL UNIQUE,            -- in lower case
    full_name     text NOT NULL,
    password_hash text,                            -- argon2; none: cannot log in with a password
    roles         text[] NOT NULL DEFAULT '{}',
    is_active     boolean NOT NULL DEFAULT true,
    created_utc   timestamptz NOT NULL DEFAULT now(),
    updated_utc   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE organization_members (
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    user_id         uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX organization_members_user ON organization_members (user_id);

CREATE TABLE tokens (
    id                 text PRIMARY KEY,           -- the first 24 characters, or the whole of a shorter token
    digest             bytea NOT NULL,             -- SHA-256 of the whole
    clear_text         text,                       -- the whole, of tokens that may only post: these are shown in lists
    kind               text NOT NULL CHECK (kind IN ('access', 'login')),
    organization_id    uuid REFERENCES organizations ON DELETE CASCADE,
    project_id         uuid REFERENCES projects ON DELETE CASCADE,
    default_project_id uuid REFERENCES projects ON DELETE SET NULL,
    user_id            uuid REFERENCES users ON DELETE CASCADE,
    scopes             text[] NOT NULL DEFAULT '{}',
    expires_utc        timestamptz,
    notes              text,
    is_disabled        boolean NOT NULL DEFAULT false,
    created_utc        timestamptz NOT NULL DEFAULT now(),
    updated_utc        timestamptz NOT NULL DEFAULT now(),
    CHECK (clear_text IS NULL OR scopes = ARRAY['client']),
    CHECK (kind = 'access' OR user_id IS NOT NULL)
);
CREATE INDEX tokens_project ON tokens (project_id);
CREATE INDEX tokens_organization ON tokens (organization_id);
CREATE INDEX tokens_user ON tokens (user_id);

-- Partitioned by the time in the id. Leaves (`events_20261122`, one a UTC day) are made by the program, each with a
-- unique index of its own over (project_id, reference_id): see collector/database/leaves.py.
-- No foreign keys: what was accepted is stored, whatever became of its project meanwhile.
CREATE TABLE events (
    id                  uuid NOT NULL,
    project_id          uuid NOT NULL,
    organization_id     uuid NOT NULL,
    stack_id            uuid,
    date                timestamptz NOT NULL,
    created_utc         timestamptz NOT NULL,
    count               integer,
    date_offset_minutes smallint NOT NULL,         -- the offset that the sender wrote the date with
    is_first_occurrence boolean NOT NULL,
    reference_id        text,
    type                text NOT NULL,
    message             text,
    source              text,
    tags                text[] NOT NULL,
    value               numeric,
    geo                 text,
    data                jsonb,
    PRIMARY KEY (project_id, id)
) PARTITION BY RANGE (id);
CREATE INDEX events_date ON events (project_id, date);

-- A post batch is stored once: its id is written in the transaction that stores its events.
CREATE TABLE stored_batches (
    batch_id   uuid PRIMARY KEY,
    stored_utc timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stored_batches_stored ON stored_batches USING brin (stored_utc);

-- What can never be stored, with its bytes. The ids of an unreadable stream entry's owner are unknown.
CREATE TABLE dead_letters (
    id               uuid PRIMARY KEY,
    project_id       uuid,
    organization_id  uuid,
    reason           text NOT NULL,
    detail           text NOT NULL,
    body             bytea NOT NULL,
    content_type     text NOT NULL,
    content_encoding text NOT NULL,
    user_agent       text NOT NULL,
    client_ip        text NOT NULL,
    accepted_utc     timestamptz NOT NULL,
    created_utc      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dead_letters_project ON dead_letters (project_id, id);

-- Outcomes in events, by the hour of acceptance. Where the project is unknown its id is all zeros.
CREATE TABLE usage (
    project_id uuid NOT NULL,
    hour       timestamptz NOT NULL,
    outcome    text NOT NULL,
    reason     text NOT NULL DEFAULT '',
    events     bigint NOT NULL,
    PRIMARY KEY (project_id, hour, outcome, reason)
);

-- When each maintenance job last ran, by this server's clock.
CREATE TABLE maintenance_runs (
    job     text PRIMARY KEY,
    ran_utc timestamptz NOT NULL
);
