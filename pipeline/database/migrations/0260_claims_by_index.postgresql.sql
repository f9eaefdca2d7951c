-- A claim looks for the next task, for ended leases, and for its own token: none of them reads the whole table.
DO $do$ BEGIN IF to_regclass('"{prefix}task"."task"') IS NOT NULL THEN
  CREATE INDEX IF NOT EXISTS "task_claimed_next"
    ON "{prefix}task"."task" ("task_state", "task_order", "task_level", "task_name")
; CREATE INDEX IF NOT EXISTS "task_lease_ends" ON "{prefix}task"."task" ("task_state", "lease_until")
; CREATE INDEX IF NOT EXISTS "task_lease_token" ON "{prefix}task"."task" ("lease_token")
; END IF; END $do$;
