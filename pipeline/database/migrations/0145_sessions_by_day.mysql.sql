-- The newest sessions, in the order in which the lists of the server and of the class have them.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}acquisition' AND table_name = 'session') AND NOT EXISTS
  (SELECT 1 FROM information_schema.statistics
  WHERE table_schema = '{prefix}acquisition' AND table_name = 'session' AND index_name = 'session_date');
SET @change = IF(@there, 'CREATE INDEX `session_date` ON `{prefix}acquisition`.`session` (`session_date`, `subject`, `session_number`)', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
