-- Columns of trials that the program does not know are kept: sessions that have some are read again (`neurojoint refresh`).
DO $do$ BEGIN IF to_regclass('"{prefix}behavior"."_trial_set"') IS NOT NULL THEN
  UPDATE "{prefix}behavior"."_trial_set" SET "trials_fingerprint" = '' WHERE "columns_other"::text <> '[]'
; END IF; END $do$;
