-- Codes that log a person in once: `headrace up` prints one as a link.
CREATE TABLE login_codes (
    digest      bytea PRIMARY KEY,                 -- SHA-256 of the code, which is kept nowhere
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_utc timestamptz NOT NULL
);
