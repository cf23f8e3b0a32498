"""Partition the logs by month, keep them so without holding up a writer, and fold old ledger rows."""

from alembic import op

from persistence.migrate import run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UP = r"""
CREATE FUNCTION siltstone_uid_floor(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
COMMENT ON FUNCTION siltstone_uid_floor IS 'the least event_uid of a time: the bound of a partition';

CREATE FUNCTION siltstone_add_partition(log text, suffix text, lower_bound text, upper_bound text) RETURNS void
LANGUAGE plpgsql
SET search_path = public, pg_temp
AS $$
DECLARE
  part text := log || '_' || suffix;
BEGIN
  -- Made on its own and attached: PARTITION OF would wait for every open transaction on the log, and hold up all.
  EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING ALL)', part, log);
  EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
  EXECUTE format('CREATE POLICY owner_all ON public.%I TO siltstone_owner USING (true) WITH CHECK (true)', part);
  EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%s) TO (%s)',
                 log, part, lower_bound, upper_bound);
END
$$;

CREATE FUNCTION siltstone_months(log text)
RETURNS TABLE (part text, starts timestamptz)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT c.relname::text,
         to_timestamp(right(c.relname::text, 7) || ' 01 +00', 'YYYY_MM DD TZH')
  FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhrelid
  WHERE i.inhparent = format('public.%I', log)::regclass
    AND c.relname ~ '_[0-9]{4}_[0-9]{2}$'
$$;

CREATE FUNCTION siltstone_history_end(log text) RETURNS timestamptz
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT to_timestamp(('x' || lpad(left(translate(
           substring(pg_get_expr(relpartbound, oid) FROM 'TO \(''([^'']+)''\)'), '-', ''), 12), 16, '0')
         )::bit(64)::bigint / 1000.0)
  FROM pg_class WHERE oid = to_regclass(format('public.%I', log || '_history'))
$$;
COMMENT ON FUNCTION siltstone_history_end IS 'where a log''s history ends and its first month begins; null without one';

CREATE FUNCTION siltstone_maintain(
  log text, retention_months integer, at timestamptz DEFAULT now(), months_ahead integer DEFAULT 3
) RETURNS text[]
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '2s'
SET timezone = 'UTC'
AS $$
DECLARE
  this_month timestamptz := date_trunc('month', at);
  last_month timestamptz := this_month + make_interval(months => months_ahead);
  -- A month beyond what is accepted, so that a record which waited in its topic still finds its partition.
  kept_from timestamptz := this_month - make_interval(months => retention_months + 1);
  first_month timestamptz;
  history_to timestamptz;
  next_month timestamptz;
  victim text;
  victims text[];
  done text[] := '{}';
BEGIN
  IF retention_months < 0 OR months_ahead NOT BETWEEN 0 AND 120 THEN
    RAISE EXCEPTION 'retention_months must be 0 or more, months_ahead 0 to 120' USING ERRCODE = '22023';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(format('public.%I', log)) AND relkind = 'p') THEN
    RAISE EXCEPTION '% is no partitioned log', log USING ERRCODE = '22023';
  END IF;
  first_month := siltstone_history_end(log);
  IF first_month IS NOT NULL
     AND NOT EXISTS (SELECT FROM generate_series(first_month, last_month, interval '1 month') AS wanted
                     WHERE wanted NOT IN (SELECT starts FROM siltstone_months(log)))
     AND (retention_months = 0 OR NOT EXISTS (SELECT FROM siltstone_months(log) WHERE starts < kept_from)) THEN
    RETURN done;
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('siltstone_maintain'), hashtext(log));

  first_month := siltstone_history_end(log);  -- again: another session may have changed it meanwhile
  IF first_month IS NULL THEN
    first_month := this_month;
    PERFORM siltstone_add_partition(log, 'history', 'MINVALUE', quote_literal(siltstone_uid_floor(this_month)));
    done := done || (log || '_history');
  END IF;
  FOR next_month IN
    SELECT wanted FROM generate_series(first_month, last_month, interval '1 month') AS wanted
    WHERE wanted NOT IN (SELECT starts FROM siltstone_months(log)) ORDER BY wanted
  LOOP
    PERFORM siltstone_add_partition(log, to_char(next_month, 'YYYY_MM'),
                                    quote_literal(siltstone_uid_floor(next_month)),
                                    quote_literal(siltstone_uid_floor(next_month + interval '1 month')));
    done := done || (log || '_' || to_char(next_month, 'YYYY_MM'));
  END LOOP;

  IF retention_months > 0 THEN
    SELECT array_agg(part ORDER BY starts), max(starts) + interval '1 month'
      INTO victims, history_to FROM siltstone_months(log) WHERE starts < kept_from;
    IF victims IS NOT NULL THEN
      FOREACH victim IN ARRAY victims || (log || '_history') LOOP
        EXECUTE format($q$
          INSERT INTO ingest_retired (log, topic, partition, offsets)
          SELECT %L, kafka_topic, kafka_partition, range_agg(span)
          FROM (SELECT kafka_topic, kafka_partition, int8range(min(kafka_offset), max(kafka_offset) + 1) AS span
                FROM (SELECT kafka_topic, kafka_partition, kafka_offset,
                             kafka_offset - row_number() OVER (PARTITION BY kafka_topic, kafka_partition
                                                               ORDER BY kafka_offset) AS island
                      FROM public.%I) AS numbered
                GROUP BY kafka_topic, kafka_partition, island) AS islands
          GROUP BY kafka_topic, kafka_partition
        $q$, log, victim);
        EXECUTE format('DROP TABLE public.%I', victim);
        done := done || ('-' || victim);
      END LOOP;
      PERFORM siltstone_add_partition(log, 'history', 'MINVALUE', quote_literal(siltstone_uid_floor(history_to)));
    END IF;
  END IF;
  RETURN done;
END
$$;
COMMENT ON FUNCTION siltstone_maintain IS
  'makes the months of a log up to months_ahead, drops those beyond retention (0: none) and says which; idempotent';

CREATE FUNCTION siltstone_fold_ledger(older_than interval) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = public, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
  folded bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtext('siltstone_fold_ledger')) THEN
    RETURN 0;
  END IF;
  WITH old AS (
    DELETE FROM ingest_batch AS b USING (
      SELECT consumer_group, topic, partition FROM ingest_batch WHERE at < now() - older_than
      GROUP BY consumer_group, topic, partition HAVING count(*) > 1
    ) AS many
    WHERE b.at < now() - older_than
      AND (b.consumer_group, b.topic, b.partition) = (many.consumer_group, many.topic, many.partition)
    RETURNING b.*
  ), one AS (
    INSERT INTO ingest_batch (consumer_group, topic, partition, stored, duplicate, refused, invisible, worker, at)
    SELECT consumer_group, topic, partition, range_agg(stored), range_agg(duplicate), range_agg(refused),
           range_agg(invisible), 'folded', max(at)
    FROM old GROUP BY consumer_group, topic, partition
    RETURNING 1
  )
  SELECT (SELECT count(*) FROM old) - (SELECT count(*) FROM one) INTO folded;
  RETURN folded;
END
$$;
COMMENT ON FUNCTION siltstone_fold_ledger IS
  'makes one row of all older ones of a partition: the ledger is read as sets, so nothing is lost by it';
"""

DOWN = """
DROP FUNCTION siltstone_fold_ledger;
DROP FUNCTION siltstone_maintain;
DROP FUNCTION siltstone_history_end;
DROP FUNCTION siltstone_months;
DROP FUNCTION siltstone_add_partition;
DROP FUNCTION siltstone_uid_floor;
"""

LOGS = (
    "session_event",
    "extraction_event",
    "code_block_occurrence",
    "definition_event",
    "run_event",
    "node_execution",
    "assertion_result",
    "run_file",
    "exception_event",
)


def upgrade() -> None:
    run_script(op.get_bind(), UP)
    run_script(op.get_bind(), "".join(f"SELECT siltstone_maintain('{log}', 0);\n" for log in LOGS))


def downgrade() -> None:
    """The partitions go, with their rows: going back before there were any can keep none."""
    run_script(
        op.get_bind(),
        f"""
        DO $$
        DECLARE part regclass;
        BEGIN
          FOR part IN SELECT inhrelid::regclass FROM pg_inherits
                      WHERE inhparent = ANY (ARRAY{list(LOGS)!r}::regclass[]) LOOP
            EXECUTE format('DROP TABLE %s', part);
          END LOOP;
        END
        $$;
        """,
    )
    run_script(op.get_bind(), DOWN)
