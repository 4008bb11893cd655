import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { idsInBucket, PREFIX } from '../archive/bucket-support.ts'
import type { TestEngine } from '../support/engines.ts'
import { passingFaults } from '../support/s3/faults.ts'
import { S3Server } from '../support/s3/server.ts'
import { fill } from './expired-rows.ts'
import { forgetLease, idsInTable, PURGE, random, runs, verify } from './killed-runs.ts'

/** Of the requests, each of these faults has its share. */
const SHARE = 0.02

/**
 * An archiving purge whose archive lies in a bucket, killed at random moments, and with it all that its machine has. The bucket fails now and then, also in the runs
 * that repair.
 */
export async function survivesInBucket(
  engine: TestEngine,
  { kills, seed }: { readonly kills: number; readonly seed: number },
): Promise<void> {
  const next = random(seed)
  await using outside = await engine.fresh()
  await using server = await S3Server.start({ seed, pageSize: 7, faults: passingFaults(SHARE) })
  const spool = await mkdtemp(join(tmpdir(), 'maintenance-spool-'))
  const directory = `s3://archive/${PREFIX}`
  const settings = { ARCHIVE_S3_ENDPOINT: server.url, ARCHIVE_S3_REGION: server.region, ARCHIVE_SPOOL: spool, ...server.env }
  const run = (dieAt: number) => runs(outside.url, directory, dieAt, PURGE, settings)
  await run(0)
  await fill(outside, engine)
  const whole = await run(0)
  assert.equal(whole.code, 0, whole.output)
  const ids = idsInBucket({ server })
  let killed = 0
  let both = 0
  while (killed < kills) {
    await fill(outside, engine)
    ids.push(...(await idsInTable(outside)))
    for (let again = 0; again < 3; again += 1) {
      const dieAt = 1 + Math.floor(next() * whole.moments)
      const ended = await run(dieAt)
      if (!ended.killed) break
      killed += 1
      await rm(spool, { recursive: true, force: true })
      const [table, objects] = [new Set(await idsInTable(outside)), new Set(idsInBucket({ server }))]
      assert.deepEqual(
        ids.filter((id) => !table.has(id) && !objects.has(id)),
        [],
        `${engine.name}, killed at moment ${dieAt}: lost rows`,
      )
      both += ids.some((id) => table.has(id) && objects.has(id)) ? 1 : 0
      await forgetLease(outside)
      if (next() < 0.6) break
    }
    const last = await run(0)
    assert.equal(last.code, 0, last.output)
    assert.deepEqual(await idsInTable(outside), [])
    assert.deepEqual(
      idsInBucket({ server }),
      ids.toSorted((a, b) => a - b),
    )
    const verified = await verify(outside.url, directory, settings)
    assert.equal(verified.code, 0, verified.output)
  }
  await rm(spool, { recursive: true, force: true })
  process.stdout.write(
    `${engine.name}: ${killed} kills at random ones of ${whole.moments} moments, the archive in a bucket and the machine lost, ${both} with rows in both; rows lost 0, rows in two objects 0\n`,
  )
}
