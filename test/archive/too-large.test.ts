import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { LONGEST_ROW, LONGEST_ROW_BYTES } from '../../src/archive/format.ts'
import { RowsWriter } from '../../src/archive/write/rows-file.ts'
import { readArchive } from '../../src/status/archive-status.ts'
import { readJob } from '../../src/status/job-status.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { AUDIT_LOGS, auditLogs, intercepted, migrated, opened, run, type Fixture } from '../runs/support.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { insertWith, many } from './large-rows.ts'
import { archivedOnce, filesIn, freshFolder, idsOf, purged, restored, verified } from './support.ts'
import { placeIn } from './where.ts'

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: a row that is too long for the archive is kept, counted and named, and all others are deleted`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    const told = { warnings: [] as string[] }
    await auditLogs(outside, engine, 300, 95)
    await outside.sql('UPDATE audit_logs SET id = id + 10000')
    await insertWith(outside, engine, 1, many(engine, 'a', LONGEST_ROW_BYTES))
    await insertWith(outside, engine, 2, many(engine, '\u0001', LONGEST_ROW_BYTES / 5))
    await insertWith(outside, engine, 3, many(engine, '\u0001', LONGEST_ROW_BYTES / 12))
    const ids = (await idsOf(outside)).filter((id) => id > 2)
    const dry = await purged(database, folder.path, { dryRun: true })
    assert.deepEqual([dry.outcome, dry.expired, dry.tooLarge], ['succeeded', 301, 2])

    const first = await purged(database, folder.path, {}, { told })
    assert.deepEqual([first.outcome, first.deleted, first.tooLarge, first.archived?.rows], ['succeeded', 301, 2, 301], String(first.error))
    assert.equal(told.warnings.length, 1, told.warnings.join('\n'))
    assert.match(
      told.warnings[0]!,
      new RegExp(
        `^audit_logs: 2 expired rows are kept because of the archive's limit of ${LONGEST_ROW} a row: id 1, 2\\. .* delete them by hand$`,
      ),
    )
    await archivedOnce(database, outside, folder.path, ids)

    await auditLogs(outside, engine, 5, 95)
    const again = await purged(database, folder.path)
    assert.deepEqual([again.outcome, again.deleted, again.tooLarge], ['succeeded', 5, 2])
    assert.deepEqual(await idsOf(outside), [1, 2])
    assert.deepEqual(await attention(fixture, folder.path), told.warnings)
    assert.equal((await restored(database, folder.path)).inserted, 306)

    // They are purged where nothing is archived.
    const without = await run(database, { job: AUDIT_LOGS, retentionMs: 90 * DAY, accepted: new Set(['empty-table', 'no-archive']) })
    assert.deepEqual([without.outcome, without.deleted, without.tooLarge], ['succeeded', 2, 0], String(without.error))
    assert.deepEqual(await attention(fixture, folder.path), [])
  })

  test(`${engine.name}: a row that grows too long between being archived and being deleted is kept, and is in no file`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    await auditLogs(outside, engine, 200, 95)
    const ids = await idsOf(outside)
    const grown = ids[150]!
    let published = false
    await using beside = await opened(outside.url)
    const growing = intercepted(database, async (_, transact) => {
      if (!published && (await filesIn(folder.path)).length > 0) {
        published = true
        await beside.query(`UPDATE audit_logs SET output = ${many(engine, 'a', LONGEST_ROW_BYTES)} WHERE id = ${grown}`)
      }
      return transact()
    })
    const result = await purged(growing, folder.path)
    assert.deepEqual([result.outcome, result.deleted, result.tooLarge], ['succeeded', 199, 1], String(result.error))
    assert.deepEqual(await idsOf(outside), [grown])
    await archivedOnce(
      database,
      outside,
      folder.path,
      ids.filter((id) => id !== grown),
    )
    assert.equal((await verified(database, folder.path)).rows, 199)
  })
}

/** What status reports of the archive. */
async function attention({ database }: Fixture, directory: string): Promise<readonly string[]> {
  const plan = { job: AUDIT_LOGS, enabled: true, schedule: '0 3 * * *', retentionMs: 90 * DAY, graceMs: 0 }
  const job = await readJob(database, plan, {
    at: await database.now(),
    clock: hostClock(),
    scheduleTimeZone: 'UTC',
    tables: undefined,
    migrations: { enabled: true, applied: [], pending: [], problem: undefined },
    archiving: true,
  })
  const archive = { enabled: true, ...placeIn(directory), keptMs: undefined }
  const { problems, warnings } = await readArchive(database, archive, { at: await database.now(), recorded: true, toCome: false, job })
  return [...problems, ...warnings]
}

test('no line is written that is too long to be read again', async () => {
  await using folder = await freshFolder()
  const path = join(folder.path, 'rows')
  const written = async (bytes: number): Promise<void> => {
    const writer = new RowsWriter(() => open(path, 'w'), path)
    const piece = Buffer.alloc(2 ** 20, 'a')
    const pieces = [...Array.from({ length: bytes / piece.length }, () => piece), Buffer.from('\n')]
    const row = { count: 1, at: [0], idOf: () => '1', lines: Buffer.alloc(0), ends: [0], pieces }
    try {
      await writer.add(row, 0, 1)
    } finally {
      await writer.abandon()
    }
  }
  await written(LONGEST_ROW_BYTES)
  await assert.rejects(written(LONGEST_ROW_BYTES + 2 ** 20), new RegExp(`got a row of more than ${LONGEST_ROW}`))
})
