import { execFile } from 'node:child_process'
import { chmod, chown, copyFile, mkdir, open, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import BetterSqlite3 from 'better-sqlite3'
import { Client } from 'pg'
import { JOBS, retentionOf } from '../../src/catalogue.ts'
import { neededRights } from '../../src/doctor/needed-rights.ts'
import type { DoctorPlan } from '../../src/doctor/doctor-facts.ts'
import type { FindingCode } from '../../src/status/finding.ts'
import { DAY, hostClock, HOUR } from '../../src/time/clock.ts'
import { isSqlite } from '../migrations/support.ts'
import { purged } from '../archive/support.ts'
import { auditLogs, opened } from '../runs/support.ts'
import type { TestDatabase, TestEngine } from '../support/engines.ts'
import { midnight, partitioned } from '../support/partitioned.ts'
import { ensured } from '../database/postgres/partition-roles.ts'
import type { Asked } from './support.ts'

export interface Place {
  readonly outside: TestDatabase
  readonly engine: TestEngine
  /** An empty folder for an archive. */
  readonly folder: string
  /** What is done at the end, the last first. */
  readonly after: (() => Promise<unknown>)[]
}

/** One fault of one kind. What undoes it where that does not go with the database is left in `place.after`. */
export interface Plant {
  readonly code: FindingCode
  readonly level: 'fault' | 'advice'
  readonly name: string
  readonly on: 'both' | 'server' | 'file'
  /** Returns how doctor is asked, or why it could not be planted here. */
  readonly plant: (place: Place) => Promise<Asked | string | void>
  /** A word that the sentence has. */
  readonly says: RegExp
}

const fileOf = ({ outside }: Place): string => outside.url.replace(/^sqlite:\/\/\//, '')

function sql(...statements: readonly string[]): Plant['plant'] {
  return async ({ outside }) => {
    for (const statement of statements) await outside.sql(statement)
  }
}

/** The statement of each engine. */
function either(ofFile: readonly string[], ofServer: readonly string[]): Plant['plant'] {
  return async (place) => void (await sql(...(isSqlite(place.outside) ? ofFile : ofServer))(place))
}

/** SQLite cannot take a constraint away: the table is made anew without it. */
function anew(table: string, change: (sql: string) => string): Plant['plant'] {
  return async ({ outside }) => {
    const [made] = await outside.sql<{ sql: string }>(`SELECT sql FROM sqlite_schema WHERE name = $1`, [table])
    const others = await outside.sql<{ sql: string }>(
      `SELECT sql FROM sqlite_schema WHERE tbl_name = $1 AND type <> 'table' AND sql IS NOT NULL`,
      [table],
    )
    await outside.sql(`DROP TABLE ${table}`)
    for (const text of [change(made!.sql), ...others.map((each) => each.sql)]) await outside.sql(text)
  }
}

function archiveIn(directory: string, changes: Partial<DoctorPlan['archive']> = {}): Asked {
  return { plan: { archive: { enabled: true, directory, uid: process.getuid?.(), keptMs: undefined, ...changes } } }
}

async function archivedOnce({ outside, engine, folder }: Place): Promise<void> {
  await auditLogs(outside, engine, 3, 100)
  await using database = await opened(outside.url)
  await purged(database, folder)
}

/** A login with exactly the rights of the shipped purge role, but for what is changed. */
async function purger({ outside, after }: Place, ...changes: readonly string[]): Promise<Asked> {
  const role = `purger_${Math.random().toString(36).slice(2)}`
  after.push(() => outside.sql(`DROP OWNED BY ${role} CASCADE`).then(() => outside.sql(`DROP ROLE ${role}`)))
  await outside.sql(`CREATE ROLE ${role} LOGIN`)
  const rights = { ...neededRights(true), ...Object.fromEntries(JOBS.map(({ table }) => [table, ['SELECT', 'DELETE']])) }
  for (const [table, each] of Object.entries(rights)) await outside.sql(`GRANT ${each.join(', ')} ON ${table} TO ${role}`)
  for (const change of changes) await outside.sql(change.replaceAll('THE_LOGIN', role))
  return { url: Object.assign(new URL(outside.url), { username: role }).href, plan: { migrationsEnabled: false } }
}

/** A role that owns nothing yet. */
async function stranger({ outside, after }: Place): Promise<string> {
  const role = `stranger_${Math.random().toString(36).slice(2)}`
  after.push(() => outside.sql(`DROP OWNED BY ${role} CASCADE`).then(() => outside.sql(`DROP ROLE ${role}`)))
  await outside.sql(`CREATE ROLE ${role}`)
  return role
}

/** A file system of its own; `undefined`: this user may not mount one. */
async function mounted({ folder, after }: Place, options: string): Promise<string | undefined> {
  const place = `${folder}/mounted`
  await mkdir(place)
  try {
    await run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', place])
  } catch {
    return undefined
  }
  after.push(() => run('umount', [place]))
  return place
}

const run = promisify(execFile)
const NO_MOUNT = 'this user may not mount a small disk'

/** Another session reads the statistics than the one that has just written them. */
async function deadIn(outside: TestDatabase, tables: readonly string[], rows: number): Promise<void> {
  const at = Date.now()
  while (Date.now() - at < 20_000) {
    const [row] = await outside.sql<{ dead: number }>(
      `SELECT sum(n_dead_tup)::float8 AS dead FROM pg_stat_all_tables WHERE relname = ANY (string_to_array($1, ','))`,
      [tables.join()],
    )
    if (row!.dead >= rows) return
    await outside.sql('SELECT pg_sleep(0.1)')
  }
}

export const PLANTS: readonly Plant[] = [
  {
    code: 'schema-table',
    level: 'fault',
    name: 'a table of the worker is gone',
    on: 'both',
    plant: sql('DROP TABLE maintenance_held_files'),
    says: /maintenance_held_files.*migration 007/,
  },
  {
    code: 'schema-column',
    level: 'fault',
    name: 'a column of the worker has another default',
    on: 'both',
    plant: async (place) =>
      isSqlite(place.outside)
        ? anew('maintenance_archives', (text) => text.replace('files BIGINT NOT NULL DEFAULT 0', 'files BIGINT NOT NULL DEFAULT 1'))(place)
        : sql('ALTER TABLE maintenance_archives ALTER files SET DEFAULT 1')(place),
    says: /maintenance_archives\.files .*DEFAULT 1.*DEFAULT 0/i,
  },
  {
    code: 'schema-column',
    level: 'fault',
    name: 'a column of the worker has another type',
    on: 'both',
    plant: async (place) =>
      isSqlite(place.outside)
        ? anew('maintenance_receipts', (text) => text.replace('sha256 TEXT', 'sha256 BLOB'))(place)
        : sql('ALTER TABLE maintenance_receipts ALTER sha256 TYPE varchar(64)')(place),
    says: /maintenance_receipts\.sha256 is (?:blob|character varying\(64\)) NOT NULL; migration 010 made it text NOT NULL/i,
  },
  {
    code: 'schema-column',
    level: 'fault',
    name: 'a column of the record of partitions is gone',
    on: 'both',
    plant: sql('ALTER TABLE maintenance_partitioned DROP COLUMN undoing_since', 'DELETE FROM maintenance_partitioned'),
    says: /maintenance_partitioned\.undoing_since, which migration 009 made, is missing/,
  },
  {
    code: 'schema-column',
    level: 'fault',
    name: 'a column of the worker may be NULL',
    on: 'both',
    plant: async (place) =>
      isSqlite(place.outside)
        ? anew('maintenance_policies', (text) => text.replace('policy TEXT NOT NULL', 'policy TEXT'))(place)
        : sql('ALTER TABLE maintenance_policies ALTER policy DROP NOT NULL')(place),
    says: /maintenance_policies\.policy is text; migration 008/i,
  },
  {
    code: 'schema-column',
    level: 'fault',
    name: 'a column of the gateway is gone',
    on: 'both',
    plant: sql('ALTER TABLE api_keys DROP COLUMN created_by'),
    says: /api_keys has no column created_by/,
  },
  {
    code: 'schema-column',
    level: 'fault',
    name: 'a column of the gateway has another type',
    on: 'server',
    plant: sql(`ALTER TABLE tools ALTER parameters TYPE integer USING NULL`),
    says: /tools\.parameters is integer/,
  },
  {
    code: 'schema-column',
    level: 'advice',
    name: 'a column that no migration made',
    on: 'both',
    plant: sql('ALTER TABLE maintenance_policies ADD COLUMN more BIGINT'),
    says: /maintenance_policies\.more/,
  },
  {
    code: 'schema-key',
    level: 'fault',
    name: 'a UNIQUE is gone',
    on: 'both',
    plant: async (place) =>
      isSqlite(place.outside)
        ? anew('mcp_servers', (text) => text.replace('name TEXT NOT NULL UNIQUE', 'name TEXT NOT NULL'))(place)
        : sql('ALTER TABLE mcp_servers DROP CONSTRAINT mcp_servers_name_key')(place),
    says: /mcp_servers has no UNIQUE \(name\)/,
  },
  {
    code: 'schema-key',
    level: 'fault',
    name: 'a primary key is gone',
    on: 'both',
    plant: async (place) =>
      isSqlite(place.outside)
        ? anew('api_keys', (text) => text.replace('INTEGER PRIMARY KEY AUTOINCREMENT', 'INTEGER'))(place)
        : sql('ALTER TABLE api_keys DROP CONSTRAINT api_keys_pkey')(place),
    says: /api_keys has no PRIMARY KEY \(id\)/,
  },
  {
    code: 'schema-key',
    level: 'fault',
    name: 'a run may have two receipts',
    on: 'both',
    plant: sql('DROP INDEX idx_maintenance_receipts_run'),
    says: /maintenance_receipts has no UNIQUE \(run\), which migration 010 made/,
  },
  {
    code: 'schema-key',
    level: 'fault',
    name: 'a CHECK is gone',
    on: 'both',
    plant: async (place) =>
      isSqlite(place.outside)
        ? anew('maintenance_holds', (text) => text.replace(/,\s*CHECK .*\)$/s, ')'))(place)
        : sql('ALTER TABLE maintenance_holds DROP CONSTRAINT maintenance_holds_released')(place),
    says: /maintenance_holds has no check/i,
  },
  {
    code: 'schema-view',
    level: 'fault',
    name: 'a view is gone',
    on: 'both',
    plant: sql('DROP VIEW maintenance_history'),
    says: /no view maintenance_history/,
  },
  {
    code: 'schema-view',
    level: 'fault',
    name: 'a view says something else',
    on: 'both',
    plant: sql(
      'DROP VIEW policy_violations',
      `CREATE VIEW policy_violations AS SELECT id, tool_name, "user", action, error AS reason, timestamp FROM audit_logs WHERE status = 'denied' ORDER BY timestamp DESC`,
    ),
    says: /policy_violations.*denied/,
  },
  {
    code: 'schema-index',
    level: 'fault',
    name: 'an index is gone',
    on: 'both',
    plant: sql('DROP INDEX idx_sessions_user'),
    says: /sessions has no index \(user_identifier\): idx_sessions_user, which migration 001 made, is gone/,
  },
  {
    code: 'schema-index',
    level: 'fault',
    name: 'an index has other columns',
    on: 'both',
    plant: sql('DROP INDEX idx_api_keys_user', 'CREATE INDEX idx_api_keys_user ON api_keys (created_by)'),
    says: /idx_api_keys_user of api_keys is \(created_by\)/,
  },
  {
    code: 'schema-index',
    level: 'fault',
    name: 'an index has another condition',
    on: 'both',
    plant: sql(
      'DROP INDEX idx_maintenance_runs_open',
      `CREATE INDEX idx_maintenance_runs_open ON maintenance_runs (job) WHERE outcome = 'x'`,
    ),
    says: /idx_maintenance_runs_open/,
  },
  {
    code: 'schema-index-invalid',
    level: 'fault',
    name: 'the build of an index was interrupted',
    on: 'server',
    plant: async ({ outside }) => {
      await outside.sql(`INSERT INTO tools (name, description, path, permissions) VALUES ('a', 'd', 'p', ''), ('b', 'd', 'p', '')`)
      await outside.sql('CREATE UNIQUE INDEX CONCURRENTLY half ON tools (path)').catch(() => {})
    },
    says: /index half of tools is invalid/,
  },
  {
    code: 'schema-index-doubled',
    level: 'advice',
    name: 'two indexes do the same',
    on: 'both',
    plant: sql('CREATE INDEX another ON audit_logs (timestamp)'),
    says: /another of audit_logs .* does what idx_audit_logs_timestamp does/,
  },
  {
    code: 'schema-index-doubled',
    level: 'advice',
    name: 'an index does what a UNIQUE does',
    on: 'both',
    plant: sql('CREATE INDEX tokens ON sessions (session_token)'),
    says: /index tokens of sessions/,
  },
  {
    code: 'schema-trigger',
    level: 'fault',
    name: 'a trigger is gone',
    on: 'both',
    plant: either(['DROP TRIGGER maintenance_holds_not_deleted'], ['DROP TRIGGER maintenance_holds_stay ON maintenance_holds']),
    says: /maintenance_holds has no trigger/,
  },
  {
    code: 'schema-trigger',
    level: 'fault',
    name: 'receipts may be changed: their trigger is gone',
    on: 'both',
    plant: either(['DROP TRIGGER maintenance_receipts_not_changed'], ['DROP TRIGGER maintenance_receipts_stay ON maintenance_receipts']),
    says: /maintenance_receipts has no trigger maintenance_receipts_(?:not_changed|stay), which migration 010 made/,
  },
  {
    code: 'schema-trigger',
    level: 'fault',
    name: 'receipts may be emptied: their trigger is switched off',
    on: 'server',
    plant: sql('ALTER TABLE maintenance_receipts DISABLE TRIGGER maintenance_receipts_stay_whole'),
    says: /maintenance_receipts_stay_whole of maintenance_receipts is switched off/,
  },
  {
    code: 'schema-trigger',
    level: 'fault',
    name: 'receipts may be changed: the function of their triggers does something else',
    on: 'server',
    plant: sql(
      `CREATE OR REPLACE FUNCTION mcp_maintenance_receipts_stay() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NEW; END'`,
    ),
    says: /function mcp_maintenance_receipts_stay, which triggers of maintenance_receipts call/,
  },
  {
    code: 'schema-function',
    level: 'fault',
    name: 'a function that makes partitions does something else',
    on: 'server',
    plant: async ({ outside }) => {
      await partitioned(outside)
      for (const statement of ensured('postgres', 'PUBLIC')) await outside.sql(statement)
      await outside.sql(
        `CREATE OR REPLACE FUNCTION maintenance_add_partition(wanted text, relation text, lower_bound text, upper_bound text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN DROP TABLE sessions; END'`,
      )
    },
    says: /function maintenance_add_partition, which changes audit_logs with the rights of its owner/,
  },
  {
    code: 'schema-function',
    level: 'fault',
    name: 'a function that drops partitions belongs to somebody else',
    on: 'server',
    async plant(place) {
      const { outside } = place
      await partitioned(outside)
      for (const statement of ensured('postgres', 'PUBLIC')) await outside.sql(statement)
      await outside.sql(`ALTER FUNCTION maintenance_remove_partition(text, text) OWNER TO ${await stranger(place)}`)
    },
    says: /function maintenance_remove_partition, which changes audit_logs .* belongs to somebody else/,
  },
  {
    code: 'schema-function',
    level: 'fault',
    name: 'a function that makes partitions was left where there are none, and looks up names where its caller says',
    on: 'server',
    plant: async ({ outside }) => {
      for (const statement of ensured('postgres', 'PUBLIC')) await outside.sql(statement)
      await outside.sql('ALTER FUNCTION maintenance_add_partition(text, text, text, text) RESET search_path')
    },
    says: /function maintenance_add_partition/,
  },
  {
    code: 'schema-trigger',
    level: 'fault',
    name: 'a trigger does something else',
    on: 'both',
    plant: either(
      [
        'DROP TRIGGER maintenance_holds_not_deleted',
        'CREATE TRIGGER maintenance_holds_not_deleted BEFORE DELETE ON maintenance_holds BEGIN SELECT 1; END',
      ],
      [
        'DROP TRIGGER maintenance_holds_stay ON maintenance_holds',
        'CREATE TRIGGER maintenance_holds_stay BEFORE UPDATE ON maintenance_holds FOR EACH ROW EXECUTE FUNCTION mcp_maintenance_holds_stay()',
      ],
    ),
    says: /is not the one that migration 007 made/,
  },
  {
    code: 'schema-trigger',
    level: 'fault',
    name: 'a function of a trigger does something else',
    on: 'server',
    plant: sql(
      `CREATE OR REPLACE FUNCTION mcp_maintenance_holds_stay() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NEW; END'`,
    ),
    says: /function mcp_maintenance_holds_stay, which triggers of maintenance_holds call/,
  },
  {
    code: 'schema-trigger',
    level: 'fault',
    name: 'a trigger is switched off',
    on: 'server',
    plant: sql('ALTER TABLE maintenance_leases DISABLE TRIGGER maintenance_leases_know_holds'),
    says: /maintenance_leases_know_holds of maintenance_leases is switched off/,
  },
  {
    code: 'schema-trigger-unknown',
    level: 'advice',
    name: 'a trigger of somebody on a table of the gateway',
    on: 'both',
    plant: either(
      ['CREATE TRIGGER theirs AFTER INSERT ON audit_logs BEGIN SELECT 1; END'],
      [
        `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
        'CREATE TRIGGER theirs AFTER INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION nothing()',
      ],
    ),
    says: /theirs of audit_logs/,
  },
  {
    code: 'schema-trigger-unknown',
    level: 'advice',
    name: 'a trigger of somebody on a single partition',
    on: 'server',
    async plant({ outside }) {
      await partitioned(outside)
      await outside.sql(`CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`)
      await outside.sql('CREATE TRIGGER theirs BEFORE DELETE ON audit_logs_default FOR EACH ROW EXECUTE FUNCTION nothing()')
    },
    says: /theirs of public\.audit_logs_default, a partition of audit_logs: BEFORE DELETE FOR EACH ROW/,
  },
  {
    code: 'schema-trigger-unknown',
    level: 'fault',
    name: 'a trigger of somebody on a table of the worker',
    on: 'both',
    plant: either(
      ['CREATE TRIGGER theirs AFTER INSERT ON maintenance_runs BEGIN SELECT 1; END'],
      [
        `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
        'CREATE TRIGGER theirs AFTER INSERT ON maintenance_runs FOR EACH ROW EXECUTE FUNCTION nothing()',
      ],
    ),
    says: /theirs of maintenance_runs, which runs with the worker's rights/,
  },
  {
    code: 'schema-rule',
    level: 'fault',
    name: 'a rule that deletes nothing',
    on: 'server',
    plant: sql('CREATE RULE "stay here" AS ON DELETE TO audit_logs DO INSTEAD NOTHING'),
    says: /rule stay here of audit_logs/,
  },
  {
    code: 'schema-row-security',
    level: 'advice',
    name: 'row-level security that hides nothing from this login',
    on: 'server',
    plant: sql('ALTER TABLE sessions ENABLE ROW LEVEL SECURITY'),
    says: /sessions has row-level security/,
  },
  {
    code: 'schema-foreign-key',
    level: 'advice',
    name: 'a foreign key keeps rows of a purged table',
    on: 'both',
    plant: sql('CREATE TABLE notes (log BIGINT REFERENCES audit_logs (id))', 'CREATE INDEX notes_log ON notes (log)'),
    says: /notes \(log\) keeps rows of audit_logs/,
  },
  {
    code: 'job-in-doubt',
    level: 'advice',
    name: 'a foreign key takes rows of another table along',
    on: 'both',
    plant: sql('CREATE TABLE notes (log BIGINT REFERENCES audit_logs (id) ON DELETE CASCADE)', 'CREATE INDEX notes_log ON notes (log)'),
    says: /deleting from (?:public\.)?audit_logs also deletes rows of (?:public\.)?notes/,
  },
  {
    code: 'schema-foreign-key',
    level: 'fault',
    name: 'a foreign key refers to a table of the worker',
    on: 'both',
    plant: sql('CREATE TABLE notes (run BIGINT REFERENCES maintenance_runs (id))'),
    says: /notes \(run\) refers to maintenance_runs/,
  },
  {
    code: 'schema-owner',
    level: 'fault',
    name: 'a view of a stranger',
    on: 'server',
    plant: async (place) => void (await place.outside.sql(`ALTER VIEW maintenance_history OWNER TO ${await stranger(place)}`)),
    says: /maintenance_history is a view of role stranger_/,
  },
  {
    code: 'schema-owner',
    level: 'fault',
    name: 'a function of a stranger, which a trigger calls',
    on: 'server',
    plant: async (place) =>
      void (await place.outside.sql(`ALTER FUNCTION mcp_maintenance_lease_knows_holds() OWNER TO ${await stranger(place)}`)),
    says: /mcp_maintenance_lease_knows_holds of a trigger of public\.maintenance_leases belongs to role stranger_/,
  },
  {
    code: 'schema-row-security',
    level: 'fault',
    name: 'row-level security that hides rows from this login',
    on: 'server',
    plant: (place) => purger(place, 'ALTER TABLE maintenance_detached ENABLE ROW LEVEL SECURITY'),
    says: /hides rows of maintenance_detached from the worker/,
  },
  {
    code: 'rights-missing',
    level: 'fault',
    name: 'a login that may not record its runs',
    on: 'server',
    plant: (place) => purger(place, 'REVOKE INSERT ON maintenance_runs FROM THE_LOGIN'),
    says: /INSERT ON "public"\."maintenance_runs"/,
  },
  {
    code: 'rights-beyond',
    level: 'advice',
    name: 'a login that purges, and may write audit logs',
    on: 'server',
    plant: (place) => purger(place, 'GRANT INSERT, TRUNCATE ON audit_logs TO THE_LOGIN'),
    says: /may INSERT, TRUNCATE on public\.audit_logs/,
  },
  {
    code: 'rights-beyond',
    level: 'advice',
    name: 'a login that may make roles',
    on: 'server',
    plant: (place) => purger(place, 'ALTER ROLE THE_LOGIN CREATEROLE'),
    says: /may make roles/,
  },
  {
    code: 'settings-surprising',
    level: 'advice',
    name: 'a warning of the settings',
    on: 'both',
    plant: () => Promise.resolve({ plan: { warnings: ['AUDIT_LOG_RETENTION is no setting'] } }),
    says: /AUDIT_LOG_RETENTION/,
  },
  {
    code: 'settings-surprising',
    level: 'advice',
    name: 'no job is enabled',
    on: 'both',
    plant: () => Promise.resolve({ jobsEnabled: () => false }),
    says: /no job is enabled/,
  },
  {
    code: 'settings-surprising',
    level: 'advice',
    name: 'audit logs are kept for ever',
    on: 'both',
    plant: () => Promise.resolve({ jobsEnabled: (job) => retentionOf(job) === undefined }),
    says: /audit logs are kept for ever/,
  },
  {
    code: 'settings-surprising',
    level: 'advice',
    name: 'an archive that is no longer used',
    on: 'both',
    plant: archivedOnce,
    says: /ARCHIVE_ENABLED is false/,
  },
  {
    code: 'clocks-differ',
    level: 'fault',
    name: "the host's clock is behind",
    on: 'server',
    plant: () => Promise.resolve({ clock: behind(2 * HOUR) }),
    says: /2 h ahead of this host's/,
  },
  {
    code: 'clocks-differ',
    level: 'advice',
    name: "the host's clock is a little ahead",
    on: 'server',
    plant: () => Promise.resolve({ clock: behind(-30_000) }),
    says: /30 s behind this host's/,
  },
  {
    code: 'clock-set-back',
    level: 'fault',
    name: 'a run that began tomorrow',
    on: 'both',
    plant: ({ outside }) =>
      outside
        .sql(
          `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, finished_at, outcome) VALUES ('purge-sessions', 'schedule', 'gone:1', '1', $1, $1, 'succeeded')`,
          [Date.now() + DAY],
        )
        .then(() => undefined),
    says: /24 h from now: a clock was ahead/,
  },
  {
    code: 'lease-abandoned',
    level: 'fault',
    name: 'a lease of a worker that was killed',
    on: 'both',
    plant: ({ outside }) =>
      outside
        .sql(`INSERT INTO maintenance_leases (job, holder, fence, expires_at) VALUES ('purge-sessions', 'gone:1 (knows holds)', 3, $1)`, [
          Date.now() - HOUR,
        ])
        .then(() => undefined),
    says: /^gone:1 had the lease of purge-sessions/,
  },
  {
    code: 'lease-abandoned',
    level: 'fault',
    name: 'a lease that a clock in the future has dated',
    on: 'both',
    plant: ({ outside }) =>
      outside
        .sql(`INSERT INTO maintenance_leases (job, holder, fence, expires_at) VALUES ('purge-sessions', 'gone:1', 3, $1)`, [
          Date.now() + DAY,
        ])
        .then(() => undefined),
    says: /from now, by gone:1/,
  },
  {
    code: 'server-settings',
    level: 'fault',
    name: 'triggers do not fire for this role',
    on: 'server',
    plant: ({ outside }) =>
      outside
        .sql(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_replication_role = replica', current_database()); END $$`)
        .then(() => undefined),
    says: /session_replication_role is replica/,
  },
  {
    code: 'vacuum-old-transaction',
    level: 'fault',
    name: 'a transaction that nobody ends, although it only reads',
    on: 'server',
    plant: (place) => forgotten(place, place.outside.url, 'SELECT 1'),
    says: /\(forgotten\) has had a transaction open for \S+ \S+ \(idle in transaction\): until it ends/,
  },
  {
    code: 'vacuum-old-transaction',
    level: 'advice',
    name: 'a transaction of another database that has written',
    on: 'server',
    async plant(place) {
      const elsewhere = Object.assign(new URL(place.outside.url), { pathname: '/postgres' }).href
      // Nothing here waits for one that only reads there.
      await forgotten(place, elsewhere, 'SELECT 1')
      return await forgotten(place, elsewhere, 'CREATE TEMP TABLE written (a int)')
    },
    says: /\(forgotten\) has had a writing transaction open in the database postgres for/,
  },
  {
    code: 'vacuum-replication-slot',
    level: 'advice',
    name: 'a replication slot that nobody reads from',
    on: 'server',
    async plant({ outside, after }) {
      const name = `forgotten_${Math.random().toString(36).slice(2)}`
      await outside.sql(`SELECT pg_create_physical_replication_slot($1, true)`, [name])
      after.push(() => outside.sql('SELECT pg_drop_replication_slot($1)', [name]))
    },
    says: /nobody reads from the replication slot "forgotten_/,
  },
  {
    code: 'vacuum-prepared-transaction',
    level: 'fault',
    name: 'a prepared transaction that nobody commits',
    on: 'server',
    async plant({ outside, after }) {
      const client = new Client({ connectionString: outside.url })
      await client.connect()
      await client.query(`BEGIN; CREATE TABLE elsewhere (a int); PREPARE TRANSACTION 'it''s'`)
      after.push(() => outside.sql(`ROLLBACK PREPARED 'it''s'`))
      await client.query('SELECT pg_sleep(0.4)')
      await client.end()
      return { limits: { oldTransactionMs: 300 } }
    },
    says: /the prepared transaction "it's" of role postgres/,
  },
  {
    code: 'database-journal',
    level: 'advice',
    name: 'a file without a write-ahead log',
    on: 'file',
    plant: (place) => sql('PRAGMA journal_mode = DELETE')(place),
    says: /no write-ahead log \(journal mode delete\)/,
  },
  {
    code: 'database-log-large',
    level: 'fault',
    name: 'a reader keeps the log from becoming short',
    on: 'file',
    async plant(place) {
      const writer = new BetterSqlite3(fileOf(place))
      writer.pragma('journal_mode = WAL')
      const reader = new BetterSqlite3(fileOf(place), { readonly: true })
      place.after.push(() => {
        reader.close()
        writer.close()
        return Promise.resolve()
      })
      reader.exec('BEGIN; SELECT count(*) FROM sqlite_schema')
      reader.prepare('SELECT count(*) FROM tools').get()
      writer.exec('CREATE TABLE much (a); INSERT INTO much VALUES (zeroblob(5000000))')
      return { limits: { largeLogBytes: 2 ** 22 } }
    },
    says: /-wal has 5\.1 MB/,
  },
  {
    code: 'database-files',
    level: 'fault',
    name: 'everybody may write to the file',
    on: 'file',
    plant: (place) => chmod(fileOf(place), 0o666),
    says: /everybody on this machine may write/,
  },
  {
    code: 'database-files',
    level: 'fault',
    name: 'a log that belongs to another user',
    on: 'file',
    async plant(place) {
      if (process.getuid?.() !== 0) return 'only root may give files away'
      const gateway = new BetterSqlite3(fileOf(place))
      place.after.push(() => Promise.resolve(void gateway.close()))
      gateway.prepare('SELECT count(*) FROM tools').get()
      // The log stays root's. As root SQLite would give it to the database's owner before doctor could look.
      const uid = 65_534
      await chown(dirname(fileOf(place)), uid, uid)
      await chown(fileOf(place), uid, uid)
      await chmod(`${fileOf(place)}-wal`, 0o644)
      await chmod(`${fileOf(place)}-shm`, 0o644)
      await chown(`${fileOf(place)}-shm`, uid, uid)
      return { uid }
    },
    says: /-wal belongs to uid 0, and the database to uid 65534, which can write neither to it nor to the database/,
  },
  {
    code: 'space-not-reused',
    level: 'advice',
    name: 'free pages that are not given back',
    on: 'file',
    plant: sql('CREATE TABLE much (a)', 'INSERT INTO much VALUES (zeroblob(70000000))', 'DROP TABLE much'),
    says: /are free, and are not given back to the disk/,
  },
  {
    code: 'space-not-reused',
    level: 'advice',
    name: 'autovacuum is off for a table',
    on: 'server',
    plant: sql('ALTER TABLE sessions SET (autovacuum_enabled = OFF)'),
    says: /autovacuum is switched off for public\.sessions/,
  },
  {
    code: 'space-not-reused',
    level: 'advice',
    name: 'deleted rows that nobody has vacuumed away',
    on: 'server',
    async plant({ outside }) {
      await outside.sql(
        `INSERT INTO sessions (session_token, user_identifier, expires_at) SELECT n, 'u', now() + interval '1 day' FROM generate_series(1, 120000) AS n`,
      )
      await outside.sql('DELETE FROM sessions')
      await deadIn(outside, ['sessions'], 120_000)
    },
    says: /120,000 deleted rows of public\.sessions still take their space/,
  },
  {
    code: 'space-not-reused',
    level: 'advice',
    name: 'autovacuum is off for a single partition',
    on: 'server',
    async plant({ outside }) {
      await partitioned(outside)
      await outside.sql('ALTER TABLE audit_logs_legacy SET (autovacuum_enabled = no)')
    },
    says: /autovacuum is switched off for 1 partition of public\.audit_logs \(public\.audit_logs_legacy\), .* Run: ALTER TABLE "public"\."audit_logs_legacy" RESET \(autovacuum_enabled\)/,
  },
  {
    code: 'space-not-reused',
    level: 'advice',
    name: 'deleted rows of partitions that nobody has vacuumed away',
    on: 'server',
    async plant({ outside }) {
      await partitioned(outside, { boundDay: 2, days: [2, 4] })
      // Too few in each to be worth a word, and beside a partition that has none.
      for (const [from, rows] of [
        ['now()', 60_000],
        [`now() + interval '3 days'`, 60_000],
      ] as const)
        await outside.sql(
          `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't', 'u', 'a', 's', (${from}) AT TIME ZONE 'UTC' FROM generate_series(1, ${rows})`,
        )
      await outside.sql('DELETE FROM audit_logs')
      await deadIn(outside, ['audit_logs_legacy', `audit_logs_p${midnight(3).slice(0, 10).replaceAll('-', '')}`], 120_000)
    },
    says: /120,000 deleted rows of 2 partitions of public\.audit_logs \(public\.audit_logs_legacy, public\.audit_logs_p\d{8}\) still take their space: at least one of them has never been vacuumed/,
  },
  {
    code: 'database-damaged',
    level: 'fault',
    name: 'damaged pages',
    on: 'file',
    async plant(place) {
      await auditLogs(place.outside, place.engine, 2_000, 10)
      const database = new BetterSqlite3(fileOf(place), { readonly: true })
      const size = database.pragma('page_size', { simple: true }) as number
      // A leaf of the index that only rows of other tools would be looked up in.
      const [page] = database
        .prepare(`SELECT pageno FROM dbstat WHERE name = 'idx_audit_logs_action' AND pagetype = 'leaf' LIMIT 1`)
        .all() as { pageno: number }[]
      database.close()
      const handle = await open(fileOf(place), 'r+')
      await handle.write(Buffer.alloc(size, 0xff), 0, size, (page!.pageno - 1) * size)
      await handle.close()
      return { plan: { thorough: true } }
    },
    says: /file is damaged/,
  },
  {
    code: 'archive-unreachable',
    level: 'fault',
    name: "the archive's folder is a file",
    on: 'both',
    async plant({ folder }) {
      await writeFile(`${folder}/file`, '')
      return archiveIn(`${folder}/file`)
    },
    says: /names a file, not a folder/,
  },
  {
    code: 'archive-unreachable',
    level: 'fault',
    name: "the archive's folder lies behind a file",
    on: 'both',
    async plant({ folder }) {
      await writeFile(`${folder}/file`, '')
      return archiveIn(`${folder}/file/archive`)
    },
    says: /cannot be looked at \(ENOTDIR\)/,
  },
  {
    code: 'archive-unwritable',
    level: 'fault',
    name: "the archive's folder is mounted for reading alone",
    on: 'both',
    async plant(place) {
      const folder = await mounted(place, 'ro,mode=700')
      return folder === undefined ? NO_MOUNT : archiveIn(folder)
    },
    says: /may not write to the archive's folder/,
  },
  {
    code: 'archive-unwritable',
    level: 'fault',
    name: "the archive's folder cannot be made",
    on: 'both',
    async plant(place) {
      const folder = await mounted(place, 'ro,mode=700')
      return folder === undefined ? NO_MOUNT : archiveIn(`${folder}/not/yet`)
    },
    says: /does not exist, and this user may not make it in .*mounted/,
  },
  {
    code: 'disk-full',
    level: 'fault',
    name: "the archive's disk is nearly full",
    on: 'both',
    async plant(place) {
      const folder = await mounted(place, 'size=16m,mode=700')
      return folder === undefined ? NO_MOUNT : archiveIn(folder)
    },
    says: /the file system of the archive .* has 17 MB left of 17 MB/,
  },
  {
    code: 'disk-full',
    level: 'fault',
    name: 'no more files can be made for the archive',
    on: 'both',
    async plant(place) {
      const folder = await mounted(place, 'size=1g,nr_inodes=50,mode=700')
      return folder === undefined ? NO_MOUNT : archiveIn(folder)
    },
    says: /has room for \d+ more files/,
  },
  {
    code: 'disk-full',
    level: 'fault',
    name: "the database's disk is nearly full",
    on: 'file',
    async plant(place) {
      const folder = await mounted(place, 'size=16m,mode=700')
      if (folder === undefined) return NO_MOUNT
      await copyFile(fileOf(place), `${folder}/gateway.db`)
      return { url: `sqlite:///${folder}/gateway.db` }
    },
    says: /the file system of the database .* has 1\d MB left of 17 MB/,
  },
  {
    code: 'archive-access',
    level: 'advice',
    name: "the archive's folder belongs to somebody else",
    on: 'both',
    async plant({ folder }) {
      // As a worker of that uid sees it.
      const uid = (process.getuid?.() ?? 0) + 4_711
      await mkdir(`${folder}/a`)
      if (process.getuid?.() !== 0) return archiveIn(`${folder}/a`, { uid })
      await chown(`${folder}/a`, uid + 1, uid + 1)
      return archiveIn(`${folder}/a`, { uid })
    },
    says: /belongs to uid \d+, and this runs as uid/,
  },
  {
    code: 'archive-access',
    level: 'advice',
    name: "everybody may write to the archive's folder",
    on: 'both',
    async plant({ folder }) {
      await mkdir(`${folder}/a`)
      await chmod(`${folder}/a`, 0o777)
      return archiveIn(`${folder}/a`)
    },
    says: /everybody may write to the archive's folder/,
  },
  {
    code: 'archive-unverified',
    level: 'advice',
    name: 'an archive that was never verified',
    on: 'both',
    async plant(place) {
      await archivedOnce(place)
      return archiveIn(place.folder)
    },
    says: /has never been verified/,
  },
  {
    code: 'archive-unverified',
    level: 'advice',
    name: 'an archive that was verified long ago',
    on: 'both',
    async plant(place) {
      await archivedOnce(place)
      await place.outside.sql(`UPDATE maintenance_archives SET verified_at = $1, verified = 'sound'`, [Date.now() - 40 * DAY])
      return archiveIn(place.folder)
    },
    says: /last verified 40 d ago/,
  },
]

function behind(ms: number): Asked['clock'] & {} {
  const clock = hostClock()
  return { ...clock, now: () => clock.now() - ms }
}

/** A session that has begun a transaction, said this, and does nothing since. */
async function forgotten({ outside, after }: Place, url: string, statement: string): Promise<Asked> {
  const client = new Client({ connectionString: url, application_name: 'forgotten' })
  await client.connect()
  after.push(() => client.end())
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await client.query(statement)
  await outside.sql('SELECT pg_sleep(0.4)')
  return { limits: { oldTransactionMs: 300 } }
}
