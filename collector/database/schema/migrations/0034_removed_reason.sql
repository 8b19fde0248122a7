-- The reason that 0023 renamed, of dead letters that had been removed by then: otherwise the audit misses them.
INSERT INTO removed_dead_letters AS r (project_id, reason, letters)
    SELECT project_id, 'rejected_by_database', letters FROM removed_dead_letters WHERE reason = 'refused_by_database'
    ON CONFLICT (project_id, reason) DO UPDATE SET letters = r.letters + excluded.letters;
DELETE FROM removed_dead_letters WHERE reason = 'refused_by_database';
