import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Database } from '../../src/database/database.ts'
import type { ExportedRows } from '../../src/database/exporting.ts'
import { auditLogs, intercepted, migrated } from '../runs/support.ts'
import { ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'
import { archivedOnce, archivedRows, freshFolder, idsOf, purged, recordOf, verified } from './support.ts'

/** More than the first part holds. */
async function moreThanAPart(outside: TestDatabase, engine: TestEngine): Promise<number[]> {
  await auditLogs(outside, engine, engine.name === 'sqlite' ? 50_200 : 12_700, 100)
  return idsOf(outside)
}

interface Watched {
  readonly database: Database
  /** How many batches met a row that is not of their part. */
  strangers: number
  /** For each part in turn: the rows that were copied, and those that its slices met. */
  readonly parts: (readonly [copied: ReadonlySet<number>, met: Set<number>])[]
}

/** Calls `act` once with the rows of the first part, right before the first transaction that deletes. */
function watched(database: Database, directory: string, act: (ids: readonly number[]) => Promise<unknown>): Watched {
  let acted = false
  const transacting = intercepted(database, async (_, transact) => {
    if (!acted && (await recordOf(database).load(database)).step !== undefined) {
      acted = true
      await act((await archivedRows(directory)).map(({ id }) => Number(id)).toSorted((a, b) => a - b))
    }
    try {
      return await transact()
    } catch (error) {
      if (/a row was added or changed|no longer those of this run/.test(String(error))) found.strangers += 1
      throw error
    }
  })
  const ends = new Map<unknown, Set<number>>()
  const exported = (...asked: Parameters<Database['exported']>): ExportedRows => {
    const rows = database.exported(...asked)
    const next: ExportedRows['next'] = async (size, after, until) => {
      const slice = await rows.next(size, after, until)
      if (slice === undefined || until === undefined) return slice
      let met = ends.get(until)
      if (met === undefined) {
        met = new Set()
        ends.set(until, met)
        found.parts.push([new Set((await archivedRows(directory)).map(({ id }) => Number(id))), met])
      }
      await slice.read(async ({ count, idOf }) => {
        for (let index = 0; index < count; index += 1) met.add(Number(idOf(index)))
      })
      return slice
    }
    return new Proxy(rows, {
      get(target, name) {
        if (name === 'next') return next
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  const found: Watched = {
    database: new Proxy(transacting, { get: (target, name) => (name === 'exported' ? exported : Reflect.get(target, name)) as unknown }),
    strangers: 0,
    parts: [],
  }
  return found
}

/** The slices of each part met no rows but those that were copied, and these late ones. */
function endedWithTheirParts({ parts }: Watched, late: ReadonlySet<number>): void {
  assert.ok(parts.length >= 2, `${parts.length} parts`)
  for (const [copied, met] of parts)
    assert.deepEqual(
      [...met].filter((id) => !copied.has(id) && !late.has(id)),
      [],
    )
}

async function deleteRows(outside: TestDatabase, ids: readonly number[]): Promise<void> {
  await outside.sql(`DELETE FROM audit_logs WHERE id IN (${ids.join()})`)
}

for (const engine of ENGINES) {
  test(`${engine.name}: more rows than a part holds are archived in several parts`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    // A day has 1,440 rows here: three parts, or two on SQLite.
    const total = engine.name === 'sqlite' ? 51_000 : 40_000
    await auditLogs(outside, engine, total, 100)
    const result = await purged(database, folder.path)
    assert.deepEqual([result.outcome, result.deleted, result.archived?.rows], ['succeeded', total, total])
    const { problems, rows, files } = await verified(database, folder.path)
    assert.deepEqual([problems, rows], [[], total])
    const days = Math.ceil(total / 1_440)
    // A day in which a part ends has two files.
    assert.ok(files >= days && files <= days + 3, String(files))
  })

  test(`${engine.name}: if somebody else deletes rows of a part, even its last one, the part still ends at the same position`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    const ids = await moreThanAPart(outside, engine)
    let gone: readonly number[] = []
    const watch = watched(database, folder.path, (part) => {
      // The newest row, with which the part ends, has the lowest number.
      assert.ok(part.length < ids.length)
      gone = [...part.slice(0, 10), ...part.slice(40, 50), ...part.slice(-10)]
      return deleteRows(outside, gone)
    })
    const result = await purged(watch.database, folder.path)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', ids.length - 30], String(result.error))
    assert.equal(watch.strangers, 0)
    endedWithTheirParts(watch, new Set())
    const isGone = new Set(gone)
    await archivedOnce(
      database,
      outside,
      folder.path,
      ids.filter((id) => !isGone.has(id)),
    )
  })

  test(`${engine.name}: if somebody else deletes every row of a part, the run continues with the next part`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    const ids = await moreThanAPart(outside, engine)
    let gone = new Set<number>()
    const watch = watched(database, folder.path, (part) => {
      gone = new Set(part)
      return outside.sql(`DELETE FROM audit_logs WHERE id >= ${part[0]}`)
    })
    const result = await purged(watch.database, folder.path)
    assert.deepEqual([result.outcome, result.deleted], ['succeeded', ids.length - gone.size], String(result.error))
    assert.equal(watch.strangers, 0)
    await archivedOnce(
      database,
      outside,
      folder.path,
      ids.filter((id) => !gone.has(id)),
    )
  })

  test(`${engine.name}: late rows between those of a part do not move its end`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    const ids = await moreThanAPart(outside, engine)
    const watch = watched(database, folder.path, async (part) => {
      for (const id of [part.at(-30)!, part[2]!])
        await outside.sql(
          `INSERT INTO audit_logs (tool_name, "user", action, status, timestamp) SELECT 'late', 'u', 'invoke', 'success', timestamp FROM audit_logs WHERE id = ${id}`,
        )
    })
    const result = await purged(watch.database, folder.path)
    assert.equal(result.outcome, 'succeeded', String(result.error))
    const isOld = new Set(ids)
    const late = (await idsOf(outside)).concat((await archivedRows(folder.path)).map(({ id }) => Number(id))).filter((id) => !isOld.has(id))
    assert.equal(new Set(late).size, 2)
    endedWithTheirParts(watch, new Set(late))
    await purged(database, folder.path)
    await archivedOnce(database, outside, folder.path, [...ids, ...new Set(late)])
  })

  for (const isPartitioned of engine.name === 'sqlite' ? [false] : [false, true]) {
    const title = `${engine.name}: a part that ends among rows with the same time${isPartitioned ? ', in several partitions,' : ''} keeps its end`
    test(title, async () => {
      await using fixture = await migrated(engine)
      await using folder = await freshFolder()
      const { outside, database } = fixture
      const ids = await moreThanAPart(outside, engine)
      await outside.sql(`UPDATE audit_logs SET timestamp = (SELECT min(timestamp) FROM audit_logs)`)
      if (isPartitioned) await partition(outside)
      const place = engine.name === 'sqlite' ? '_rowid_' : 'tableoid, ctid'
      const watch = watched(database, folder.path, async (part) => {
        assert.ok(part.length < ids.length)
        const inOrder = await outside.sql<{ id: number }>(`SELECT id FROM audit_logs WHERE id IN (${part.join()}) ORDER BY ${place}`)
        // The last of the part are at one end or the other, as the index is sorted.
        const gone = [...inOrder.slice(0, 15), ...inOrder.slice(-15)]
        await deleteRows(
          outside,
          gone.map(({ id }) => id),
        )
      })
      const result = await purged(watch.database, folder.path)
      assert.deepEqual([result.outcome, result.deleted], ['succeeded', ids.length - 30], String(result.error))
      assert.equal(watch.strangers, 0)
      endedWithTheirParts(watch, new Set())
      assert.equal((await archivedRows(folder.path)).length, ids.length - 30)
    })
  }
}

/** Moves the rows into three partitions. */
async function partition(outside: TestDatabase): Promise<void> {
  await outside.sql('ALTER TABLE audit_logs RENAME TO audit_logs_before')
  await outside.sql('CREATE TABLE audit_logs (LIKE audit_logs_before) PARTITION BY HASH (id)')
  for (const n of [0, 1, 2])
    await outside.sql(`CREATE TABLE audit_logs_${n} PARTITION OF audit_logs FOR VALUES WITH (MODULUS 3, REMAINDER ${n})`)
  await outside.sql('INSERT INTO audit_logs SELECT * FROM audit_logs_before')
  await outside.sql('CREATE INDEX audit_logs_by_time ON audit_logs (timestamp)')
}
