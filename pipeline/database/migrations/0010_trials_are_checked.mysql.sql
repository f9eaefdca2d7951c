-- Trials are checked across their columns, wheels say what was repaired, and rule sets what a no-go is.
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}behavior' AND table_name = '_trial_set');
SET @change = IF(@there, 'ALTER TABLE `{prefix}behavior`.`_trial_set`
  ADD COLUMN `trials_protocol` varchar(255) NOT NULL DEFAULT "" COMMENT ":varchar(255):of the task whose trials these are, as the rig names it",
  ADD COLUMN `task_kind` varchar(32) NOT NULL DEFAULT "" COMMENT ":varchar(32):of the protocol: training, biased, ephys, passive, habituation, other",
  ADD COLUMN `trials_qc` varchar(8) NOT NULL DEFAULT "NOT_SET" COMMENT ":varchar(8):worst outcome of the checks: PASS, WARNING, FAIL; NOT_SET: none made",
  ADD COLUMN `trials_checks` json DEFAULT NULL COMMENT ":json:list of what was checked: check, outcome, n_trials, detail in words"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}behavior' AND table_name = '_wheel_move_set');
SET @change = IF(@there, 'ALTER TABLE `{prefix}behavior`.`_wheel_move_set`
  ADD COLUMN `wheel_dropped` int NOT NULL DEFAULT 0 COMMENT ":int32:samples left out: their time is missing or not after the one before",
  ADD COLUMN `wheel_qc` varchar(8) NOT NULL DEFAULT "NOT_SET" COMMENT ":varchar(8):PASS; WARNING: something was repaired, or is faster than a mouse",
  ADD COLUMN `wheel_notes` varchar(1000) NOT NULL DEFAULT "" COMMENT ":varchar(1000):what was repaired or is odd, in words",
  MODIFY COLUMN `wheel_unit` varchar(8) NOT NULL COMMENT ":varchar(8):of the positions in the file: rad, cm, mm, deg, ticks; here all is rad"', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
SET @there = (SELECT COUNT(*) FROM information_schema.tables
  WHERE table_schema = '{prefix}behavior_analysis' AND table_name = '#training_criteria');
SET @change = IF(@there, 'UPDATE `{prefix}behavior_analysis`.`#training_criteria`
  SET `rules` = JSON_SET(`rules`, "$.no_go", "wrong", "$.ignored_qc", JSON_ARRAY("FAIL"))
  WHERE `criteria` IN ("ibl_pipeline_2021", "ibllib_4") AND `criteria_version` = 1', 'DO 0');
PREPARE change_it FROM @change;
EXECUTE change_it;
