-- How many events of an organization may be stored in a month (UTC); none: any number.

ALTER TABLE organizations ADD COLUMN monthly_event_limit bigint CHECK (monthly_event_limit > 0);
