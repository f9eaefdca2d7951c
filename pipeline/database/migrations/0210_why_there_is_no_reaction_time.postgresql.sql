-- A session without reaction times says why. Workers compute the rows again, which takes milliseconds for each session.
DROP TABLE IF EXISTS "{prefix}behavior_analysis"."__session_performance";
