-- The session of a worker in the database, so that others can end it when the worker is dead.
ALTER TABLE IF EXISTS "{prefix}task"."worker" ADD COLUMN "worker_session" bigint DEFAULT NULL;
DO $do$ BEGIN IF to_regclass('"{prefix}task"."worker"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}task"."worker"."worker_session" IS ':int64:its session in the database, which is ended when it is dead'
; END IF; END $do$;
