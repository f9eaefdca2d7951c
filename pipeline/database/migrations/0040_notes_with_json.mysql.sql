-- What other programs keep with a note, e.g. which picture of the quality control it shows.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}action' AND table_name = 'note');
SET @change = IF(@there, 'ALTER TABLE `{prefix}action`.`note`
  ADD COLUMN `note_json` json DEFAULT NULL COMMENT ":json:what other programs keep with the note"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
