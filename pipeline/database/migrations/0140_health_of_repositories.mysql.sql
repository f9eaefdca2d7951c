-- What other programs keep with a repository, e.g. how the lab server that holds it is.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}data' AND table_name = 'repository');
SET @change = IF(@there, 'ALTER TABLE `{prefix}data`.`repository`
  ADD COLUMN `repository_json` json DEFAULT NULL COMMENT ":json:what other programs keep with it, e.g. how the lab server that holds it is"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
