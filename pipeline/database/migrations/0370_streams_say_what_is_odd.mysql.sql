-- Licks, cameras, pupils and the air say what was repaired or is odd. A database without these tables declares them whole.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}behavior' AND table_name = '_lick');
SET @change = IF(@there, 'ALTER TABLE `{prefix}behavior`.`_lick`
  ADD COLUMN `lick_notes` varchar(500) NOT NULL DEFAULT "" COMMENT ":varchar(500):what was repaired or is odd, in words; empty where nothing is"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}behavior' AND table_name = '_camera__view');
SET @change = IF(@there, 'ALTER TABLE `{prefix}behavior`.`_camera__view`
  ADD COLUMN `camera_notes` varchar(500) NOT NULL DEFAULT "" COMMENT ":varchar(500):what was repaired or is odd, in words; empty where nothing is"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}behavior' AND table_name = '_pupil__view');
SET @change = IF(@there, 'ALTER TABLE `{prefix}behavior`.`_pupil__view`
  ADD COLUMN `pupil_notes` varchar(500) NOT NULL DEFAULT "" COMMENT ":varchar(500):what was left out or is odd, in words; empty where nothing is"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}behavior' AND table_name = '_ambient_sensor');
SET @change = IF(@there, 'ALTER TABLE `{prefix}behavior`.`_ambient_sensor`
  ADD COLUMN `ambient_notes` varchar(500) NOT NULL DEFAULT "" COMMENT ":varchar(500):what was left out or is missing, in words; empty where nothing is"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
