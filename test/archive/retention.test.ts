import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import type { Acceptance } from '../../src/purge/safety.ts'
import { DAY } from '../../src/time/clock.ts'
import { ahead, auditLogs, count, migrated, opened, type Fixture, type Told } from '../runs/support.ts'
import { CHECKOUT } from '../shipping/checkout.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { filesIn, freshFolder, purged, verified } from './support.ts'

const YEAR = 365 * DAY
const SHORTER = new Set<Acceptance>(['empty-table', 'shorter-archive-retention'])

/** A run with an archive retention of so many days; `undefined`: for ever. */
function keeping(
  { database }: Fixture,
  directory: string,
  days: number | undefined,
  request: Parameters<typeof purged>[2] = {},
  options: Parameters<typeof purged>[3] = {},
): ReturnType<typeof purged> {
  return purged(database, directory, { ...(days === undefined ? {} : { keptMs: days * DAY }), ...request }, options)
}

/** One row at noon of each of these days. */
async function rowADay(outside: TestDatabase, engine: TestEngine, from: number, to: number): Promise<void> {
  for (let day = from; day < to; day += 1) {
    const noon = new Date(Math.floor(Date.now() / DAY - day) * DAY + DAY / 2).toISOString().slice(0, 19).replace('T', ' ')
    await outside.sql(
      `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) VALUES ('t', 'u', 'invoke', 'success', ${engine.name === 'sqlite' ? '$1' : '$1::timestamp'})`,
      [noon],
    )
  }
}

async function onRecord(outside: TestDatabase): Promise<number | null | undefined> {
  const [row] = await outside.sql<{ retention: number | null }>('SELECT retention FROM maintenance_archive_retention')
  return row?.retention
}

async function files(directory: string): Promise<number> {
  return (await filesIn(directory)).length
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: an archive retention lowered from 365d to 91d stops only the removal of files, until a person accepts it`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await rowADay(outside, engine, 95, 125)
    assert.equal((await keeping(fixture, folder.path, 365)).outcome, 'succeeded')
    assert.equal(await files(folder.path), 30)
    for (let run = 1; run <= 2; run += 1) {
      await auditLogs(outside, engine, 5, 91)
      const stopped = await keeping(fixture, folder.path, 91)
      assert.deepEqual([stopped.outcome, stopped.exitCode, stopped.deleted, stopped.archived?.rows], ['stopped', 5, 5, 5])
      assert.deepEqual(stopped.archived?.removed, { rows: 0, bytes: 0, files: 0 })
      assert.match(
        String(stopped.error),
        /The archive of audit_logs is to be kept for 91d, but the last accepted retention is 365d: 3\d of 3\d files would be removed.*--run-now --job purge-audit-logs --accept-shorter-archive-retention/,
      )
    }
    assert.equal(await onRecord(outside), YEAR)
    assert.equal(await count(outside, 'audit_logs'), 0)
    const told: Told = { warnings: [] }
    const dry = await keeping(fixture, folder.path, 91, { dryRun: true }, { told })
    assert.equal(dry.outcome, 'succeeded')
    assert.match(told.warnings.join('\n'), /a run would be stopped: The archive of audit_logs.*--accept-shorter-archive-retention/)

    const accepted = await keeping(fixture, folder.path, 91, { accepted: SHORTER })
    assert.equal(accepted.outcome, 'succeeded')
    assert.equal(accepted.archived?.removed.rows, 30)
    assert.equal(await onRecord(outside), 91 * DAY)
    assert.deepEqual((await verified(database, folder.path)).problems, [])
    await rowADay(outside, engine, 95, 125)
    const next = await keeping(fixture, folder.path, 91)
    assert.deepEqual([next.outcome, next.archived?.removed.files], ['succeeded', 30])
  })

  test(`${engine.name}: if two workers have different archive retentions, the shorter one is stopped and is never accepted, in either order`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    await rowADay(outside, engine, 95, 115)
    for (let round = 1; round <= 2; round += 1) {
      assert.equal((await keeping(fixture, folder.path, 365)).outcome, 'succeeded')
      assert.equal((await keeping(fixture, folder.path, 91)).outcome, 'stopped')
      assert.equal(await onRecord(outside), YEAR)
    }
    assert.equal(await files(folder.path), 20)
    // A longer retention is accepted automatically: it removes less.
    assert.equal((await keeping(fixture, folder.path, undefined)).outcome, 'succeeded')
    assert.equal(await onRecord(outside), null)
    assert.equal((await keeping(fixture, folder.path, 91)).outcome, 'stopped')
    assert.equal(await files(folder.path), 20)
  })

  test(`${engine.name}: many small reductions of the retention remove at most a tenth of the archive in total`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    await rowADay(outside, engine, 100, 140)
    assert.equal((await keeping(fixture, folder.path, 150)).outcome, 'succeeded')
    const small = await keeping(fixture, folder.path, 137)
    assert.deepEqual([small.outcome, small.archived?.removed.files], ['succeeded', 2])
    const more = await keeping(fixture, folder.path, 135)
    assert.deepEqual([more.outcome, more.archived?.removed.files], ['succeeded', 2])
    // On its own, this step too would remove less than a tenth of what is left.
    assert.equal((await keeping(fixture, folder.path, 134)).outcome, 'stopped')
    assert.deepEqual([await files(folder.path), await onRecord(outside)], [36, 150 * DAY])
    // What is expired under both retentions is removed under the longer one.
    assert.equal((await keeping(fixture, folder.path, 150)).outcome, 'succeeded')
  })

  test(`${engine.name}: for an archive without a recorded retention, removing little accepts the retention, and removing much is a stop`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    await rowADay(outside, engine, 95, 125)
    assert.equal((await keeping(fixture, folder.path, 365)).outcome, 'succeeded')
    await outside.sql('DELETE FROM maintenance_archive_retention')
    const stopped = await keeping(fixture, folder.path, 110)
    assert.equal(stopped.outcome, 'stopped')
    assert.match(String(stopped.error), /no earlier retention is recorded: 1\d of 30 files would be removed/)
    assert.equal(await onRecord(outside), undefined)
    const steady = await keeping(fixture, folder.path, 122)
    assert.deepEqual([steady.outcome, steady.archived?.removed.files], ['succeeded', 2])
    assert.equal(await onRecord(outside), 122 * DAY)
    assert.equal((await keeping(fixture, folder.path, 110)).outcome, 'stopped')
    await outside.sql('DELETE FROM maintenance_archive_retention')
    const accepted = await keeping(fixture, folder.path, 110, { accepted: SHORTER })
    assert.deepEqual([accepted.outcome, await onRecord(outside)], ['succeeded', 110 * DAY])
  })

  test(`${engine.name}: while the archive is empty the configured retention is accepted, even if the first run removes what it has just archived`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    assert.equal((await keeping(fixture, folder.path, 365)).outcome, 'succeeded')
    assert.equal(await onRecord(outside), YEAR)
    await rowADay(outside, engine, 95, 115)
    const first = await keeping(fixture, folder.path, 100)
    assert.equal(first.outcome, 'succeeded')
    assert.ok(first.archived!.removed.files >= 14)
    assert.equal(await onRecord(outside), 100 * DAY)
  })

  test(`${engine.name}: files removed under an accepted retention do not count against a shorter one after the retention was raised`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    await rowADay(outside, engine, 95, 125)
    assert.ok((await keeping(fixture, folder.path, 110)).archived!.removed.files >= 14)
    assert.equal((await keeping(fixture, folder.path, undefined)).outcome, 'succeeded')
    assert.equal((await keeping(fixture, folder.path, 365)).outcome, 'succeeded')
    // It removes one of sixteen files; the fourteen that were removed under 110d do not count.
    const shorter = await keeping(fixture, folder.path, 109)
    assert.deepEqual([shorter.outcome, shorter.archived?.removed.files], ['succeeded', 1])
    assert.equal(await onRecord(outside), null)
  })

  test(`${engine.name}: a record that was written while the clock was ahead does not disable the stop, nor do small reductions`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    await rowADay(outside, engine, 100, 140)
    assert.equal((await keeping(fixture, folder.path, 365)).outcome, 'succeeded')
    for (const days of [365, -50]) {
      // A year in the future, and an instant later than the oldest files.
      await outside.sql(`UPDATE maintenance_archive_retention SET complete_from = ${Date.now() + days * DAY}`)
      const stopped = await keeping(fixture, folder.path, 110)
      assert.deepEqual([stopped.outcome, await files(folder.path)], ['stopped', 40])
    }
    await outside.sql(`UPDATE maintenance_archive_retention SET complete_from = ${Date.now() + 365 * DAY}`)
    assert.equal((await keeping(fixture, folder.path, 137)).archived?.removed.files, 2)
    assert.equal((await keeping(fixture, folder.path, 135)).archived?.removed.files, 2)
    assert.equal((await keeping(fixture, folder.path, 134)).outcome, 'stopped')
    assert.deepEqual([await files(folder.path), await onRecord(outside)], [36, YEAR])
  })

  test(`${engine.name}: if the tables of the retention are missing, no file is removed, a warning says so, and the purge continues`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    await rowADay(outside, engine, 95, 105)
    assert.equal((await keeping(fixture, folder.path, 365)).outcome, 'succeeded')
    await outside.sql('DROP TABLE maintenance_archive_retention')
    await auditLogs(outside, engine, 5, 91)
    const told: Told = { warnings: [] }
    const result = await keeping(fixture, folder.path, 97, {}, { told })
    assert.deepEqual([result.outcome, result.deleted, result.archived?.removed.files], ['succeeded', 5, 0])
    assert.match(told.warnings.join('\n'), /no file was removed from the archive: .*Apply migration 006/)
    for (const _ of ['once', 'again']) await applyMigration(outside, engine)
    assert.equal((await keeping(fixture, folder.path, 365)).outcome, 'succeeded')
    assert.equal(await onRecord(outside), YEAR)
  })

  test(`${engine.name}: what a run removes is recorded, and deleted from the record together with the run`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    await rowADay(outside, engine, 95, 105)
    await keeping(fixture, folder.path, 100)
    const [removed] = await outside.sql<{ rows: number; files: number; bytes: number }>('SELECT * FROM maintenance_archive_removed')
    assert.ok(removed!.files >= 4 && removed!.rows === removed!.files && removed!.bytes > 0)
    await keeping(fixture, folder.path, 100)
    await outside.sql('DELETE FROM maintenance_runs WHERE id = (SELECT min(id) FROM maintenance_runs)')
    await keeping(fixture, folder.path, 100)
    assert.equal(await count(outside, 'maintenance_archive_removed'), 0)
  })

  test(`${engine.name}: a clock that jumped is a stop if too many archived files would go, before anything is deleted`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside } = fixture
    await rowADay(outside, engine, 95, 125)
    assert.equal((await keeping(fixture, folder.path, 128)).outcome, 'succeeded')
    await auditLogs(outside, engine, 100, 1)
    await auditLogs(outside, engine, 5, 85)
    await using moved = await later(engine, fixture, 10 * DAY)
    const stopped = await keeping(moved, folder.path, 128, {}, moved.options)
    assert.deepEqual([stopped.outcome, stopped.exitCode, stopped.deleted], ['stopped', 5, 0])
    assert.match(
      String(stopped.error),
      /hardly any day between: .*more than a tenth of the 30 files of the archive of audit_logs would be deleted\. Nothing was deleted.*--accept-clock/,
    )
    assert.deepEqual([await files(folder.path), await count(outside, 'audit_logs')], [30, 105])
    const accepted = await keeping(moved, folder.path, 128, { accepted: new Set<Acceptance>(['clock', 'empty-table']) }, moved.options)
    assert.deepEqual([accepted.outcome, accepted.deleted], ['succeeded', 5])
    assert.ok(accepted.archived!.removed.files >= 6)
  })
}

interface Moved extends Fixture {
  readonly options: NonNullable<Parameters<typeof purged>[3]>
}

/** The same database, with its clock and that of the host moved ahead. */
async function later(engine: TestEngine, { outside, database }: Fixture, ms: number): Promise<Moved> {
  const clock = ahead(ms)
  if (engine.name === 'sqlite') {
    const moved = await opened(outside.url, clock)
    return { outside, database: moved, options: { clock }, [Symbol.asyncDispose]: () => moved[Symbol.asyncDispose]() }
  }
  const changed: Pick<Database, 'now' | 'transaction'> = {
    now: async () => (await database.now()) + ms,
    transaction: (work) => database.transaction((tx) => work({ now: tx.now + ms, query: (sql, values) => tx.query(sql, values) })),
  }
  const moved = new Proxy(database, {
    get: (target, name) => (name in changed ? Reflect.get(changed, name) : Reflect.get(target, name)) as unknown,
  })
  return { outside, database: moved, options: { clock }, [Symbol.asyncDispose]: () => Promise.resolve() }
}

/** As by hand. */
async function applyMigration(outside: TestDatabase, engine: TestEngine): Promise<void> {
  const text = await readFile(
    join(CHECKOUT, `migrations/006_add_archive_retention${engine.name === 'sqlite' ? '_sqlite' : ''}.sql`),
    'utf8',
  )
  for (const statement of text.split(/;$/m).filter((each) => /CREATE/.test(each))) await outside.sql(statement)
}
