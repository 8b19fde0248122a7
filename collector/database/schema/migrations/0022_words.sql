-- The words of the code: what workers have processed, and the dates in each partition.
ALTER TABLE finished RENAME TO processed;
ALTER INDEX finished_pkey RENAME TO processed_pkey;
ALTER TABLE leaf_dates RENAME TO partition_dates;
ALTER INDEX leaf_dates_pkey RENAME TO partition_dates_pkey;
