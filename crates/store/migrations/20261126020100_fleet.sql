-- A job that waited because of its customer says nothing about how late we are.
alter table log.jobs add column excused boolean not null default false;
create index rollups_by_hour on log.rollups (hour);

-- What the states of all accounts are made of, each account in a few look-ups by key: `mask` has a bit for each fact of
-- `domain::account_state::Facts`, in its order. `oldest` is the first change that no job has brought to Teams.
create view admin.account_stands with (security_invoker = true) as
select a.account_id, a.name, a.auto_sync,
       least(w.first_change_at, q.first_change_at, case when l.state in ('failed', 'cancelled') then l.first_change_at end) as oldest,
       exists (select from pbx.bindings b where b.account_id = a.account_id)::int
       + (v.account_id is not null)::int * 2
       + (exists (select from admin.mappings m where m.account_id = a.account_id)
          or exists (select from sync.standing t where t.account_id = a.account_id))::int * 4
       + a.auto_sync::int * 8
       + coalesce(v.state not in ('none', 'healthy'), false)::int * 16
       + coalesce(v.state = 'healthy', false)::int * 32
       + coalesce(q.under_way, false)::int * 64
       + coalesce(l.state = 'failed', false)::int * 128
       + exists (select from sync.held h where h.account_id = a.account_id and h.closed_at is null)::int * 256
       + (i.account_id is not null)::int * 512
       + (w.first_change_at is not null or q.first_change_at is not null
          or coalesce(l.state in ('failed', 'cancelled') and l.first_change_at is not null, false))::int * 1024
       + (n.account_id is not null)::int * 2048 as mask
  from admin.accounts a
  left join vault.authorizations v using (account_id)
  left join queue.windows w using (account_id)
  left join lateral (select bool_or(j.parked is null) as under_way, min(j.first_change_at) as first_change_at
                       from queue.jobs j where j.account_id = a.account_id and j.state in ('queued', 'running')) q on true
  left join lateral (select j.state, j.first_change_at from log.jobs j
                      where j.account_id = a.account_id and j.finished_at is not null order by j.job_id desc limit 1) l on true
  left join (select distinct u.account_id from sync.users u
              where u.outcome in ('conflict', 'failed') or u.settle_issue is not null) i using (account_id)
  left join (select distinct u.account_id from sync.users u
              where u.confirmed_gen > u.settled_gen and u.settle_issue is null) n using (account_id);
grant select on admin.account_stands to tandem_portal_fleet;
select ops.admit('log.rollups', 'tandem_portal_fleet');
