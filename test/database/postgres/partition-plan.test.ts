import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ConversionPlan, PartitionTerms } from '../../../src/database/partitioning.ts'
import { conversionFacts } from '../../../src/database/postgres/partitioning/conversion-plan.ts'
import type { LimitFacts } from '../../../src/database/postgres/partitioning/limits.ts'
import type { Shape } from '../../../src/database/postgres/partitioning/plan-facts.ts'
import { preparedProblem } from '../../../src/database/postgres/partitioning/plan-refusals.ts'
import { PREPARED } from '../../../src/database/postgres/partitioning/plan-sql.ts'
import { DAY } from '../../../src/time/clock.ts'
import { applyMigrations, AUDIT_LOGS, migrated, opened } from '../../runs/support.ts'
import { ENGINES, postgresDatabase, type TestDatabase } from '../../support/engines.ts'
import { midnight, partitioned } from '../../support/partitioned.ts'

const TERMS: PartitionTerms = { now: Date.now(), aheadMs: 14 * DAY, periods: [{ name: 'AUDIT_LOGS_RETENTION', keptMs: 90 * DAY }] }

async function planned(url: string, { terms = TERMS, timeZone = 'UTC' } = {}): Promise<ConversionPlan> {
  await using database = await opened(url, undefined, { access: 'read', timeZone })
  return await database.partitions(AUDIT_LOGS)!.plan(terms)
}

async function reasonsOf(url: string, terms = TERMS): Promise<readonly string[]> {
  const plan = await planned(url, { terms })
  return plan.kind === 'refused' ? plan.reasons : []
}

const NEVER = new AbortController().signal

/** All that the catalogue has of the schema, and the rows. */
async function everything(outside: TestDatabase): Promise<unknown> {
  return {
    relations: await outside.sql(
      'SELECT oid, relname, relkind, relfilenode, relacl::text FROM pg_class WHERE relnamespace > 16383 OR relnamespace = 2200 ORDER BY 1',
    ),
    constraints: await outside.sql(
      'SELECT oid, conname, pg_get_constraintdef(oid) AS body FROM pg_constraint WHERE oid > 16383 ORDER BY 1',
    ),
    triggers: await outside.sql('SELECT oid, pg_get_triggerdef(oid) AS body FROM pg_trigger WHERE oid > 16383 ORDER BY 1'),
    depends: await outside.sql('SELECT count(*) FROM pg_depend'),
    rows: await outside.sql('SELECT count(*), max(id), min("timestamp") FROM audit_logs'),
    record: await outside.sql('SELECT * FROM maintenance_partitioned'),
  }
}

/** Inserts so many rows with this time. */
function rowsAt(time: string, rows = 1): string {
  return `INSERT INTO audit_logs ("timestamp", tool_name, "user", action, status) SELECT ${time}, 'a', 'b', 'invoke', 'success' FROM generate_series(1, ${rows}) AS n`
}

/** What stands in the way, by what the reason says. `afterwards`: takes away what belongs to no database. */
const HINDRANCES: Readonly<Record<string, { readonly set: string; readonly says: RegExp; readonly fix?: string }>> = {
  'a child table': {
    set: 'CREATE TABLE "odd child" () INHERITS (audit_logs)',
    says: /^public\.audit_logs has child tables \(public\.odd child\), /,
    fix: 'DROP TABLE "odd child"',
  },
  'a parent': {
    set: 'CREATE TABLE above (id bigint NOT NULL); ALTER TABLE audit_logs INHERIT above',
    says: /^public\.audit_logs is itself a part of public\.above\. /,
    fix: 'ALTER TABLE audit_logs NO INHERIT above',
  },
  'a foreign key to it': {
    set: 'CREATE TABLE notes (of_log bigint REFERENCES audit_logs)',
    says: /^Foreign key notes_of_log_fkey of public\.notes refers to public\.audit_logs, /,
    fix: 'DROP TABLE notes',
  },
  'a foreign key of its own': {
    set: 'CREATE TABLE people (id int PRIMARY KEY); ALTER TABLE audit_logs ADD COLUMN person int REFERENCES people',
    says: /^Foreign key audit_logs_person_fkey of public\.audit_logs refers to public\.people, and who writes to that table would have to wait/,
    fix: 'ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_person_fkey',
  },
  'another unique index': {
    set: 'CREATE UNIQUE INDEX only_once ON audit_logs (id, status)',
    says: /^Unique index only_once of public\.audit_logs is on something else than id alone, /,
    fix: 'DROP INDEX only_once',
  },
  'a unique index on an expression': {
    set: 'CREATE UNIQUE INDEX only_once ON audit_logs ((id + 1))',
    says: /^Unique index only_once /,
    fix: 'DROP INDEX only_once',
  },
  'a unique index that includes more': {
    set: 'CREATE UNIQUE INDEX only_once ON audit_logs (id) INCLUDE (status)',
    says: /^Unique index only_once /,
    fix: 'DROP INDEX only_once',
  },
  'an exclusion constraint': {
    set: 'ALTER TABLE audit_logs ADD CONSTRAINT apart EXCLUDE (id WITH =)',
    says: /^Exclusion constraint apart of public\.audit_logs /,
    fix: 'ALTER TABLE audit_logs DROP CONSTRAINT apart',
  },
  'an invalid index': {
    set: `CREATE INDEX half ON audit_logs (status); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half'::regclass`,
    says: /^Index half of public\.audit_logs is invalid: .* Run: REINDEX INDEX CONCURRENTLY "public"\."half"$/,
    fix: 'REINDEX INDEX half',
  },
  'a check that was never validated': {
    set: 'ALTER TABLE audit_logs ADD CONSTRAINT positive CHECK (id > 0) NOT VALID',
    says: /^Constraint positive of public\.audit_logs was never validated, .* Run: ALTER TABLE "public"\."audit_logs" VALIDATE CONSTRAINT "positive"$/,
    fix: 'ALTER TABLE "public"."audit_logs" VALIDATE CONSTRAINT "positive"',
  },
  'a check without heirs': {
    set: 'ALTER TABLE audit_logs ADD CONSTRAINT positive CHECK (id > 0) NO INHERIT',
    says: /^Constraint positive of public\.audit_logs is NO INHERIT, /,
    fix: 'ALTER TABLE audit_logs DROP CONSTRAINT positive',
  },
  'a row trigger with transition tables': {
    set: `CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
      CREATE TRIGGER looking AFTER INSERT ON audit_logs REFERENCING NEW TABLE AS added FOR EACH ROW EXECUTE FUNCTION look();
      CREATE TRIGGER allowed AFTER INSERT ON audit_logs REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION look()`,
    says: /^Trigger looking of public\.audit_logs has transition tables /,
    fix: 'DROP TRIGGER looking ON audit_logs',
  },
  'a materialized view': {
    set: 'CREATE MATERIALIZED VIEW by_day AS SELECT count(*) AS n FROM audit_logs',
    says: /^Materialized view public\.by_day reads public\.audit_logs and cannot be replaced in place: /,
    fix: 'DROP MATERIALIZED VIEW by_day',
  },
  'a rule': {
    set: 'CREATE RULE quiet AS ON UPDATE TO audit_logs DO ALSO NOTHING',
    says: /^Rule "?quiet"? on public\.audit_logs would go on with the table from before\. /,
    fix: 'DROP RULE quiet ON audit_logs',
  },
  'a rule of another table': {
    set: 'CREATE TABLE inbox (id bigint); CREATE RULE forward AS ON INSERT TO inbox DO ALSO DELETE FROM audit_logs WHERE id = NEW.id',
    says: /^Rule "?forward"? on public\.inbox would go on /,
    fix: 'DROP TABLE inbox',
  },
  'a function that holds it': {
    set: 'CREATE FUNCTION how_many() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM audit_logs; END',
    says: /^Function public\.how_many\(\) holds public\.audit_logs by its number /,
    fix: 'DROP FUNCTION how_many()',
  },
  'a function with its row type': {
    set: `CREATE FUNCTION newest() RETURNS SETOF audit_logs LANGUAGE sql AS 'SELECT * FROM audit_logs ORDER BY id DESC LIMIT 1'`,
    says: /^Function public\.newest\(\) uses the row type of public\.audit_logs, /,
    fix: 'DROP FUNCTION newest()',
  },
  'a view of whole rows': {
    set: 'CREATE VIEW whole AS SELECT l AS log FROM audit_logs AS l',
    says: /^View column public\.whole\.log uses the row type /,
    fix: 'DROP VIEW whole',
  },
  'a view that groups by the key': {
    set: 'CREATE VIEW grouped AS SELECT id, status FROM audit_logs GROUP BY id',
    says: /^View public\.grouped groups rows of public\.audit_logs by the primary key alone, /,
    fix: 'DROP VIEW grouped',
  },
  'a policy of another table': {
    set: 'CREATE TABLE secrets (id bigint); CREATE POLICY seen ON secrets USING (EXISTS (SELECT FROM audit_logs AS l WHERE l.id = secrets.id))',
    says: /^Policy seen on public\.secrets holds public\.audit_logs by its number /,
    fix: 'DROP TABLE secrets',
  },
  'row-level security': {
    set: 'ALTER TABLE audit_logs ENABLE ROW LEVEL SECURITY',
    says: /^public\.audit_logs has row-level security, /,
    fix: 'ALTER TABLE audit_logs DISABLE ROW LEVEL SECURITY',
  },
  'a policy that is not in force': {
    set: 'CREATE POLICY mine ON audit_logs USING (true)',
    says: /^public\.audit_logs has row-level security, /,
    fix: 'DROP POLICY mine ON audit_logs',
  },
  'an unlogged table': {
    set: 'ALTER TABLE audit_logs SET UNLOGGED',
    says: /^public\.audit_logs is unlogged or temporary, /,
    fix: 'ALTER TABLE "public"."audit_logs" SET LOGGED',
  },
  'a publication of all tables': {
    set: 'CREATE PUBLICATION all_of_it FOR ALL TABLES',
    says: /^Publication all_of_it carries all tables without publish_via_partition_root, /,
    fix: 'ALTER PUBLICATION all_of_it SET (publish_via_partition_root = true)',
  },
  'a replica identity of its own': {
    set: 'CREATE PUBLICATION by_root FOR TABLE audit_logs WITH (publish_via_partition_root = true); ALTER TABLE audit_logs REPLICA IDENTITY FULL',
    says: /^public\.audit_logs has a replica identity of its own, .* by_root /,
    fix: 'ALTER TABLE "public"."audit_logs" REPLICA IDENTITY DEFAULT',
  },
  'a publication where the time may be NULL': {
    set: 'CREATE PUBLICATION by_root FOR TABLE audit_logs WITH (publish_via_partition_root = true); ALTER TABLE audit_logs ALTER "timestamp" DROP NOT NULL',
    says: /^Column "timestamp" of public\.audit_logs may be NULL, so the partitioned table has no primary key, /,
    fix: 'ALTER TABLE "public"."audit_logs" ALTER COLUMN "timestamp" SET NOT NULL',
  },
  'a name that is taken': {
    set: 'CREATE VIEW audit_logs_default AS SELECT 1 AS one',
    says: /^Schema public has relations with names that the partitions of audit_logs need: audit_logs_default\. /,
    fix: 'DROP VIEW audit_logs_default',
  },
  'a column of another type': {
    set: 'DROP VIEW recent_audit_activity, policy_violations, tool_usage_stats; ALTER TABLE audit_logs ALTER "timestamp" TYPE date',
    says: /^Column "timestamp" of public\.audit_logs is missing, or is neither timestamp nor timestamptz: /,
  },
  'rows without a time, written lately': {
    set: `ALTER TABLE audit_logs ALTER "timestamp" DROP NOT NULL; ${rowsAt('NULL::timestamp')}`,
    says: /^Rows without a time were written to public\.audit_logs lately, /,
    fix: 'DELETE FROM audit_logs WHERE "timestamp" IS NULL',
  },
  'too many rows without a time': {
    set: `ALTER TABLE audit_logs ALTER "timestamp" DROP NOT NULL; ${rowsAt('NULL::timestamp', 10_001)}; ${rowsAt('now()', 10_000)}`,
    says: /^More than 10,000 rows of public\.audit_logs have no time\. /,
    fix: 'DELETE FROM audit_logs WHERE id = (SELECT max(id) FROM audit_logs WHERE "timestamp" IS NULL)',
  },
  'too many rows in the future': {
    set: rowsAt(`timestamp '${midnight(2)}'`, 10_001),
    says: /^More than 10,000 rows of public\.audit_logs have a time from .* 00:00:00 on\. .*DATABASE_TIME_ZONE/,
    fix: `DELETE FROM audit_logs WHERE id = (SELECT max(id) FROM audit_logs)`,
  },
  'an undo that has begun': {
    set: `INSERT INTO maintenance_partitioned VALUES ('audit_logs', 'audit_logs_legacy', '2026-01-01 00:00:00', 1, 1, 2)`,
    says: /^public\.audit_logs is being turned back into a plain table, .* Run: mcp-gateway-maintenance partition undo$/,
    fix: 'DELETE FROM maintenance_partitioned',
  },
}

for (const engine of ENGINES.filter(({ name }) => name.startsWith('postgres'))) {
  void describe(`the plan of partitions on ${engine.name}`, () => {
    void test('each hindrance is named with what to do, alone, and nothing is changed; without it the table is ready', async () => {
      for (const [name, { set, says, fix }] of Object.entries(HINDRANCES)) {
        await using fixture = await migrated(engine)
        const { outside } = fixture
        await outside.sql(set)
        const before = await everything(outside)
        const reasons = await reasonsOf(outside.url)
        assert.equal(reasons.length, 1, `${name}: ${reasons.join('\n') || 'no reason'}`)
        assert.match(reasons[0]!, says, name)
        const steps: string[] = []
        await assert.rejects(
          fixture.database.partitions(AUDIT_LOGS)!.start(TERMS, {
            lock: { timeoutMs: 10_000, signal: NEVER, waiting: () => {} },
            signal: NEVER,
            listener: { step: (sentence) => void steps.push(sentence), done: () => {}, blocked: () => {} },
          }),
          name,
        )
        assert.deepEqual(steps, [], name)
        assert.deepEqual(await everything(outside), before, name)
        if (fix === undefined) continue
        await outside.sql(fix)
        assert.deepEqual(await reasonsOf(outside.url), [], `${name}, mended`)
      }
    })

    void test('a gateway’s table as the migrations make it is ready, with what a person wants to know before', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await outside.sql(`ALTER TABLE audit_logs ALTER "timestamp" DROP NOT NULL`)
      for (const time of ['NULL', `'infinity'`, `'${midnight(2)}'`, `'-infinity'`]) await outside.sql(rowsAt(`${time}::timestamp`))
      await outside.sql(rowsAt(`now() - n * interval '1 second'`, 20_000))
      await outside.sql('ANALYZE audit_logs')
      const plan = await planned(outside.url, { terms: { ...TERMS, now: Date.now() } })
      assert(plan.kind === 'ready', JSON.stringify(plan))
      const { notes, expectedMs, neededBytes, bytes, ...facts } = plan.facts
      assert.deepEqual(facts, {
        resumes: false,
        rows: 20_004,
        bound: Date.parse(`${midnight(2)}Z`),
        partitions: 14,
        mostPartitions: 106,
        setAside: 3,
      })
      assert(bytes > 1_000_000 && expectedMs > 1_000 && expectedMs < 5_000 && neededBytes > 500_000, JSON.stringify(plan.facts))
      assert.match(notes.join('\n'), /20,004 rows, and below 10,000,000 the batches are quick enough/)
      assert.match(notes.join('\n'), /ON CONFLICT \(id\) fails/)
    })

    void test('a record that the worker never writes is refused, with the statement that takes it away', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await outside.sql(`INSERT INTO maintenance_partitioned VALUES ('audit_logs', repeat('x', 100000), 'soon', 1, NULL, NULL)`)
      const reasons = await reasonsOf(outside.url)
      assert.equal(reasons.length, 1, reasons.join('\n'))
      const [, command] =
        /^The row of audit_logs in public\.maintenance_partitioned is none that the worker writes, .* Then run: (DELETE FROM .*)$/.exec(
          reasons[0]!,
        ) ?? []
      await outside.sql(command!)
      assert.equal((await planned(outside.url)).kind, 'ready')
    })

    void test('the bound is a midnight of the clock that writes the rows', async () => {
      await using fixture = await migrated(engine)
      // 13:00 UTC of 1 July is 03:00 of 2 July on Kiritimati, and 06:00 of 1 July in Los Angeles.
      const terms = { ...TERMS, now: Date.UTC(2026, 6, 1, 13) }
      const bounds = await Promise.all(
        ['UTC', 'Pacific/Kiritimati', 'America/Los_Angeles'].map(async (timeZone) => {
          const plan = await planned(fixture.outside.url, { terms, timeZone })
          return plan.kind === 'ready' ? new Date(plan.facts.bound).toISOString() : plan.reasons
        }),
      )
      assert.deepEqual(bounds, ['2026-07-03T00:00:00.000Z', '2026-07-04T00:00:00.000Z', '2026-07-03T00:00:00.000Z'])
    })

    void test('another role is told whose command it is, and the owner what it lacks, and by which statement it gets that', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      const role = `planner_${process.pid}_${engine.name.replace(/\D/g, '')}`
      await outside.sql(`CREATE ROLE "${role}" LOGIN`)
      try {
        await outside.sql(
          `CREATE VIEW theirs AS SELECT count(*) FROM audit_logs; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "${role}"; REVOKE CREATE ON SCHEMA public FROM PUBLIC`,
        )
        const url = new URL(outside.url)
        url.username = role
        const reasons = await reasonsOf(url.href)
        assert.equal(reasons.length, 1, reasons.join('\n'))
        assert.match(
          reasons[0]!,
          new RegExp(
            `^Role ${role} does not own public\\.audit_logs, and only its owner, (\\w+), can .* Run this command with a DATABASE_URL of \\1, or of a role that acts`,
          ),
        )
        await outside.sql(`ALTER TABLE audit_logs OWNER TO "${role}"`)
        const owners = await reasonsOf(url.href)
        assert.match(
          owners[0]!,
          new RegExp(`^Role ${role} may not create tables in schema public, .* Run: GRANT CREATE ON SCHEMA "public" TO "${role}"$`),
        )
        assert.match(owners[1]!, new RegExp(`Run: GRANT INSERT, UPDATE, DELETE ON "public"\\."maintenance_partitioned" TO "${role}"$`))
        assert.equal(owners.filter((reason) => /^View public\.\w+ reads public\.audit_logs and must be replaced/.test(reason)).length, 4)
        await outside.sql(`ALTER TABLE audit_logs OWNER TO CURRENT_USER`)
      } finally {
        await outside.sql(`DROP OWNED BY "${role}"; DROP ROLE "${role}"`)
      }
    })

    void test('a publication of another role’s is in the way as far as rows have to be moved', async () => {
      await using outside = await postgresDatabase(engine.name === 'postgres 15' ? 15 : 18)
      const role = `moves_${process.pid}_${engine.name.replace(/\D/g, '')}`
      const [{ name }] = (await outside.sql<{ name: string }>('SELECT current_database() AS name')) as [{ name: string }]
      await outside.sql(
        `CREATE ROLE "${role}" LOGIN; GRANT CREATE ON DATABASE ${name} TO "${role}"; GRANT ALL ON SCHEMA public TO "${role}"`,
      )
      try {
        const url = Object.assign(new URL(outside.url), { username: role }).href
        await applyMigrations(url)
        await outside.sql('CREATE PUBLICATION everything FOR ALL TABLES WITH (publish_via_partition_root = true)')
        const plan = await planned(url)
        assert.ok(plan.kind === 'ready', JSON.stringify(plan))
        assert.match(plan.facts.notes.join('\n'), /Publication everything carries the table and belongs to another role\./)
        await outside.sql(rowsAt(`'infinity'::timestamp`))
        const reasons = await reasonsOf(url)
        assert.equal(reasons.length, 1)
        assert.match(reasons[0]!, /^Some rows of public\.audit_logs have no time, .* which publication everything must not send/)
        assert.deepEqual(await reasonsOf(outside.url), [])
      } finally {
        await outside.sql(`DROP OWNED BY "${role}" CASCADE; DROP ROLE "${role}"`)
      }
    })

    void test('what the settings ask for, and lock memory, refuse as they limit more partitions later', async () => {
      await using fixture = await migrated(engine)
      const terms = { ...TERMS, periods: [...TERMS.periods, { name: 'rule "security"', keptMs: undefined }] }
      const reasons = await reasonsOf(fixture.outside.url, terms)
      assert.equal(reasons.length, 1)
      assert.match(reasons[0]!, /^Rule "security" keeps rows for ever, /)
    })

    void test('a table that is no plain one is named as what it is', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside)
      assert.match((await reasonsOf(outside.url)).join(), /^public\.audit_logs has been turned into partitions already\.$/)
      await outside.sql(`UPDATE maintenance_partitioned SET bound = 'soon'`)
      assert.match((await reasonsOf(outside.url)).join(), /^public\.audit_logs is partitioned already, and not by this program\./)
      await outside.sql('DELETE FROM maintenance_partitioned')
      assert.match((await reasonsOf(outside.url)).join(), /^public\.audit_logs is partitioned already, and not by this program\./)
      await outside.sql(
        `SET allow_system_table_mods = on; INSERT INTO pg_extension VALUES (99999, 'pg_partman', 10, 2200, false, '5.0', NULL, NULL)`,
      )
      assert.match(
        (await reasonsOf(outside.url)).join(),
        /not by this program; pg_partman is installed in this database, and may have made its partitions\. /,
      )
      await outside.sql('DROP TABLE audit_logs CASCADE')
      assert.match((await reasonsOf(outside.url)).join(), /^There is no table public\.audit_logs yet: /)
      await outside.sql('CREATE VIEW audit_logs AS SELECT 1 AS id')
      assert.match((await reasonsOf(outside.url)).join(), /^public\.audit_logs is a view, /)
    })

    void test('Citus is left alone, and a hypertable is known by TimescaleDB', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await outside.sql(
        `SET allow_system_table_mods = on; INSERT INTO pg_extension VALUES (99998, 'citus', 10, 2200, false, '13', NULL, NULL), (99999, 'timescaledb', 10, 2200, false, '2', NULL, NULL)`,
      )
      await outside.sql('CREATE TABLE _chunk () INHERITS (audit_logs)')
      const reasons = await reasonsOf(outside.url)
      assert.equal(reasons.length, 2)
      assert.match(reasons[0]!, /a hypertable of it looks like that: leave it to TimescaleDB/)
      assert.match(reasons[1]!, /^Citus is installed in this database, and how its tables take what is done here was not tried\./)
    })

    void test('prepared transactions, which an index that is built waits for without end, refuse it', async () => {
      await using fixture = await migrated(engine)
      await using database = await opened(fixture.outside.url)
      const found = await database.query<{ prepared: number }>(PREPARED)
      assert.deepEqual(found.rows, [{ prepared: 0 }])
      assert.match(
        preparedProblem({ prepared: 1 })[0]!,
        /^This database has prepared transactions, .*: SELECT gid, prepared, owner FROM pg_prepared_xacts$/,
      )
    })
  })
}

void test('who keeps the index waiting is named if his transaction is older than a minute', () => {
  const oldest = {
    pid: 812,
    role: 'billing',
    application_name: 'api',
    client: null,
    backend_type: 'client backend',
    state: 'idle in transaction',
    connected_s: 900,
  }
  const notes = (transaction_s: number): string =>
    conversionFacts({
      named: { schema: 'public', table: 'audit_logs', column: 'timestamp' },
      facts: { oldest: { ...oldest, transaction_s }, limits: LIMITS, shape: SHAPE },
      rows: { rows: 20_000_000, undated: 0, ahead: 0, undatedLately: false },
      bound: { text: '2026-12-03 00:00:00', reading: 0 },
      resumes: false,
      most: 106,
      partitions: 14,
    }).notes.join('\n')
  assert.match(notes(61), /the oldest is that of server process 812 \(api as billing, .* in a transaction begun 1 min 1 s ago\)/)
  assert.doesNotMatch(notes(59), /oldest/)
  // A table that is worth it gets no advice against it.
  assert.doesNotMatch(notes(59), /not worth/)
})

const LIMITS: LimitFacts = {
  schema: 'public',
  table: 'audit_logs',
  indexes: 6,
  locks: { maxConnections: 100, maxLocksPerTransaction: 64, sessions: 1 },
  publications: [],
}

const SHAPE: Shape = {
  role: 'gateway',
  isTyped: false,
  parents: [],
  forcesRowSecurity: false,
  extension: null,
  isSubscribed: false,
  hasId: true,
  isTimeGenerated: false,
  mayCreate: true,
  ownerMayCreate: true,
  bytes: 1,
}
