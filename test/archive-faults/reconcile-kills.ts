import assert from 'node:assert/strict'
import { purgedTo } from '../archive/bucket-support.ts'
import { restorable } from '../archive/restorable.ts'
import { archivedOnceAt, rowsAt, type Site } from '../archive/sites.ts'
import type { TestEngine } from '../support/engines.ts'
import { fill } from './expired-rows.ts'
import { forgetLease, idsInTable, random, runs } from './killed-runs.ts'
import { noneLost } from './none-lost.ts'

const RECONCILE = ['archive', 'reconcile']

export interface ReconcileKills {
  readonly kills: number
  readonly seed: number
  /** Where the archive lies. */
  readonly fresh: () => Promise<Site>
  /** Whether this kill, from 1, takes along what was being written. */
  readonly losesSpool: (killed: number) => boolean
}

/**
 * A database that is older than its archive, killed while it is reconciled, by the command or by the next purge. Of files that it does not know all, some or none of
 * the rows are in it again. No row may be lost or be in two files, and no file may be deleted.
 */
export async function reconciles(engine: TestEngine, { kills, seed, fresh, losesSpool }: ReconcileKills): Promise<string> {
  const next = random(seed)
  let killed = 0
  let moments = 200
  while (killed < kills) {
    await using base = await restorable(engine)
    await using site = await fresh()
    const { outside } = base
    const purges = async (): Promise<void> => {
      await forgetLease(outside)
      const { outcome, error } = await base.with((database) => purgedTo(site.place, database))
      assert.equal(outcome, 'succeeded', String(error))
    }
    await fill(outside, engine, { newest: 97, days: 1, rowsADay: 50 })
    await purges()
    const before = (await rowsAt(site)).map(({ id }) => Number(id))
    await fill(outside, engine, { newest: 93, days: 4, rowsADay: 50 })
    await outside.sql('UPDATE audit_logs SET id = id + 10000')
    const restore = await base.backUp()
    await fill(outside, engine, { newest: 91, days: 4, rowsADay: 50 })
    await outside.sql('UPDATE audit_logs SET id = id + 20000 WHERE id NOT BETWEEN 10000 AND 19999')
    const ids = [...before, ...(await idsInTable(outside))].toSorted((a, b) => a - b)
    await purges()
    await restore()
    const files = (await site.paths()).filter((path) => path.endsWith('.zst'))
    for (let again = 0; again < 3; again += 1) {
      const dieAt = 1 + Math.floor(next() * moments)
      const ended = await runs(outside.url, site.place.directory, dieAt, RECONCILE, site.env)
      await forgetLease(outside)
      if (!ended.killed) break
      killed += 1
      if (losesSpool(killed)) await site.loseSpool()
      const at = `${engine.name}, killed at moment ${dieAt} of a reconciliation`
      const left = new Set((await site.paths()).map((path) => path.replace(/^reconciled\//, '')))
      assert.deepEqual(
        files.filter((path) => !left.has(path)),
        [],
        `${at}: files that were deleted`,
      )
      await noneLost(outside, [site], ids, at)
    }
    const ended = await runs(outside.url, site.place.directory, 0, RECONCILE, site.env)
    assert.equal(ended.code, 0, ended.output)
    moments = Math.max(50, ended.moments)
    await purges()
    await base.with((database) => archivedOnceAt(site, database, outside, ids))
  }
  return `${killed} kills of a reconciliation; rows lost 0, rows in two files 0, files deleted 0`
}
