-- Trials name the lab's own description of their task.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}behavior' AND table_name = '_trial_set');
SET @change = IF(@there, 'ALTER TABLE `{prefix}behavior`.`_trial_set`
  ADD COLUMN `paradigm` varchar(32) NOT NULL DEFAULT "" COMMENT ":varchar(32):of the description that the lab gives of the task; empty without one"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
