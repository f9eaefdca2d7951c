-- A claim looks for the next task, for ended leases, and for its own token: none of them reads the whole table.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}task' AND table_name = 'task') AND NOT EXISTS
  (SELECT 1 FROM information_schema.statistics
  WHERE table_schema = '{prefix}task' AND table_name = 'task' AND index_name = 'task_claimed_next');
SET @change = IF(@there, 'CREATE INDEX `task_claimed_next` ON `{prefix}task`.`task` (`task_state`, `task_order`, `task_level`, `task_name`)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}task' AND table_name = 'task') AND NOT EXISTS
  (SELECT 1 FROM information_schema.statistics
  WHERE table_schema = '{prefix}task' AND table_name = 'task' AND index_name = 'task_lease_ends');
SET @change = IF(@there, 'CREATE INDEX `task_lease_ends` ON `{prefix}task`.`task` (`task_state`, `lease_until`)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}task' AND table_name = 'task') AND NOT EXISTS
  (SELECT 1 FROM information_schema.statistics
  WHERE table_schema = '{prefix}task' AND table_name = 'task' AND index_name = 'task_lease_token');
SET @change = IF(@there, 'CREATE INDEX `task_lease_token` ON `{prefix}task`.`task` (`lease_token`)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
