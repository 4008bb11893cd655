import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetentionRecord } from '../../src/archive/archive-retention.ts'
import { NO_RUN } from '../../src/archive/format.ts'
import { MaintenanceError } from '../../src/errors.ts'
import { auditLogs, count, migrated } from '../runs/support.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { archivedOnce, freshFolder, idsOf, purged, recordOf } from './support.ts'

interface Planted {
  readonly table: string
  readonly when: 'BEFORE INSERT' | 'BEFORE UPDATE' | 'AFTER INSERT' | 'AFTER UPDATE'
  /** What a trigger that comes after does. One that comes before swallows the write. */
  readonly does?: string
  /** The rows it applies to. */
  readonly only?: string
}

/** Returns a function that removes the trigger. */
async function plant(outside: TestDatabase, engine: TestEngine, { table, when, does, only }: Planted): Promise<() => Promise<void>> {
  const condition = only === undefined ? '' : ` WHEN (${only})`
  if (engine.name === 'sqlite') {
    const swallow = 'SELECT RAISE(IGNORE)'
    await outside.sql(`CREATE TRIGGER planted ${when} ON ${table} FOR EACH ROW${condition} BEGIN ${does ?? swallow}; END`)
    return async () => void (await outside.sql('DROP TRIGGER planted'))
  }
  // Writes of the trigger itself must not fire it again.
  const body = does === undefined ? 'RETURN NULL;' : `IF pg_trigger_depth() = 1 THEN ${does}; END IF; RETURN NULL;`
  await outside.sql(`CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$`)
  await outside.sql(`CREATE TRIGGER planted ${when} ON ${table} FOR EACH ROW${condition} EXECUTE FUNCTION planted()`)
  return async () => {
    await outside.sql(`DROP TRIGGER planted ON ${table}`)
    await outside.sql('DROP FUNCTION planted()')
  }
}

const ARCHIVES = 'maintenance_archives'
const BENT: readonly Planted[] = [
  { table: ARCHIVES, when: 'BEFORE UPDATE' },
  { table: ARCHIVES, when: 'BEFORE UPDATE', only: 'new.head IS NOT NULL' },
  { table: ARCHIVES, when: 'BEFORE INSERT' },
  { table: ARCHIVES, when: 'AFTER UPDATE', does: `UPDATE ${ARCHIVES} SET removed = ''`, only: 'new.removed IS NULL' },
  { table: ARCHIVES, when: 'AFTER UPDATE', does: `UPDATE ${ARCHIVES} SET head = NULL`, only: 'new.head IS NOT NULL' },
  { table: ARCHIVES, when: 'AFTER INSERT', does: `UPDATE ${ARCHIVES} SET step = NULL` },
  { table: ARCHIVES, when: 'AFTER INSERT', does: `DELETE FROM ${ARCHIVES}` },
  { table: 'maintenance_archived', when: 'BEFORE INSERT' },
  { table: 'maintenance_archived', when: 'AFTER INSERT', does: 'UPDATE maintenance_archived SET "rows" = 7' },
  { table: 'maintenance_archive_retention', when: 'BEFORE INSERT' },
  { table: 'maintenance_archive_retention', when: 'AFTER INSERT', does: 'UPDATE maintenance_archive_retention SET retention = 1' },
  { table: 'maintenance_leases', when: 'BEFORE INSERT' },
  { table: 'maintenance_leases', when: 'AFTER INSERT', does: 'UPDATE maintenance_leases SET expires_at = 0' },
  { table: 'maintenance_runs', when: 'BEFORE INSERT' },
  { table: 'maintenance_runs', when: 'BEFORE UPDATE' },
  { table: 'maintenance_runs', when: 'AFTER INSERT', does: 'DELETE FROM maintenance_runs' },
  {
    table: 'maintenance_runs',
    when: 'AFTER UPDATE',
    does: 'UPDATE maintenance_runs SET rows_deleted = 0',
    only: 'new.rows_deleted > 0',
  },
  {
    table: 'maintenance_runs',
    when: 'AFTER UPDATE',
    does: 'UPDATE maintenance_runs SET retention = NULL',
    only: 'new.retention IS NOT NULL',
  },
]

for (const engine of BOTH_ENGINES) {
  for (const planted of BENT) {
    const { table, when, does = 'nothing is written', only = 'any' } = planted
    test(`${engine.name}: a trigger ${when} on ${table} (${only}; ${does}) is detected: no row is deleted, and the next run archives each once`, async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      // The whole part is the first batch, so that nothing is deleted before its end is recorded.
      await auditLogs(outside, engine, 1, 100)
      const ids = await idsOf(outside)
      const unplant = await plant(outside, engine, planted)
      const error = await purged(database, folder.path).then(
        (result) => (result.outcome === 'failed' ? result.error : result.outcome),
        (thrown: unknown) => thrown,
      )
      assert.ok(error instanceof MaintenanceError && error.code === 'JOB_FAILED', String(error))
      assert.match(error.message, new RegExp(`${table}"? does not hold what was just written to it.*a trigger or a rule`))
      assert.deepEqual(await idsOf(outside), ids)
      await unplant()
      // A run whose row or lease was altered may have left something, as after a crash.
      await outside.sql('UPDATE maintenance_leases SET expires_at = 0')
      const next = await purged(database, folder.path)
      assert.equal(next.outcome, 'succeeded', String(next.error))
      await archivedOnce(database, outside, folder.path, ids)
    })
  }

  test(`${engine.name}: what verify and a removal record is read back, and they reject if it is not there`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 20, 100)
    await purged(database, folder.path)
    await plant(outside, engine, { table: ARCHIVES, when: 'BEFORE UPDATE' })
    await assert.rejects(
      database.transaction((tx) => recordOf(database).noteVerified(tx, tx.now, 'damaged')),
      /does not hold what was just written to it \(verified_at, verified\)/,
    )
    if (engine.name === 'sqlite') await outside.sql('DROP TRIGGER planted')
    else await outside.sql('DROP FUNCTION planted() CASCADE')
    await plant(outside, engine, { table: 'maintenance_archive_removed', when: 'BEFORE INSERT' })
    const retention = new RetentionRecord((name) => database.named(name), 'audit_logs')
    await assert.rejects(
      database.transaction((tx) => retention.noteRemoved(tx, NO_RUN, { rows: 1, bytes: 1, files: 1 })),
      /does not hold what was just written to it \(rows, bytes, files\)/,
    )
    assert.equal(await count(outside, 'maintenance_archive_removed'), 0)
  })
}

for (const engine of BOTH_ENGINES.filter(({ name }) => name !== 'sqlite'))
  test(`${engine.name}: a rule that does nothing instead of the write is detected too`, async () => {
    for (const [table, event] of [
      [ARCHIVES, 'UPDATE'],
      ['maintenance_runs', 'UPDATE'],
      ['maintenance_leases', 'UPDATE'],
      ['maintenance_runs', 'INSERT'],
    ] as const) {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      await auditLogs(outside, engine, 20, 100)
      const ids = await idsOf(outside)
      await outside.sql(`CREATE RULE planted AS ON ${event} TO ${table} DO INSTEAD NOTHING`)
      const failed = await purged(database, folder.path).then(
        ({ outcome }) => outcome === 'failed',
        () => true,
      )
      assert.ok(failed, `${table} ${event}`)
      assert.deepEqual(await idsOf(outside), ids)
    }
  })
