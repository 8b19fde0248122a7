-- A restored database knows less than has left the queue, or more if the queue is a new one. The difference is
-- recorded by the restore, in batches of each shard: positive for what is lost, negative for what another
-- queue accepted.
ALTER TABLE processed ADD COLUMN restored_batches bigint NOT NULL DEFAULT 0;
