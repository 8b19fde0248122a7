-- Bounds of what data that can never be stored may take: the totals of dead letters, to be read without reading them all.
CREATE TABLE dead_letter_totals (
    project_id uuid PRIMARY KEY,                   -- all zeros where the project is unknown
    letters    bigint NOT NULL,
    bytes      bigint NOT NULL                     -- of the bodies that are still there
);
INSERT INTO dead_letter_totals (project_id, letters, bytes)
    SELECT coalesce(project_id, '00000000-0000-0000-0000-000000000000'), count(*), sum(octet_length(body))
    FROM dead_letters GROUP BY 1;

-- Beyond the bounds a letter keeps its reason and loses its body.
ALTER TABLE dead_letters ADD COLUMN removed_bytes integer NOT NULL DEFAULT 0;

CREATE INDEX user_descriptions_project ON user_descriptions (project_id, id);
