-- The token with which the first user may sign up, until there is a user. In clear: each process prints it at its start.
CREATE TABLE first_invitation (
    is_only     boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    token       text NOT NULL,
    created_utc timestamptz NOT NULL DEFAULT now()
);
