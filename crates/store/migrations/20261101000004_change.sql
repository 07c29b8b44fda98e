create table change.generations (
  account_id uuid primary key references admin.accounts on delete cascade,
  gen        bigint not null default 0,
  changed_at timestamptz
) with (fillfactor = 50);

create table change.log (
  account_id  uuid not null,
  gen         bigint not null,
  pbx_user_id text,
  kind        text not null,
  fields      text[] not null,
  before      json,
  after       json,
  source      text not null,
  detected_at timestamptz not null,
  saved_at    timestamptz,
  primary key (account_id, gen),
  check (kind in ('created', 'updated', 'deleted', 'mapped', 'unmapped', 'settings')),
  check ((pbx_user_id is null) = (kind = 'settings'))
);

-- The one way to record changes. Locks the accounts' counters in key order, so that generations are given in commit
-- order and two batches over the same accounts cannot deadlock. Returns each account's generation after the batch.
-- Everything is looked up by key, whatever the statistics say about tables that were empty a moment ago. An account's
-- place among the batch's accounts, not a join, leads from a change to its generation: the lists are in key order.
create function change.record(
  accounts uuid[], users text[], kinds text[], fields text[], befores json[], afters json[],
  source text, detected timestamptz[], saved timestamptz[]
) returns table (account_id uuid, gen bigint, changes bigint) language plpgsql
  set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  own  uuid[];
  last bigint[];
  n    bigint[];
begin
  perform 1 from change.generations g where g.account_id = any (accounts) order by g.account_id for update;
  with raised as (
    update change.generations g set gen = g.gen + c.n, changed_at = now()
      from (select a, count(*) as n from unnest(accounts) a group by a) c
     where g.account_id = c.a
    returning g.account_id, g.gen, c.n
  )
  select array_agg(r.account_id order by r.account_id), array_agg(r.gen order by r.account_id),
         array_agg(r.n order by r.account_id) into own, last, n from raised r;
  if (select count(distinct a) from unnest(accounts) a) <> coalesce(cardinality(own), 0) then
    raise foreign_key_violation using message = 'a change names an account without a counter';
  end if;
  insert into change.log (account_id, gen, pbx_user_id, kind, fields, before, after, source, detected_at, saved_at)
  select i.account,
         last[dense_rank() over a] - n[dense_rank() over a] + row_number() over (partition by i.account order by i.ord),
         i.pbx_user, i.kind, string_to_array(i.fieldlist, ','), i.before, i.after, record.source, i.detected_at, i.saved_at
    from unnest(accounts, users, kinds, fields, befores, afters, detected, saved)
           with ordinality as i (account, pbx_user, kind, fieldlist, before, after, detected_at, saved_at, ord)
  window a as (order by i.account);
  return query select * from unnest(own, last, n);
end $$;

select ops.protect('change.generations', array['tandem_detector', 'tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);
select ops.protect('change.log', array['tandem_detector', 'tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);

grant select, update (gen, changed_at) on change.generations to tandem_detector, tandem_portal, tandem_operator;
grant insert on change.generations to tandem_operator;
grant select on change.generations to tandem_debouncer, tandem_teams_sync;
grant select, insert on change.log to tandem_detector, tandem_portal, tandem_operator;
grant select on change.log to tandem_debouncer, tandem_teams_sync;
