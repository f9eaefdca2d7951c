-- What other programs keep with an operation.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}action' AND table_name = 'surgery');
SET @change = IF(@there, 'ALTER TABLE `{prefix}action`.`surgery`
  ADD COLUMN `surgery_json` json DEFAULT NULL COMMENT ":json:what other programs keep with the operation"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
