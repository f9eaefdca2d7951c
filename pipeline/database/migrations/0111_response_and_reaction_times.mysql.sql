-- Times from stimulus to response are called response times, those to the first movement reaction times; days join by
-- date; a status has a rank. Workers compute these summaries again, which takes milliseconds for each session.
DROP TABLE IF EXISTS `{prefix}behavior_analysis`.`__session_performance`;
DROP TABLE IF EXISTS `{prefix}behavior_analysis`.`__psychometric_fit__block`;
DROP TABLE IF EXISTS `{prefix}behavior_analysis`.`__psychometric_fit`;
DROP TABLE IF EXISTS `{prefix}behavior_analysis`.`__behavior_history__daily_summary`;
DROP TABLE IF EXISTS `{prefix}behavior_analysis`.`__behavior_history`;
DROP TABLE IF EXISTS `{prefix}behavior_analysis`.`__subject_training__session_training_status`;
DROP TABLE IF EXISTS `{prefix}behavior_analysis`.`__subject_training`;
DROP TABLE IF EXISTS `{prefix}action`.`__water_history__water_status`;
DROP TABLE IF EXISTS `{prefix}action`.`__water_history`;
