-- Writes profiles that are stored already, each at the place where it was found. The caller holds the counters of their
-- accounts, under which nobody else moves them; a descent of the index for each, and the check for a conflict, are spared.
create function pbx.rewrite(places tid[], profiles json[], digests bigint[], source text) returns void language plpgsql
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
  set jit = off as $$
declare
  written bigint;
begin
  update pbx.profiles p
     set source = rewrite.source, profile = i.profile, digest = i.digest, missing_since = null, deleted_at = null,
         updated_at = now()
    from unnest(places, profiles, digests) as i (place, profile, digest)
   where p.ctid = i.place;
  get diagnostics written = row_count;
  if written <> cardinality(places) then
    raise serialization_failure using message = 'profiles moved while their accounts were locked';
  end if;
end $$;
