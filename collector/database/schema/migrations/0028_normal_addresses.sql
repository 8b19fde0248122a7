-- Addresses are stored in the normal form NFKC, so that full-width letters make no second account.
-- Where the normal form is taken, the later account keeps its spelling, with which logging in is no longer possible.

UPDATE users u SET email_address = normalize(lower(normalize(email_address, NFKC)), NFKC)
WHERE email_address IS NOT NFKC NORMALIZED
  AND NOT EXISTS (
      SELECT FROM users other
      WHERE other.id <> u.id
        AND normalize(lower(normalize(other.email_address, NFKC)), NFKC)
            = normalize(lower(normalize(u.email_address, NFKC)), NFKC)
        AND (other.email_address IS NFKC NORMALIZED OR other.id < u.id)
  );

UPDATE invitations i SET email_address = normalize(lower(normalize(email_address, NFKC)), NFKC)
WHERE email_address IS NOT NFKC NORMALIZED
  AND NOT EXISTS (
      SELECT FROM invitations other
      WHERE other.organization_id = i.organization_id AND other.token <> i.token
        AND normalize(lower(normalize(other.email_address, NFKC)), NFKC)
            = normalize(lower(normalize(i.email_address, NFKC)), NFKC)
  );
