-- Usage by the month of acceptance (UTC), counted with that by the hour: a year is shown without reading all its hours.

CREATE TABLE usage_months (
    project_id uuid NOT NULL,
    month      date NOT NULL,                      -- its first day
    outcome    text NOT NULL,
    reason     text NOT NULL DEFAULT '',
    events     bigint NOT NULL,
    PRIMARY KEY (project_id, month, outcome, reason)
);
INSERT INTO usage_months (project_id, month, outcome, reason, events)
    SELECT project_id, date_trunc('month', hour AT TIME ZONE 'UTC')::date, outcome, reason, sum(events)
    FROM usage GROUP BY 1, 2, 3, 4;
