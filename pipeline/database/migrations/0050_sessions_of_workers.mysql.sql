-- The session of a worker in the database, so that others can end it when the worker is dead.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}task' AND table_name = 'worker');
SET @change = IF(@there, 'ALTER TABLE `{prefix}task`.`worker`
  ADD COLUMN `worker_session` bigint DEFAULT NULL COMMENT ":int64:its session in the database, which is ended when it is dead"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
