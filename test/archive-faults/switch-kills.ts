import assert from 'node:assert/strict'
import { purgedTo, verifiedAt } from '../archive/bucket-support.ts'
import { archivedOnceAt, bucketSite, folderSite, type Site } from '../archive/sites.ts'
import { recordOf } from '../archive/support.ts'
import { migrated } from '../runs/support.ts'
import type { TestEngine } from '../support/engines.ts'
import type { S3ServerOptions } from '../support/s3/server.ts'
import { fill } from './expired-rows.ts'
import { forgetLease, idsInTable, random, runs, verify } from './killed-runs.ts'
import { noneLost } from './none-lost.ts'

/** So often one archive is moved: it grows, and is read as a whole each time. */
const MOVES = 8
/**
 * Moments are counted from the first statement with one of these: from the beginning, with the whole copy; from the lease on, under which the archive is moved; from
 * when the link is begun that moves it.
 */
const COUNTED_FROM = ['maintenance_archives', 'maintenance_leases', 'SET "position"'] as const
type CountedFrom = (typeof COUNTED_FROM)[number]

export interface SwitchKills {
  readonly kills: number
  readonly seed: number
  readonly bucket: S3ServerOptions
}

/**
 * An archive that moves from a folder to a bucket and back, each time by a command that is killed at a random moment, half the time with what its machine was writing. Whatever
 * it has left, a purge works at one of the two places and deletes nothing at the other, or the command is repeated and completes.
 */
export async function survivesSwitches(engine: TestEngine, { kills, seed, bucket }: SwitchKills): Promise<string> {
  const next = random(seed)
  let killed = 0
  let inTheMidst = 0
  let moved = 0
  while (killed < kills) {
    await using fixture = await migrated(engine)
    await using folder = await folderSite()
    await using objects = await bucketSite(bucket)
    const { database, outside } = fixture
    const both: readonly [Site, Site] = [folder, objects]
    const ids: number[] = []
    let [here, there] = both
    /** Of the last commands that were not killed. */
    const moments: Record<CountedFrom, number> = { maintenance_archives: 300, maintenance_leases: 100, 'SET "position"': 60 }

    const add = async (): Promise<void> => {
      const before = new Set(await idsInTable(outside))
      await fill(outside, engine, { days: 1, rowsADay: 20 })
      ids.push(...(await idsInTable(outside)).filter((id) => !before.has(id)))
    }
    const purged = async (site: Site): Promise<boolean> => {
      await forgetLease(outside)
      const before = await idsInTable(outside)
      const { outcome, deleted } = await purgedTo(site.place, database)
      assert.deepEqual(
        [deleted, await idsInTable(outside)],
        outcome === 'succeeded' ? [before.length, []] : [0, before],
        `${outcome} at ${site.place.directory}`,
      )
      return outcome === 'succeeded'
    }
    const switches = async (from: CountedFrom, dieAt: number) => {
      const ended = await runs(outside.url, here.place.directory, dieAt, ['archive', 'copy', '--to', there.place.directory, '--switch'], {
        ...there.env,
        ...here.env,
        DIE_FROM: from,
      })
      if (ended.code === 0) moments[from] = ended.moments
      return ended
    }

    await add()
    assert.ok(await purged(here))
    for (let move = 0; move < MOVES && killed < kills; move += 1) {
      // Most of them where it matters.
      const from = COUNTED_FROM[Math.min(2, Math.floor(next() * 5))]!
      // Some end before it, which tells how many there are.
      const dieAt = 1 + Math.floor(next() * 1.2 * moments[from])
      const at = `${engine.name}, killed at moment ${dieAt} from ${from} on, of a switch from ${here.place.directory} to ${there.place.directory}`
      const ended = await switches(from, dieAt)
      let isMoved = !ended.killed
      if (isMoved) assert.equal(ended.code, 0, ended.output)
      else {
        killed += 1
        inTheMidst += (await recordOf(database).load(database)).step === undefined ? 0 : 1
        for (const site of both) if (next() < 0.5) await site.loseSpool()
        await noneLost(outside, both, ids, at)
        if (next() < 0.3) {
          await forgetLease(outside)
          const repeated = await switches(from, 0)
          const wasDone = repeated.code === 1 && repeated.output.includes(`the archive was moved to ${there.place.directory} at`)
          assert.ok(repeated.code === 0 || wasDone, `${at}, then repeated: ${repeated.output}`)
          isMoved = true
        }
      }
      await add()
      const order = next() < 0.5 ? both : both.toReversed()
      const works: Site[] = []
      for (const site of order) {
        if (await purged(site)) works.push(site)
        await add()
      }
      assert.equal(works.length, 1, `${at}: places that work`)
      if (isMoved) assert.equal(works[0], there, at)
      moved += works[0] === there ? 1 : 0
      if (works[0] === there) [here, there] = [there, here]
      assert.ok(await purged(here), at)
      await archivedOnceAt(here, database, outside, ids)
    }
    const verified = await verify(outside.url, here.place.directory, here.env)
    assert.equal(verified.code, 0, verified.output)
    assert.notDeepEqual((await verifiedAt(there.place, database)).problems, [])
  }
  assert.ok(inTheMidst > 0, `${killed} kills, and none while the link was on its way`)
  return (
    `${killed} kills of a switch between a folder and a bucket, ${inTheMidst} of them while its link was on its way, and ${moved} moves; ` +
    'places that work 1, rows lost 0, rows in two objects 0'
  )
}
