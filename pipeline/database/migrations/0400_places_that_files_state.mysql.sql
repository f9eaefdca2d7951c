-- Which locations of fields of view were read from files, and not entered.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}imaging' AND table_name = 'field_location') AND NOT EXISTS
  (SELECT 1 FROM information_schema.columns WHERE table_schema = '{prefix}imaging'
  AND table_name = 'field_location' AND column_name = 'location_of_files');
SET @change = IF(@there, 'ALTER TABLE `{prefix}imaging`.`field_location`
  ADD COLUMN `location_of_files` tinyint NOT NULL DEFAULT 0 COMMENT ":bool:the files of its folder said it, and nobody has entered it"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
