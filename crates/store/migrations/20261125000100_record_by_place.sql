-- Records changes as change.record of nine arguments does, but leaves the counting to the caller: it names each account
-- once, in key order, with the number of its changes, and tells of each change the place of its account in that list and
-- which of the account's changes it is, both from 1. So the rows need no sorting here. That function stays for programs
-- of the release before.
create function change.record(
  own uuid[], counts integer[], places integer[], nths integer[], users text[], kinds text[], fields text[],
  befores json[], afters json[], source text, detected timestamptz[], saved timestamptz[]
) returns table (account_id uuid, gen bigint) language plpgsql
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
  set jit = off as $$
declare
  bases bigint[];
  gens  bigint[];
begin
  perform 1 from change.generations g where g.account_id = any (own) order by g.account_id for update;
  with raised as (
    update change.generations g set gen = g.gen + c.n, changed_at = now()
      from unnest(own, counts) as c (a, n)
     where g.account_id = c.a
    returning g.account_id, g.gen, g.gen - c.n as base
  )
  select array_agg(r.base order by r.account_id), array_agg(r.gen order by r.account_id) into bases, gens from raised r;
  if cardinality(gens) is distinct from cardinality(own) then
    raise foreign_key_violation using message = 'a change names an account without a counter';
  end if;
  insert into change.log (account_id, gen, pbx_user_id, kind, fields, before, after, source, detected_at, saved_at)
  select own[i.place], bases[i.place] + i.nth, i.pbx_user, i.kind, string_to_array(i.fieldlist, ','), i.before, i.after,
         record.source, i.detected_at, i.saved_at
    from unnest(places, nths, users, kinds, fields, befores, afters, detected, saved)
           as i (place, nth, pbx_user, kind, fieldlist, before, after, detected_at, saved_at);
  return query select * from unnest(own, gens);
end $$;

-- Room on the page lets an updated row stay on it, and spares its entries in the indexes.
alter table pbx.profiles set (fillfactor = 70);
