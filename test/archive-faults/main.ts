// `npm run test:archive-faults`: kills an archiving purge at random moments, on each engine. After each kill no row may be lost; after one
// more run every expired row must be in exactly one file and not in the database. 20 kills, or 200 with `--full`; `--seed N` repeats them. In a bucket, of reconciliations and switches, 8 or 200.
// Then as many purges are killed while holds are placed and released, and as many reconciliations; `--holds`, `--reconcile`: only these. Every other kill also loses the spool, as if the machine were lost;
// `--spool lost`: every kill does, `--spool kept`: none does. Then with the archive in a bucket, where every kill loses the spool and answers get lost: purges,
// reconciliations, and `archive copy --switch` from a folder to the bucket and back; `--bucket`: only these.
import assert from 'node:assert/strict'
import { readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { zstdDecompressSync } from 'node:zlib'
import { POSTGRES_MAJORS, startPostgres } from '../support/postgres-server.ts'
import { compileInto } from '../support/compiled.ts'
import { BOTH_ENGINES, type TestEngine } from '../support/engines.ts'
import { passingFaults } from '../support/s3/faults.ts'
import { bucketSite, folderSite } from '../archive/sites.ts'
import { freshFolder } from '../archive/support.ts'
import { fill } from './expired-rows.ts'
import { survivesInBucket } from './bucket-kills.ts'
import { forgetLease, idsInTable, random, runs, verify } from './killed-runs.ts'
import { survivesHolds } from './placing.ts'
import { reconciles } from './reconcile-kills.ts'
import { survivesSwitches } from './switch-kills.ts'

const { values } = parseArgs({
  options: {
    full: { type: 'boolean' },
    seed: { type: 'string' },
    only: { type: 'string' },
    reconcile: { type: 'boolean' },
    holds: { type: 'boolean' },
    spool: { type: 'string' },
    bucket: { type: 'boolean' },
  },
})
const kills = values.full === true ? 200 : 20
/** Of reconciliations and switches in a bucket, which take longer. */
const fewKills = values.full === true ? 200 : 8
const seed = Number(values.seed ?? 20_261_124)

/** For each id, the number of published files that contain it. */
async function idsInFiles(directory: string): Promise<Map<number, number>> {
  const found = new Map<number, number>()
  const names = await readdir(directory, { recursive: true }).catch(() => [])
  for (const name of names) {
    if (!name.endsWith('.ndjson.zst') || name.includes('.writing') || name.startsWith('reconciled/')) continue
    const lines = zstdDecompressSync(await readFile(join(directory, name)))
      .toString()
      .split('\n')
      .slice(0, -1)
    for (const line of lines) {
      const { id } = JSON.parse(line) as { id: number }
      found.set(id, (found.get(id) ?? 0) + 1)
    }
  }
  return found
}

/** Whether this kill loses the unpublished files, too. */
function losesSpool(killed: number): boolean {
  return values.spool === 'lost' || (values.spool !== 'kept' && killed % 2 === 1)
}

async function afterKill(directory: string, killed: number): Promise<void> {
  if (!losesSpool(killed)) return
  await rm(join(directory, 'audit_logs/.writing'), { recursive: true, force: true })
}

async function survive(engine: TestEngine): Promise<void> {
  const next = random(seed)
  await using outside = await engine.fresh()
  await using folder = await freshFolder()
  // Creates the tables, and counts the moments of a whole run.
  await runs(outside.url, folder.path, 0)
  await fill(outside, engine)
  const whole = await runs(outside.url, folder.path, 0)
  assert.equal(whole.code, 0, whole.output)
  assert.ok(whole.moments > 50, `${engine.name}: only ${whole.moments} moments were seen`)
  let killed = 0
  let both = 0
  while (killed < kills) {
    await outside.sql('DELETE FROM maintenance_archives')
    await outside.sql('DELETE FROM maintenance_archived')
    await rm(join(folder.path, 'audit_logs'), { recursive: true, force: true })
    await fill(outside, engine)
    const ids = await idsInTable(outside)
    // Kills once, or also the runs that repair what the first one left.
    for (let again = 0; again < 3; again += 1) {
      const dieAt = 1 + Math.floor(next() * whole.moments)
      const ended = await runs(outside.url, folder.path, dieAt)
      if (!ended.killed) break
      killed += 1
      await afterKill(folder.path, killed)
      if (killed % 20 === 0) process.stderr.write(`${engine.name}: ${killed} kills\n`)
      const table = new Set(await idsInTable(outside))
      const files = await idsInFiles(folder.path)
      const lost = ids.filter((id) => !table.has(id) && !files.has(id))
      assert.deepEqual(lost, [], `${engine.name}, killed at moment ${dieAt}: lost rows`)
      both += ids.filter((id) => table.has(id) && files.has(id)).length > 0 ? 1 : 0
      await forgetLease(outside)
      if (next() < 0.6) break
    }
    const last = await runs(outside.url, folder.path, 0)
    assert.equal(last.code, 0, last.output)
    assert.deepEqual(await idsInTable(outside), [])
    const files = await idsInFiles(folder.path)
    assert.deepEqual(
      [...files.keys()].toSorted((a, b) => a - b),
      ids,
    )
    assert.deepEqual(
      [...files.values()].filter((times) => times !== 1),
      [],
      `${engine.name}: rows that are in several files`,
    )
    const verified = await verify(outside.url, folder.path)
    assert.equal(verified.code, 0, verified.output)
  }
  process.stdout.write(
    `${engine.name}: ${killed} kills at random ones of ${whole.moments} moments, ${both} with rows in both; rows lost 0, rows in two files 0\n`,
  )
}

/** Of the requests to a bucket, each fault that passes has its share; the programs wait for some time after each. */
const BUCKET = { seed, pageSize: 7, faults: passingFaults(0.004) }

async function inBucket(engine: TestEngine): Promise<void> {
  const fresh = () => bucketSite(BUCKET)
  const reconciled = await reconciles(engine, { kills: fewKills, seed, fresh, losesSpool: () => true })
  process.stdout.write(`${engine.name}, in a bucket: ${reconciled}\n`)
  const switched = await survivesSwitches(engine, { kills: fewKills, seed, bucket: BUCKET })
  process.stdout.write(`${engine.name}: ${switched}\n`)
  await survivesInBucket(engine, { kills, seed })
}

const servers = await Promise.all(POSTGRES_MAJORS.map(async (major) => ({ major, server: await startPostgres(major) })))
const compiled = join(tmpdir(), `archive-faults-${process.pid}`)
try {
  for (const { major, server } of servers) process.env[`TEST_POSTGRES_${major}`] = server.url
  await compileInto(compiled)
  process.env['TEST_PACKAGE_ROOT'] = compiled
  process.stdout.write(`seed ${seed}, ${kills} kills on each engine, the spool ${values.spool ?? 'lost with every other'}\n`)
  // One PostgreSQL is enough: the versions do not differ for the archive.
  const engines = BOTH_ENGINES.filter(({ name }) => values.only === undefined || name.startsWith(values.only))
  const all = values.reconcile !== true && values.holds !== true && values.bucket !== true
  for (const engine of engines) {
    if (all) await survive(engine)
    if (all || values.holds === true) await survivesHolds(engine, { kills, seed, afterKill })
    if (all || values.reconcile === true)
      process.stdout.write(`${engine.name}: ${await reconciles(engine, { kills, seed, fresh: folderSite, losesSpool })}\n`)
  }
  // Beside each other: most of the time goes by waiting.
  if (all || values.bucket === true) await Promise.all(engines.map(inBucket))
} finally {
  await Promise.all(servers.map(({ server }) => server.stop()))
  await rm(compiled, { recursive: true, force: true })
}
