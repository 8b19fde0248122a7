"""The queue: streams of post batches, their shards and lanes, what is appended, read and left to do."""
