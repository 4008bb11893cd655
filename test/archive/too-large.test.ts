import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LONGEST_ROW, LONGEST_ROW_BYTES } from '../../src/archive/format.ts'
import type { Slice, Slices } from '../../src/database/database.ts'
import { readArchive } from '../../src/status/archive-status.ts'
import { readJob } from '../../src/status/job-status.ts'
import { DAY, hostClock } from '../../src/time.ts'
import { AUDIT_LOGS, auditLogs, intercepted, migrated, opened, run, type Fixture } from '../jobs/support.ts'
import { ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { archivedOnce, filesIn, freshFolder, idsOf, purged, restored, verified } from './support.ts'

const lite = (engine: TestEngine): boolean => engine.name === 'sqlite'

/** An expression for so many of one character. */
function many(engine: TestEngine, character: string, count: number): string {
  const one = `'${character.replaceAll("'", "''")}'`
  return lite(engine) ? `replace(hex(zeroblob(${Math.ceil(count / 2)})), '0', ${one})` : `repeat(${one}, ${2 * Math.ceil(count / 2)})`
}

async function insert(outside: TestDatabase, engine: TestEngine, id: number, output: string): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (id, tool_name, "user", action, status, output, timestamp) SELECT ${id}, 't', 'u', 'a', 's', ${output}, ${engine.moment(-100 * 86_400 + id)}`,
  )
}

/** By id, of what is handed out: how many bytes the line has. */
async function linesOf(rows: Slices, size: number): Promise<ReadonlyMap<string, number>> {
  const lines = new Map<string, number>()
  let after: Slice | undefined
  for (;;) {
    const slice = await rows.next(size, after)
    if (slice === undefined) return lines
    await slice.read!(async ({ count, idOf, ends, pieces }) => {
      for (let index = 0; index < count; index += 1) {
        let bytes = 0
        if (pieces === undefined) bytes = ends[index]! - (index === 0 ? 0 : ends[index - 1]!)
        else for (const piece of pieces) bytes += piece.length
        lines.set(idOf(index), bytes - 1)
      }
    })
    after = slice
  }
}

/** How much longer than it is a line may be taken to be: what stands around its values. */
const SLACK_BYTES = 1_500

for (const engine of ENGINES) {
  test(`${engine.name}: rows are judged by the length of their lines, whatever has to be escaped in them`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    const characters = ['a', '"', '\\', '\n', '\u0001', '\u007f', 'é', '\u{1F600}', '\u2028', '/', "'"]
    for (const [index, character] of characters.entries()) {
      await insert(outside, engine, 10 * index + 1, many(engine, character, 1_000))
      await insert(outside, engine, 10 * index + 2, many(engine, character, 20_000))
      if (index % 4 === 0) await insert(outside, engine, 10 * index + 3, many(engine, character, 600_000))
    }
    if (lite(engine)) {
      await insert(outside, engine, 201, 'zeroblob(30000)')
      await insert(outside, engine, 202, "CAST(x'c328' || zeroblob(30000) AS TEXT)")
      await insert(outside, engine, 203, "CAST(x'c328' || zeroblob(2000000) AS TEXT)")
      await insert(outside, engine, 204, '1.5e300')
    } else
      await outside.sql(
        `ALTER TABLE audit_logs ADD b BYTEA DEFAULT decode(repeat('00', 9000), 'hex'), ADD n NUMERIC DEFAULT 1e30, ADD j JSONB`,
      )
    if (!lite(engine)) await outside.sql(`UPDATE audit_logs SET j = to_jsonb(output), b = NULL WHERE id % 10 = 2`)
    const cutoff = Date.now() - 90 * DAY
    const all = await linesOf(database.expired(AUDIT_LOGS, cutoff), 1_000)
    const slack = lite(engine) ? 0 : SLACK_BYTES
    for (const [size, bound] of [10_000, 25_000, 30_000, 130_000, 700_000, 1_500_000, 4_000_000].map(
      (each, index) => [7 * index + 1, each] as const,
    )) {
      const rows = database.expired(AUDIT_LOGS, cutoff, bound)
      const taken = await linesOf(rows, size)
      for (const [id, bytes] of all) {
        if (bytes > bound) assert.ok(!taken.has(id), `${id}: ${bytes} of ${bound}`)
        if (bytes <= bound - slack) assert.equal(taken.get(id), bytes, `${id}: ${bytes} of ${bound}`)
      }
      const { rows: others, ids } = await rows.tooLarge()
      assert.equal(others, all.size - taken.size)
      assert.deepEqual(
        ids.filter((id) => taken.has(id) || !all.has(id)),
        [],
      )
      assert.equal(ids.length, Math.min(3, others))
    }
    // Exactly at the bound.
    for (const bytes of new Set(all.values())) {
      const longer = [...all.values()].filter((each) => each > bytes).length
      const { rows: atMost } = await database.expired(AUDIT_LOGS, cutoff, bytes + slack).tooLarge()
      assert.ok(atMost <= longer, `${bytes}: ${atMost}`)
      assert.ok((await database.expired(AUDIT_LOGS, cutoff, bytes - 1).tooLarge()).rows > longer)
    }
  })

  test(`${engine.name}: a slice counts and deletes only rows that are not too large, also where one grew since`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    for (const id of [1, 2, 3, 4]) await insert(outside, engine, id, many(engine, 'a', 100))
    await insert(outside, engine, 5, many(engine, 'a', 3_000))
    const rows = database.expired(AUDIT_LOGS, Date.now() - 90 * DAY, 2_500)
    const slice = (await rows.next(10, undefined))!
    assert.equal(await slice.count(), 4)
    await outside.sql(`UPDATE audit_logs SET output = ${many(engine, 'b', 4_000)} WHERE id = 2`)
    assert.equal(await slice.count(), 3)
    let byDay = 0
    await slice.count((_, count) => (byDay += count))
    assert.equal(byDay, 3)
    const gone: number[] = []
    const tally = await database.transaction((tx) => slice.remove(tx, (digests) => void gone.push(digests.length / 32)))
    assert.deepEqual([tally, gone], [{ affected: 3, locked: 0 }, [3]])
    assert.deepEqual(await idsOf(outside), [2, 5])
    assert.deepEqual(await database.transaction((tx) => slice.remove(tx)), { affected: 0, locked: 0 })
    assert.deepEqual(await rows.tooLarge(), { rows: 2, ids: ['2', '5'] })
    assert.deepEqual(await rows.tooLarge(1), { rows: 1, ids: ['2'] })
    assert.deepEqual(await database.expired(AUDIT_LOGS, Date.now() - 90 * DAY).tooLarge(), { rows: 0, ids: [] })
  })

  test(`${engine.name}: a row that the archive does not take is kept, counted and named, and all others go`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    const told = { warnings: [] as string[] }
    await auditLogs(outside, engine, 300, 95)
    await outside.sql('UPDATE audit_logs SET id = id + 10000')
    await insert(outside, engine, 1, many(engine, 'a', LONGEST_ROW_BYTES))
    await insert(outside, engine, 2, many(engine, '\u0001', LONGEST_ROW_BYTES / 5))
    await insert(outside, engine, 3, many(engine, '\u0001', LONGEST_ROW_BYTES / 12))
    const ids = (await idsOf(outside)).filter((id) => id > 2)
    const dry = await purged(database, folder.path, { dryRun: true })
    assert.deepEqual([dry.outcome, dry.expired, dry.tooLarge], ['succeeded', 301, 2])

    const first = await purged(database, folder.path, {}, { told })
    assert.deepEqual([first.outcome, first.deleted, first.tooLarge, first.archived?.rows], ['succeeded', 301, 2, 301], String(first.error))
    assert.equal(told.warnings.length, 1)
    assert.match(
      told.warnings[0]!,
      new RegExp(`^audit_logs: 2 rows .* longer than the ${LONGEST_ROW} that the archive takes: id 1, 2\\. .* delete them by hand$`),
    )
    await archivedOnce(database, outside, folder.path, ids)

    await auditLogs(outside, engine, 5, 95)
    const again = await purged(database, folder.path)
    assert.deepEqual([again.outcome, again.deleted, again.tooLarge], ['succeeded', 5, 2])
    assert.deepEqual(await idsOf(outside), [1, 2])
    assert.deepEqual(await attention(fixture, folder.path), told.warnings)
    assert.equal((await restored(database, folder.path)).inserted, 306)

    // Nobody keeps them from being purged where nothing is archived.
    const without = await run(database, { job: AUDIT_LOGS, retentionMs: 90 * DAY, accepted: new Set(['empty-table']) })
    assert.deepEqual([without.outcome, without.deleted, without.tooLarge], ['succeeded', 2, 0], String(without.error))
    assert.deepEqual(await attention(fixture, folder.path), [])
  })

  test(`${engine.name}: a row that grows too large between being archived and being deleted stays, and is in no file`, async () => {
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

/** What the status says of the archive. */
async function attention({ database }: Fixture, directory: string): Promise<readonly string[]> {
  const relations = await database.relations()
  const plan = { job: AUDIT_LOGS, enabled: true, schedule: '0 3 * * *', retentionMs: 90 * DAY }
  const job = await readJob(database, plan, { at: await database.now(), clock: hostClock(), scheduleTimeZone: 'UTC', tables: undefined })
  const archive = { enabled: true, directory, uid: process.getuid?.(), keptMs: undefined }
  return (await readArchive(database, archive, { at: await database.now(), relations, job })).problems
}
