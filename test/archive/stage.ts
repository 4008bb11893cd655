import assert from 'node:assert/strict'
import type { TestEngine } from '../support/engines.ts'
import { auditLogs } from '../runs/support.ts'
import { purgedTo, verifiedAt } from './bucket-support.ts'
import { reconciledAt, restorable, type Restorable } from './restorable.ts'
import { archivedOnceAt, contentsOf, rowsAt, type Site } from './sites.ts'
import { idsOf, recordOf } from './support.ts'

/** A database that is restored from before, and its archive. */
export interface Stage<Where extends Site = Site> extends AsyncDisposable {
  readonly engine: TestEngine
  readonly base: Restorable
  readonly site: Where
  /** Adds so many expired rows, the newest of them so many days old. */
  add(rows: number, days: number): Promise<void>
  purge(keptMs?: number): Promise<void>
  /** Of all rows that were ever added. */
  readonly ids: number[]
}

/** `site` goes with it. */
export async function stagedAt<Where extends Site>(engine: TestEngine, site: Where): Promise<Stage<Where>> {
  const base = await restorable(engine)
  const ids: number[] = []
  return {
    engine,
    base,
    site,
    ids,
    async add(rows, days) {
      const before = await idsOf(base.outside)
      await auditLogs(base.outside, engine, rows, days)
      // A restored database allocates the same ids again, so each row gets an id of its own here.
      const shift = (ids.length + 1) * 10_000
      const fresh = (await idsOf(base.outside)).filter((id) => !before.includes(id)).map((id) => id + shift)
      await base.outside.sql(`UPDATE audit_logs SET id = id + ${shift} WHERE id IN (${fresh.map((id) => id - shift).join(', ')})`)
      assert.ok(fresh.length === rows && !fresh.some((id) => ids.includes(id)))
      ids.push(...fresh)
    },
    async purge(keptMs) {
      await forgetLease(base)
      const result = await base.with((database) =>
        purgedTo(
          site.place,
          database,
          keptMs === undefined ? {} : { keptMs, accepted: new Set(['empty-table', 'shorter-archive-retention'] as const) },
        ),
      )
      assert.equal(result.outcome, 'succeeded', String(result.error))
    },
    async [Symbol.asyncDispose]() {
      await base[Symbol.asyncDispose]()
      await site[Symbol.asyncDispose]()
    },
  }
}

export async function forgetLease({ outside }: Restorable): Promise<void> {
  await outside.sql('UPDATE maintenance_leases SET expires_at = 0')
}

/** The purge stops and points to `archive reconcile`; the dry run changes nothing. */
export async function stopped({ base, site }: Stage): Promise<void> {
  const before = await contentsOf(site)
  await forgetLease(base)
  const { outcome, error, deleted } = await base.with((database) => purgedTo(site.place, database))
  assert.deepEqual([outcome, deleted], ['failed', 0])
  assert.match(String(error), /files in .* are of runs that this database knows nothing of.*archive reconcile --dry-run/s)
  const state = await base.with((database) => recordOf(database).load(database))
  await base.with((database) => reconciledAt(database, site.place, true))
  assert.deepEqual(await contentsOf(site), before)
  assert.deepEqual(await base.with((database) => recordOf(database).load(database)), state)
}

export async function becomes({ base, site }: Stage): Promise<string[]> {
  const { files } = await base.with((database) => reconciledAt(database, site.place))
  return files.map((file) => file.becomes)
}

/** Each row is in the table or in one file of an intact chain; nothing was lost. */
export async function nothingLost({ base, site, ids }: Stage, except: readonly number[] = []): Promise<void> {
  const rows = [...(await rowsAt(site)).map((row) => Number(row['id'])), ...(await idsOf(base.outside))]
  const expected = ids.filter((id) => !except.includes(id))
  assert.deepEqual(
    rows.toSorted((a, b) => a - b),
    expected.toSorted((a, b) => a - b),
  )
  const { problems, rows: held, files } = await base.with((database) => verifiedAt(site.place, database))
  assert.deepEqual(problems, [])
  const [counts] = await base.outside.sql<{ rows: number; files: number }>('SELECT "rows", files FROM maintenance_archives')
  assert.deepEqual([counts?.rows, counts?.files], [held, files])
}

/** Purges once more; then each row that was ever added is in exactly one file, and nothing is being written. */
export async function goesOn(stage: Stage): Promise<void> {
  const { base, site, ids } = stage
  await stage.purge()
  await base.with((database) => archivedOnceAt(site, database, base.outside, ids))
  assert.deepEqual(await site.drafts(), [])
}
