-- Columns of trials that the program does not know are kept: sessions that have some are read again (`neurojoint refresh`).
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}behavior' AND table_name = '_trial_set');
SET @change = IF(@there, 'UPDATE `{prefix}behavior`.`_trial_set` SET `trials_fingerprint` = ""
  WHERE CAST(`columns_other` AS CHAR) <> "[]"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
