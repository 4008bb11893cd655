import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { MaintenanceError } from '../../src/errors.ts'
import { migrate } from '../../src/migrations/apply-migrations.ts'
import { readMigrationFiles, type MigrationFile } from '../../src/migrations/migration-files.ts'
import { partitionedProblem } from '../../src/migrations/partitioned-tables.ts'
import { splitStatements } from '../../src/migrations/sql/statements.ts'
import { hostClock, SECOND } from '../../src/time/clock.ts'
import { migrated } from '../runs/support.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'
import { listening, made, opened, PACKAGE_ROOT } from './support.ts'

const TABLES = new Map([['audit_logs', { columns: ['timestamp'], indexes: ['idx_there', 'audit_logs_pkey'] }]])

function problemOf(sql: string): string | undefined {
  return partitionedProblem(splitStatements(`${sql};`).statements[0]!, TABLES)
}

const REFUSED: Readonly<Record<string, RegExp>> = {
  'CREATE INDEX CONCURRENTLY IF NOT EXISTS idx ON audit_logs (status)': /^CREATE INDEX CONCURRENTLY does not work on audit_logs/,
  'create unique index concurrently idx on only "audit_logs" (id, "timestamp")': /^CREATE INDEX CONCURRENTLY does not work/,
  'DROP INDEX CONCURRENTLY IF EXISTS idx_there': /^DROP INDEX CONCURRENTLY does not work on idx_there, an index of audit_logs/,
  'CREATE UNIQUE INDEX IF NOT EXISTS idx ON audit_logs (id)': /^a unique index of audit_logs.* must have the column timestamp too/,
  'CREATE UNIQUE INDEX idx ON audit_logs USING btree (id)': /^a unique index/,
  'ALTER TABLE audit_logs ADD CONSTRAINT one UNIQUE (id, status)': /^a unique constraint of audit_logs/,
  'ALTER TABLE ONLY audit_logs ADD PRIMARY KEY (id)': /^a primary key of audit_logs/,
  'ALTER TABLE audit_logs ADD CONSTRAINT one UNIQUE USING INDEX idx': /^a unique constraint/,
  'ALTER TABLE audit_logs ADD COLUMN token text UNIQUE': /^a unique constraint/,
  'ALTER TABLE IF EXISTS audit_logs RENAME TO logs': /cannot be renamed$/,
  'ALTER TABLE audit_logs RENAME "timestamp" TO at': /by the column that this renames$/,
  'ALTER TABLE audit_logs RENAME COLUMN timestamp TO at': /by the column that this renames$/,
  'ALTER TABLE audit_logs ALTER COLUMN timestamp TYPE timestamptz': /whose type this changes$/,
  'ALTER TABLE audit_logs ALTER timestamp SET DATA TYPE timestamptz': /whose type this changes$/,
  'ALTER TABLE audit_logs DROP COLUMN IF EXISTS timestamp': /by the column that this drops$/,
  'CREATE TABLE notes (id bigint, log bigint REFERENCES audit_logs (id))': /^a foreign key cannot refer to audit_logs/,
  'ALTER TABLE tools ADD FOREIGN KEY (log) REFERENCES "audit_logs"': /^a foreign key cannot refer to audit_logs/,
  'ALTER TABLE audit_logs ADD COLUMN tool bigint REFERENCES tools': /with a foreign key of it writers/,
  'ALTER TABLE audit_logs ADD FOREIGN KEY (tool_name) REFERENCES tools (name)': /with a foreign key of it writers/,
  'ALTER TABLE audit_logs ADD EXCLUDE USING gist (id WITH =)': /^an exclusion constraint/,
  'ALTER TABLE audit_logs ADD COLUMN nr bigint GENERATED ALWAYS AS IDENTITY': /another identity column$/,
}

const FINE: readonly string[] = [
  'CREATE INDEX IF NOT EXISTS idx ON audit_logs (status)',
  'CREATE INDEX idx ON ONLY audit_logs (status)',
  'CREATE UNIQUE INDEX idx ON audit_logs (id, "timestamp")',
  'CREATE UNIQUE INDEX IF NOT EXISTS idx_there ON audit_logs (id)',
  'CREATE UNIQUE INDEX IF NOT EXISTS idx ON tools (id)',
  'CREATE INDEX CONCURRENTLY IF NOT EXISTS idx ON tools (audit_logs)',
  'DROP INDEX CONCURRENTLY IF EXISTS idx_elsewhere',
  'DROP INDEX IF EXISTS idx_there',
  'ALTER TABLE audit_logs ADD COLUMN IF NOT EXISTS region text',
  'ALTER TABLE audit_logs ADD COLUMN doubled bigint GENERATED ALWAYS AS (id * 2) STORED',
  'ALTER TABLE audit_logs RENAME COLUMN status TO state',
  'ALTER TABLE audit_logs ALTER COLUMN status TYPE varchar(20)',
  'ALTER TABLE audit_logs ALTER COLUMN timestamp SET DEFAULT now()',
  'ALTER TABLE audit_logs DROP COLUMN error',
  'ALTER TABLE audit_logs ADD CONSTRAINT one UNIQUE (id, "timestamp")',
  'ALTER TABLE tools RENAME TO audit_logs',
  'GRANT REFERENCES ON audit_logs TO PUBLIC',
  `INSERT INTO tools (name) VALUES ('REFERENCES audit_logs')`,
]

void describe('what a migration may do with a table that is partitioned', () => {
  for (const [sql, says] of Object.entries(REFUSED)) void test(`refused: ${sql}`, () => assert.match(problemOf(sql) ?? 'not refused', says))
  for (const sql of FINE) void test(`not refused: ${sql}`, () => assert.equal(problemOf(sql), undefined))
})

async function applied(outside: TestDatabase, files: readonly MigrationFile[]): Promise<readonly number[]> {
  await using database = await opened(outside.url)
  const done = await migrate({
    database,
    files,
    appVersion: '1.2.3',
    lockTimeoutMs: 20 * SECOND,
    signal: new AbortController().signal,
    clock: hostClock(),
    listener: listening().listener,
  })
  return done.map(({ version }) => version)
}

const HAS_PSQL = spawnSync('psql', ['--version']).status === 0

for (const engine of ENGINES.filter(({ name }) => name.startsWith('postgres'))) {
  void describe(`migrations after a conversion on ${engine.name}`, () => {
    void test('a file that cannot work is refused with its line before the first statement of the ones before it', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      const files = await readMigrationFiles(PACKAGE_ROOT)
      const next = Math.max(...files.map(({ version }) => version)) + 1
      const stem = (version: number, name: string): string => `${String(version).padStart(3, '0')}_${name}`
      const added = [
        ...made(stem(next, 'add_region'), 'ALTER TABLE audit_logs ADD COLUMN region TEXT;'),
        ...made(stem(next + 1, 'one_each'), '-- Once each.\nCREATE UNIQUE INDEX IF NOT EXISTS one_each ON audit_logs (id, status);\n'),
      ]
      await partitioned(outside)
      await assert.rejects(applied(outside, [...files, ...added]), (error) => {
        assert(error instanceof MaintenanceError)
        assert.deepEqual([error.code, error.exitCode], ['MIGRATION_REFUSED', 4])
        assert.equal(
          error.lines[0],
          `migrations/${stem(next + 1, 'one_each')}.sql:2:1 a unique index of audit_logs, which is partitioned here, must have the column timestamp too`,
        )
        assert.match(error.lines[1]!, /^Nothing was changed\. .* Run: mcp-gateway-maintenance partition undo$/)
        return true
      })
      const columns = await outside.sql(`SELECT FROM information_schema.columns WHERE table_name = 'audit_logs' AND column_name = 'region'`)
      assert.equal(columns.length, 0)
      assert.deepEqual(await applied(outside, [...files, ...added.slice(0, 2)]), [next])
      assert.deepEqual(
        (
          await outside.sql<{ name: string }>(
            `SELECT table_name AS name FROM information_schema.columns WHERE column_name = 'region' ORDER BY 1`,
          )
        ).length,
        15,
      )
    })

    void test(
      'every shipped file runs again by hand on a converted table and changes nothing',
      { skip: !HAS_PSQL && 'psql is not on this machine' },
      async () => {
        await using fixture = await migrated(engine)
        const { outside } = fixture
        await partitioned(outside)
        const before = await shapeOf(outside)
        for (const { path, fileName } of await readMigrationFiles(PACKAGE_ROOT)) {
          if (fileName.endsWith('_sqlite.sql')) continue
          const run = spawnSync('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', `${PACKAGE_ROOT}${path}`, outside.url], {
            encoding: 'utf8',
          })
          assert.equal(run.status, 0, `${path}: ${run.stderr}`)
        }
        assert.deepEqual(await shapeOf(outside), before)
      },
    )

    void test('004 leaves an index alone that is attached to one of a partitioned table', async () => {
      await using outside = await engine.fresh()
      const files = await readMigrationFiles(PACKAGE_ROOT)
      await applied(
        outside,
        files.filter(({ version }) => version < 4),
      )
      // The names of the ORM's indexes stay with the table that becomes the first partition.
      for (const statement of [
        'CREATE INDEX ix_audit_logs_tool_name ON audit_logs (tool_name)',
        'CREATE INDEX idx_audit_logs_user ON audit_logs ("user")',
        'ALTER TABLE audit_logs RENAME TO audit_logs_legacy',
        'ALTER TABLE audit_logs_legacy DROP CONSTRAINT audit_logs_pkey CASCADE',
        'ALTER TABLE audit_logs_legacy ALTER id DROP IDENTITY',
        'DROP INDEX idx_audit_logs_tool_name',
        'CREATE INDEX idx_tool_time ON audit_logs_legacy (tool_name, "timestamp")',
        'CREATE TABLE audit_logs (LIKE audit_logs_legacy) PARTITION BY RANGE ("timestamp")',
        'CREATE INDEX idx_by_tool ON audit_logs (tool_name)',
        'ALTER TABLE audit_logs ATTACH PARTITION audit_logs_legacy DEFAULT',
      ])
        await outside.sql(statement)
      const [attached] = await outside.sql<{ name: string }>(
        `SELECT c.relname AS name FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid WHERE inhparent = 'idx_by_tool'::regclass`,
      )
      assert.equal(attached?.name, 'ix_audit_logs_tool_name')
      await applied(outside, files)
      const left = await outside.sql<{ name: string }>(
        `SELECT indexname AS name FROM pg_indexes WHERE indexname IN ('ix_audit_logs_tool_name', 'idx_audit_logs_user') ORDER BY 1`,
      )
      assert.deepEqual(left, [{ name: 'ix_audit_logs_tool_name' }])
    })
  })
}

async function shapeOf({ sql }: TestDatabase): Promise<unknown> {
  return [
    await sql(`SELECT oid, relname, relkind, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1`),
    await sql(
      `SELECT conname, pg_get_constraintdef(oid) AS body FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2`,
    ),
  ]
}
