-- The budget of requests to Microsoft, shared by all processes of teams-sync: one row for the app and one for each
-- tenant spoken to. A row is a virtual schedule (GCRA) on the database's clock: each request moves `booked` on by one
-- interval and may go once it is no more than a burst ahead. `share` is the part of the configured rate in force since
-- `changed`; it falls when Microsoft throttles and comes back evenly. Nothing is sold while the gate is shut.
create table sync.budgets (
  scope      text primary key check (scope ~ '^(app|tenant):.'),
  booked     timestamptz not null default '2000-01-01',
  share      float8 not null default 1 check (share > 0 and share <= 1),
  changed    timestamptz not null default clock_timestamp(),
  shut_until timestamptz,
  parked     boolean not null default false,
  check (shut_until is not null or not parked)
) with (fillfactor = 50);

grant select, insert, update, delete on sync.budgets to tandem_teams_sync;
grant select on sync.budgets to tandem_operator;

-- Books requests of a scope: how long until they may go, or how long the gate stays shut. These commits need not
-- reach the disk before they are answered: after a crash of the server a moment's requests are missing in the books.
create function sync.buy(
  named text, per_second float8, burst integer, requests integer, recovery_per_s float8
) returns table (after_ms float8, shut_ms float8, parked boolean) language plpgsql as $$
declare
  b      sync.budgets;
  moment timestamptz;
  step   interval;
begin
  perform set_config('synchronous_commit', 'off', true);
  for pass in 1 .. 2 loop
    select * into b from sync.budgets s where s.scope = named for update;
    exit when found;
    insert into sync.budgets (scope) values (named) on conflict do nothing;
  end loop;
  moment := clock_timestamp();
  if b.shut_until > moment then
    return query select 0::float8, extract(epoch from b.shut_until - moment)::float8 * 1000, b.parked;
    return;
  end if;
  step := interval '1 s' / (per_second * least(1, b.share + recovery_per_s * extract(epoch from moment - b.changed)::float8));
  -- behind a gate that was shut there is one request, not a burst
  b.booked := greatest(b.booked, b.shut_until + step * (burst - 1), moment) + step * requests;
  update sync.budgets s set booked = b.booked, shut_until = null, parked = false where s.scope = named;
  return query select greatest(0, extract(epoch from b.booked - moment - step * burst)::float8 * 1000), 0::float8, false;
end $$;

-- Shuts the gate of a scope and cuts its rate, once for all answers of one event, and tells who listens.
create function sync.shut(
  named text, wait_ms float8, park boolean, cut float8, floor float8, recovery_per_s float8
) returns void language plpgsql as $$
declare
  b      sync.budgets;
  moment timestamptz;
begin
  perform set_config('synchronous_commit', 'off', true);
  for pass in 1 .. 2 loop
    select * into b from sync.budgets s where s.scope = named for update;
    exit when found;
    insert into sync.budgets (scope) values (named) on conflict do nothing;
  end loop;
  moment := clock_timestamp();
  if b.shut_until is null or b.shut_until <= moment then
    b.share := greatest(floor, cut * least(1, b.share + recovery_per_s * extract(epoch from moment - b.changed)::float8));
    b.changed := moment;
    b.parked := false;
  end if;
  b.shut_until := greatest(b.shut_until, moment + wait_ms * interval '1 ms');
  update sync.budgets s set share = b.share, changed = b.changed, shut_until = b.shut_until, parked = b.parked or park
   where s.scope = named;
  perform pg_notify('tandem_throttled', json_build_object('scope', named, 'parked', b.parked or park,
    'wait_ms', ceil(extract(epoch from b.shut_until - moment)::float8 * 1000)::bigint)::text);
end $$;

revoke execute on function sync.buy(text, float8, integer, integer, float8) from public;
revoke execute on function sync.shut(text, float8, boolean, float8, float8, float8) from public;
grant execute on function sync.buy(text, float8, integer, integer, float8) to tandem_teams_sync;
grant execute on function sync.shut(text, float8, boolean, float8, float8, float8) to tandem_teams_sync;
