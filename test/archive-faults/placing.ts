import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { filesBeingRemoved } from '../../src/archive/pending-removal.ts'
import { placed, released } from '../archive/placed-holds.ts'
import { archivedRows, filesIn, freshFolder } from '../archive/support.ts'
import { opened } from '../runs/support.ts'
import type { TestDatabase, TestEngine } from '../support/engines.ts'
import { forgetLease, idsInTable, PURGE, random, runs, verify } from './killed-runs.ts'

interface Options {
  readonly kills: number
  readonly seed: number
  readonly afterKill: (directory: string, killed: number) => Promise<void>
}

const OWNERS = ['alice', 'bob', 'carol']
const ROWS_A_DAY = 300
const WORDS = [...PURGE, '--accept-shorter-archive-retention', '--accept-clock']
/** Files of rows of the 92nd day expire at once under the shorter one: no others are old enough without having come late. */
const ARCHIVE_RETENTIONS = ['forever', '91d']

/** Rows of the last two days that have expired, three fifths of them owned, or all of one user. No number is used twice. */
async function fillOwned(outside: TestDatabase, engine: TestEngine, from: number, user?: string): Promise<void> {
  for (const days of [91, 92]) {
    const numbers =
      engine.name === 'sqlite'
        ? `(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${ROWS_A_DAY}) SELECT n FROM s) AS s`
        : `generate_series(1, ${ROWS_A_DAY}) AS s (n)`
    const owner = OWNERS.map((name, index) => `WHEN ${index} THEN '${name}'`).join(' ')
    const who = user === undefined ? `CASE n % 5 ${owner} ELSE 'u' END` : `'${user}'`
    await outside.sql(
      `INSERT INTO audit_logs (id, tool_name, "user", action, status, timestamp)
       SELECT ${from} + ${(days - 91) * ROWS_A_DAY} + n, 't', ${who}, 'invoke', 'success', ${engine.momentOf(`-(${days} * 86400) - n`)} FROM ${numbers}`,
    )
  }
}

/**
 * Holds that are placed and released at random moments of purges that archive rows and remove expired files, and that are killed. What a hold keeps when it is
 * placed, but for the files of a removal that has begun, is in the table or in a file until its release.
 */
export async function survivesHolds(engine: TestEngine, { kills, seed, afterKill }: Options): Promise<void> {
  const next = random(seed)
  const settings = (): Record<string, string> => ({
    ARCHIVE_RETENTION: ARCHIVE_RETENTIONS[Math.floor(next() * ARCHIVE_RETENTIONS.length)]!,
  })
  await using outside = await engine.fresh()
  await using folder = await freshFolder()
  await runs(outside.url, folder.path, 0, WORDS, settings())
  await using database = await opened(outside.url)
  const inForce = new Map<string, ReadonlySet<number>>()

  /** By file; the table has an empty name. */
  async function rowsOf(owner: string): Promise<ReadonlyMap<string, readonly number[]>> {
    const table = await outside.sql<{ id: number }>('SELECT id FROM audit_logs WHERE "user" = $1', [owner])
    const ids = new Map<string, number[]>([['', table.map(({ id }) => id)]])
    for (const row of await filesAtRest()) if (row['user'] === owner) ids.set(row.path, [...(ids.get(row.path) ?? []), Number(row['id'])])
    return ids
  }

  /** A run may remove a file while the folder is read: then it is read again. */
  async function filesAtRest(): ReturnType<typeof archivedRows> {
    for (;;) {
      try {
        return await archivedRows(folder.path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      }
    }
  }

  async function placeOrRelease(): Promise<void> {
    const owner = OWNERS[Math.floor(next() * OWNERS.length)]!
    if (inForce.delete(owner)) return released(outside, owner)
    await placed(outside, owner, { user: [owner.toUpperCase()] })
    const going = new Set<string>(await filesBeingRemoved(database, (name) => database.named(name), 'audit_logs'))
    const found = await rowsOf(owner)
    inForce.set(owner, new Set([...found].flatMap(([path, ids]) => (going.has(path) ? [] : ids))))
  }

  async function nothingIsLost(when: string): Promise<void> {
    for (const [owner, ids] of inForce) {
      const there = new Set([...(await rowsOf(owner)).values()].flat())
      assert.deepEqual(
        [...ids].filter((id) => !there.has(id)),
        [],
        `${engine.name}, ${when}: rows of ${owner} that a hold keeps are lost`,
      )
    }
  }

  async function whole(env = settings()): Promise<void> {
    const last = await runs(outside.url, folder.path, 0, WORDS, env)
    assert.equal(last.code, 0, last.output)
    await nothingIsLost('after a whole run')
    const sound = await verify(outside.url, folder.path)
    assert.equal(sound.code, 0, sound.output)
    const ids = (await archivedRows(folder.path)).map(({ id }) => Number(id))
    assert.equal(new Set(ids).size, ids.length, `${engine.name}: rows that are in several files`)
  }

  let [killed, changes, from, moments] = [0, 0, 0, 400]
  while (killed < kills) {
    await fillOwned(outside, engine, (from += 10_000))
    const dieAt = 1 + Math.floor(next() * moments)
    const running = runs(outside.url, folder.path, dieAt, WORDS, settings())
    for (let times = 0; times < 3; times += 1) {
      await after(100 + Math.floor(next() * 600))
      if (next() < 0.5) continue
      await placeOrRelease()
      changes += 1
    }
    const done = await running
    if (done.killed) await afterKill(folder.path, (killed += 1))
    else assert.equal(done.code, 0, done.output)
    if (!done.killed) moments = Math.max(100, done.moments)
    await forgetLease(outside)
    await nothingIsLost(`killed at moment ${dieAt}`)
    if (next() < 0.3) await whole()
  }
  for (const owner of inForce.keys()) await released(outside, owner)
  inForce.clear()
  // Whatever the seed has drawn, one removal finds files that a hold keeps beside others.
  const [kept] = OWNERS as [string]
  for (const user of ['u', kept]) {
    await fillOwned(outside, engine, (from += 10_000), user)
    await whole({ ARCHIVE_RETENTION: 'forever' })
  }
  await placed(outside, kept, { user: [kept] })
  inForce.set(kept, new Set([...(await rowsOf(kept)).values()].flat()))
  await whole({ ARCHIVE_RETENTION: '91d' })
  await released(outside, kept)
  inForce.clear()
  await whole()
  assert.deepEqual(await idsInTable(outside), [])
  const names = await filesIn(folder.path, '.json')
  const texts = await Promise.all(names.map((name) => readFile(join(folder.path, name), 'utf8')))
  const removals = texts.filter((text) => text.includes('"kind": "removal"'))
  const keeping = removals.filter((text) => text.includes('"kept": ['))
  assert.ok(removals.length > 0 && keeping.length > 0, `${removals.length} removals, of which ${keeping.length} say that files were kept`)
  process.stdout.write(
    `${engine.name}: ${killed} kills while holds were placed and released ${changes} times; held rows lost 0, rows in two files 0, removals ${removals.length}, of which ${keeping.length} say that files were kept\n`,
  )
}
