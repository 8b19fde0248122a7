-- Stacks: events of a project with the same signature. The id derives from both, so the worker knows it before it stores an event.
-- No index over what each transaction changes, and room left in the pages: so a new total stays in its page (HOT).
CREATE TABLE stacks (
    id                       uuid PRIMARY KEY,
    project_id               uuid NOT NULL,
    organization_id          uuid NOT NULL,
    type                     text NOT NULL,
    signature_hash           text NOT NULL,
    signature_info           jsonb NOT NULL,
    title                    text NOT NULL,
    description              text,
    status                   text NOT NULL DEFAULT 'open'
        CHECK (status IN ('open', 'fixed', 'regressed', 'snoozed', 'ignored', 'discarded')),
    total_occurrences        bigint NOT NULL DEFAULT 0,
    first_occurrence         timestamptz NOT NULL,
    last_occurrence          timestamptz NOT NULL,
    date_fixed               timestamptz,
    fixed_in_version         text,
    snooze_until_utc         timestamptz,
    occurrences_are_critical boolean NOT NULL DEFAULT false,
    "references"             text[] NOT NULL DEFAULT '{}',
    tags                     text[] NOT NULL DEFAULT '{}',    -- of the first event
    created_utc              timestamptz NOT NULL DEFAULT now(),
    updated_utc              timestamptz NOT NULL DEFAULT now(),
    UNIQUE (project_id, signature_hash)
) WITH (fillfactor = 70);
