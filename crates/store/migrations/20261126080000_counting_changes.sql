-- Changes that open a window: of mappings, of settings, and of users that are Teams-enabled or of whom something of ours
-- stands in Teams. The rows are those that the reader may see.
create view change.counting with (security_invoker = true) as
select l.account_id, l.gen, l.pbx_user_id, l.kind, l.fields, l.detected_at
  from change.log l
 where l.kind in ('mapped', 'unmapped', 'settings')
    or exists (select from admin.mappings m where m.account_id = l.account_id and m.pbx_user_id = l.pbx_user_id)
    or exists (select from sync.standing s where s.account_id = l.account_id and s.pbx_user_id = l.pbx_user_id);
grant select on change.counting to tandem_debouncer, tandem_portal, tandem_portal_fleet, tandem_notifier;

-- As before, and of what landed it is asked only of the first and the last change, in the order of their generations,
-- and of those detected before the one or after the other, whether they count: asking of each takes longer than anything
-- else here, and changes that land side by side are seldom detected in another order.
create or replace function queue.gather(
  accounts uuid[], traced uuid[], traces text[], quiet_ms integer, max_wait_ms integer
) returns table (account_id uuid, gathered_gen bigint, first_change_at timestamptz, due_at timestamptz) language plpgsql
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
  set jit = off as $$
declare
  held   uuid[];
  gens   bigint[];
  places tid[];
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
  return query
  update queue.windows w
     set gathered_gen = c.upto,
         first_change_at = least(w.first_change_at, c.first_at), last_change_at = greatest(w.last_change_at, c.last_at),
         traceparent = coalesce(w.traceparent, case when c.first_at is not null then (
           select t.trace from unnest(traced, traces) as t (id, trace) where t.id = n.id limit 1) end),
         due_at = case
           when coalesce(w.first_change_at, c.first_at) is null or not a.auto_sync or a.paused_until > now() or paused then null
           when w.first_change_at is not null and w.due_at is null then now()
           else least(greatest(w.last_change_at, c.last_at) + coalesce(a.quiet_ms, gather.quiet_ms) * interval '1 ms',
                      least(w.first_change_at, c.first_at) + coalesce(a.max_wait_ms, gather.max_wait_ms) * interval '1 ms') end
    from unnest(held, gens, places) as n (id, gen, place)
   cross join lateral (
     select u.gen as upto, least(f.detected_at, o.first_at) as first_at, greatest(e.detected_at, o.last_at) as last_at
       from (select l.gen from change.log l where l.account_id = n.id and l.gen > n.gen order by l.gen desc limit 1) u
       left join lateral (select l.gen, l.detected_at from change.counting l where l.account_id = n.id and l.gen > n.gen
                           order by l.gen limit 1) f on true
       left join lateral (select l.detected_at from change.counting l where l.account_id = n.id and l.gen >= f.gen
                           order by l.gen desc limit 1) e on true
       left join lateral (select min(l.detected_at) as first_at, max(l.detected_at) as last_at from change.counting l
                           where f.gen < u.gen and l.account_id = n.id and l.gen > n.gen
                             and (l.detected_at < f.detected_at or l.detected_at > e.detected_at)) o on true
     offset 0) c
    join admin.accounts a on a.account_id = n.id
   -- a row stays where it is while it is locked
   where w.ctid = n.place
  returning w.account_id, w.gathered_gen, w.first_change_at, w.due_at;
end $$;
