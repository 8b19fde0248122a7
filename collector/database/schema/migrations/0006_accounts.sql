-- Accounts: invitations, what a project says of itself, and what is left of projects that were deleted.

-- The token is kept in clear: no mail is sent, so the person who invites must be able to read it and pass it on.
CREATE TABLE invitations (
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    email_address   text NOT NULL,                 -- in lower case
    token           text NOT NULL UNIQUE,
    created_utc     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, email_address)
);

ALTER TABLE projects
    ADD COLUMN delete_bot_data_enabled boolean NOT NULL DEFAULT false,
    ADD COLUMN promoted_tabs           text[] NOT NULL DEFAULT '{}';

CREATE INDEX tokens_default_project ON tokens (default_project_id) WHERE default_project_id IS NOT NULL;

-- Projects whose events, stacks and so on a worker removes, step by step. No query finds these rows: each names existing projects.
CREATE TABLE deleted_projects (
    project_id      uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    deleted_utc     timestamptz NOT NULL DEFAULT now(),
    emptied_utc     timestamptz                    -- when nothing of it was left
);
CREATE INDEX deleted_projects_left ON deleted_projects (deleted_utc) WHERE emptied_utc IS NULL;

-- What was removed on purpose, written with the removal, so that the account still adds up.
CREATE TABLE removed_events (
    project_id uuid NOT NULL,
    day        date NOT NULL,                      -- of acceptance: that of the leaf
    events     bigint NOT NULL,
    PRIMARY KEY (project_id, day)
);
CREATE TABLE removed_dead_letters (
    project_id uuid NOT NULL,
    reason     text NOT NULL,
    letters    bigint NOT NULL,
    PRIMARY KEY (project_id, reason)
);
