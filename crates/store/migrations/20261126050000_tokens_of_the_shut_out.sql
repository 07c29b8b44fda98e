-- Shutting somebody out ends the tokens for good: letting the person in again must bring none back, since somebody else may have it.
grant select (person_id, revoked_at), update (revoked_at) on admin.tokens to tandem_operator;
