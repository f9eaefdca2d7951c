-- The comment of a column also tells its type: that of the bands gets the new one.
DO $do$ BEGIN IF to_regclass('"{prefix}ephys"."recording"') IS NOT NULL THEN
  COMMENT ON COLUMN "{prefix}ephys"."recording"."band" IS ':enum(''ap'', ''lf'', ''nidq'', ''obx''):action potentials, local field, auxiliary channels of a NIDQ or a OneBox'
; END IF; END $do$;
