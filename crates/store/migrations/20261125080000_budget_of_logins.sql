-- The token endpoint of a tenant has a gate of its own: who was told to wait for a token may still use the one at hand.
alter table sync.budgets drop constraint budgets_scope_check;
alter table sync.budgets add constraint budgets_scope_check check (scope ~ '^(app|tenant|login):.');
