-- What lists of events look things up by, besides the date.

-- Events of one stack, and the neighbours of an event in it: without this the events of a rare stack would be
-- found only by looking at all others. Costs the server a fifteenth of what storing an event takes.
CREATE INDEX events_stack ON events (stack_id, date);
