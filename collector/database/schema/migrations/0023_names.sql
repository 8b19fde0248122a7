-- The words of the code: jobs that keep partitions, ids of batches and what was deleted; the reason of a dead letter
-- for a row that Postgres rejects.
UPDATE maintenance_runs SET job = 'partitions' WHERE job = 'leaves';
UPDATE maintenance_runs SET job = 'once:partitions' WHERE job = 'once:leaves';
UPDATE maintenance_runs SET job = 'once:batch_ids' WHERE job = 'once:stored_batches';
UPDATE maintenance_runs SET job = 'once:purge' WHERE job = 'once:left_behind';
UPDATE dead_letters SET reason = 'rejected_by_database' WHERE reason = 'refused_by_database';
UPDATE usage SET reason = 'rejected_by_database' WHERE reason = 'refused_by_database';
UPDATE usage_months SET reason = 'rejected_by_database' WHERE reason = 'refused_by_database';
