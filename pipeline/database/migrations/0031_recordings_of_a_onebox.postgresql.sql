-- ephys.Recording knows the auxiliary channels of a OneBox. A database without this table declares it whole.
DO $do$ DECLARE kind regtype; BEGIN
  SELECT atttypid::regtype INTO kind FROM pg_attribute
    WHERE attrelid = to_regclass('"{prefix}ephys"."recording"') AND attname = 'band'
; IF kind IS NOT NULL THEN EXECUTE format('ALTER TYPE %s ADD VALUE IF NOT EXISTS ''obx''', kind)
; END IF; END $do$;
