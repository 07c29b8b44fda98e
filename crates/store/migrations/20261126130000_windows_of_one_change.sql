-- A moved window stays on its page, and its entries in the index of accounts as they are: an index by due_at made each move
-- write two new ones, a third of its cost. Looking through the table for what is due takes 0.1 us an account.
drop index queue.windows_due;

-- Locks windows that are due, the longest due first, skipping those that another debouncer works on. A queued job that
-- carries out an approval or an undo does not carry the changes of the window, which waits until that job was claimed. A
-- pause that began after the window had got its due time holds it back all the same. The accounts of such jobs, which are
-- few, are looked up first: beside each window the planner would have to guess rightly how many jobs are queued.
create function queue.due(most bigint) returns setof uuid language plpgsql
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
  set jit = off as $$
declare
  acting uuid[] := array(select j.account_id from queue.jobs j where j.state = 'queued' and j.cause in ('approval', 'undo'));
begin
  if exists (select from admin.fleet_pause f where f.until > now()) then
    return;
  end if;
  return query
  select d.account_id
    from (select w.account_id from queue.windows w where w.due_at <= now() order by w.due_at for update skip locked) d
   where d.account_id <> all (acting)
     and not coalesce((select a.paused_until > now() from admin.accounts a where a.account_id = d.account_id), false)
   limit most;
end $$;

-- As before, but of a window with one change, as nearly every one that opens has, only that change is looked at, and the
-- trace of an account stands beside it.
create or replace function queue.gather(
  accounts uuid[], traced uuid[], traces text[], quiet_ms integer, max_wait_ms integer
) returns table (account_id uuid, gathered_gen bigint, first_change_at timestamptz, due_at timestamptz) language plpgsql
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
  set jit = off as $$
declare
  held   uuid[];
  gens   bigint[];
  places tid[];
  own    text[];
  paused boolean := exists (select from admin.fleet_pause f where f.until > now());
begin
  for pass in 1 .. 2 loop
    select array_agg(h.account_id), array_agg(h.gathered_gen), array_agg(h.place) into held, gens, places
      from (select w.account_id, w.gathered_gen, w.ctid as place from queue.windows w
             where w.account_id = any (accounts) order by w.account_id for update) h;
    exit when pass = 2 or cardinality(held) = cardinality(accounts);
    insert into queue.windows (account_id)
    select a.account_id from admin.accounts a
     where a.account_id = any (accounts) and (held is null or a.account_id <> all (held))
    on conflict do nothing;
  end loop;
  -- a caller that names each account once, in the order of keys, has them as they are held
  own := case when traced = held then traces else array(select traces[array_position(traced, h)] from unnest(held) h) end;
  return query
  update queue.windows w
     set gathered_gen = c.upto,
         first_change_at = least(w.first_change_at, c.first_at), last_change_at = greatest(w.last_change_at, c.last_at),
         traceparent = coalesce(w.traceparent, case when c.first_at is not null then n.trace end),
         due_at = case
           when coalesce(w.first_change_at, c.first_at) is null or not a.auto_sync or a.paused_until > now() or paused then null
           when w.first_change_at is not null and w.due_at is null then now()
           else least(greatest(w.last_change_at, c.last_at) + coalesce(a.quiet_ms, gather.quiet_ms) * interval '1 ms',
                      least(w.first_change_at, c.first_at) + coalesce(a.max_wait_ms, gather.max_wait_ms) * interval '1 ms') end
    from (select unnest(held), unnest(gens), unnest(places), unnest(own)) as n (id, gen, place, trace)
   cross join lateral (
     select coalesce(m.upto, s.gen) as upto,
            case when m.upto is not null then m.first_at when s.counts then s.detected_at end as first_at,
            case when m.upto is not null then m.last_at when s.counts then s.detected_at end as last_at
       -- the next change, and whether it is one of change.counting
       from (select l.gen, l.detected_at,
                    l.kind in ('mapped', 'unmapped', 'settings')
                    or exists (select from admin.mappings m where m.account_id = l.account_id and m.pbx_user_id = l.pbx_user_id)
                    or exists (select from sync.standing s where s.account_id = l.account_id and s.pbx_user_id = l.pbx_user_id)
                    as counts
               from change.log l where l.account_id = n.id and l.gen > n.gen order by l.gen limit 1) s
       -- all of them, if there are more
       left join lateral (
         select u.gen as upto, least(f.detected_at, o.first_at) as first_at, greatest(e.detected_at, o.last_at) as last_at
           from (select l.gen from change.log l where l.account_id = n.id and l.gen > s.gen order by l.gen desc limit 1) u
           left join lateral (select l.gen, l.detected_at from change.counting l where l.account_id = n.id and l.gen > n.gen
                               order by l.gen limit 1) f on true
           left join lateral (select l.detected_at from change.counting l where l.account_id = n.id and l.gen >= f.gen
                               order by l.gen desc limit 1) e on true
           left join lateral (select min(l.detected_at) as first_at, max(l.detected_at) as last_at from change.counting l
                               where f.gen < u.gen and l.account_id = n.id and l.gen > n.gen
                                 and (l.detected_at < f.detected_at or l.detected_at > e.detected_at)) o on true) m on true
     offset 0) c
    join admin.accounts a on a.account_id = n.id
   -- a row stays where it is while it is locked
   where w.ctid = n.place
  returning w.account_id, w.gathered_gen, w.first_change_at, w.due_at;
end $$;
