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
create function change.record(
  accounts uuid[], users text[], kinds text[], fields text[], befores json[], afters json[],
  source text, detected timestamptz[], saved timestamptz[]
) returns table (account_id uuid, gen bigint, changes bigint) language plpgsql as $$
begin
  perform 1 from change.generations g where g.account_id = any (accounts) order by g.account_id for update;
  return query
  with input as (
    select * from unnest(accounts, users, kinds, fields, befores, afters, detected, saved)
      with ordinality as i (account, pbx_user, kind, fieldlist, before, after, detected_at, saved_at, ord)
  ), counted as (
    select i.account, count(*) as n from input i group by i.account
  ), raised as (
    update change.generations g set gen = g.gen + c.n, changed_at = now()
      from counted c where g.account_id = c.account
      returning g.account_id as account, g.gen as last, c.n
  ), logged as (
    insert into change.log (account_id, gen, pbx_user_id, kind, fields, before, after, source, detected_at, saved_at)
    select i.account, r.last - r.n + row_number() over (partition by i.account order by i.ord),
           i.pbx_user, i.kind, string_to_array(i.fieldlist, ','), i.before, i.after, record.source, i.detected_at, i.saved_at
      from input i join raised r on r.account = i.account
  )
  select r.account, r.last, r.n from raised r;
end $$;

select ops.protect('change.generations', array['tandem_detector', 'tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);
select ops.protect('change.log', array['tandem_detector', 'tandem_debouncer', 'tandem_teams_sync', 'tandem_operator']);

grant select, update (gen, changed_at) on change.generations to tandem_detector, tandem_portal, tandem_operator;
grant insert on change.generations to tandem_operator;
grant select on change.generations to tandem_debouncer, tandem_teams_sync;
grant select, insert on change.log to tandem_detector, tandem_portal, tandem_operator;
grant select on change.log to tandem_debouncer, tandem_teams_sync;
