// `npm run test:hold-races`: places holds while three workers purge, one of them built before there were holds, and kills workers meanwhile, on each engine. Of
// the rows that matched a hold when `hold place` returned, none may be deleted before it is released; rows that no hold keeps must go. 12 holds, or 200 with
// `--full`, or `--holds N`; `--seed N` repeats the choices; `--older FOLDER`: the installed package of an older version in place of one made from this one; `--once-a-run`: workers
// that read the holds once a run, which must not pass.
import assert from 'node:assert/strict'
import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { compileInto } from '../support/compiled.ts'
import { command } from '../support/command.ts'
import { BOTH_ENGINES, type TestEngine } from '../support/engines.ts'
import { POSTGRES_MAJORS, startPostgres } from '../support/postgres-server.ts'
import { compiledAt, envOf, fill, freeRows, hold, idsOf, isPurging, random, userAt, Worker, type Arena } from './arena.ts'
import { mutantOf } from './mutants.ts'

const { values } = parseArgs({
  options: {
    full: { type: 'boolean' },
    holds: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    older: { type: 'string' },
    'once-a-run': { type: 'boolean' },
  },
})
const holds = Number(values.holds ?? (values.full === true ? 200 : 12))
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000))
const MOST_HELD = 4
/** For the rows that no hold keeps to go; a killed worker's lease lasts 15 s. */
const PATIENCE_MS = 60_000
/** Each look keeps SQLite's writers waiting. */
const LOOK_MS = 300
/** Of the log of a worker, when something went wrong. */
const MOST_SHOWN = 3_000

interface Held {
  readonly name: string
  readonly user: string
  /** The rows that matched when placing it returned. */
  readonly ids: readonly number[]
}

interface Counts {
  placed: number
  released: number
  kills: number
  midway: number
  refused: number
}

async function race(engine: TestEngine, newer: string, older: string): Promise<string> {
  await using outside = await engine.fresh()
  const arena: Arena = { engine, outside, packageRoot: newer, next: random(seed) }
  const { next } = arena
  const env = envOf(outside.url)
  const migrated = await command(['migrate'], { env: { DATABASE_URL: outside.url }, packageRoot: newer })
  assert.equal(migrated.code, 0, migrated.stdout + migrated.stderr)
  const workers = [newer, newer, older].map((packageRoot) => new Worker(packageRoot, env))
  const held: Held[] = []
  const counts: Counts = { placed: 0, released: 0, kills: 0, midway: 0, refused: 0 }
  try {
    for (; counts.placed < holds;) {
      await fill(arena)
      const until = Date.now() + 5_000
      while (!(await isPurging(arena)) && Date.now() < until) await sleep(5)
      await sleep(next() * 100)
      if (next() < 0.2) counts.kills += await killed(workers, next)
      held.push(await placed(arena, counts, held))
      if (next() < 0.3) counts.kills += await killed(workers, next)
      const began = Date.now()
      while (
        (await freeRows(
          arena,
          held.map(({ user }) => user),
        )) > 0
      ) {
        assert.ok(Date.now() - began < PATIENCE_MS, `${engine.name}: rows that no hold keeps are not deleted`)
        await sleep(LOOK_MS)
      }
      for (const { name, user, ids } of held) {
        const there = new Set(await idsOf(arena, user))
        const gone = ids.filter((id) => !there.has(id))
        assert.deepEqual(gone, [], `${engine.name}: rows of the hold ${name} on ${user} were deleted after it was placed`)
      }
      while (held.length >= MOST_HELD || (held.length > 0 && next() < 0.4)) {
        const [first] = held.splice(Math.floor(next() * held.length), 1)
        await hold(arena, ['release', first!.name, '--reason', 'over'])
        counts.released += 1
      }
      if (counts.placed % 20 === 0) process.stderr.write(`${engine.name}: ${counts.placed} holds\n`)
    }
  } catch (error) {
    for (const worker of workers) process.stderr.write(`a worker ended with:\n${(await worker.stop()).slice(-MOST_SHOWN)}\n`)
    throw error
  } finally {
    const told = await Promise.all(workers.map((worker) => worker.stop()))
    counts.refused = told.at(-1)!.split('does not know holds').length - 1
  }
  const { placed: all, released, kills, midway, refused } = counts
  assert.ok(refused > 0, `${engine.name}: the older worker was never refused`)
  return `${engine.name}: ${all} holds placed, ${midway} while rows were being deleted, ${released} released, ${kills} kills, the older worker refused ${refused} times; held rows deleted 0`
}

async function placed(arena: Arena, counts: Counts, held: readonly Held[]): Promise<Held> {
  const users = Array.from({ length: 8 }, (_, number) => userAt(number)).filter((user) => held.every((each) => each.user !== user))
  const user = users[Math.floor(arena.next() * users.length)]!
  counts.placed += 1
  const name = `case-${counts.placed}`
  const before = await freeRows(arena, [])
  await hold(arena, ['place', name, '--user', user.toLowerCase(), '--reason', 'a letter', '--even-if-none'])
  const ids = await idsOf(arena, user)
  const after = await freeRows(arena, [])
  if (after < before && ids.length > 0) counts.midway += 1
  return { name, user, ids }
}

async function killed(workers: readonly Worker[], next: () => number): Promise<number> {
  await workers[Math.floor(next() * workers.length)]!.kill()
  return 1
}

const folder = join(tmpdir(), `hold-races-${process.pid}`)
const servers = await Promise.all(POSTGRES_MAJORS.map(async (major) => ({ major, server: await startPostgres(major) })))
try {
  for (const { major, server } of servers) process.env[`TEST_POSTGRES_${major}`] = server.url
  process.stdout.write(`seed ${seed}, ${holds} holds on each engine\n`)
  await mkdir(folder, { recursive: true })
  const compiled = compiledAt(folder)
  await compileInto(compiled)
  const newer = values['once-a-run'] === true ? await mutantOf(compiled, join(folder, 'once'), 'once a run') : compiled
  const older = values.older ?? (await mutantOf(compiled, join(folder, 'older'), 'older'))
  for (const engine of BOTH_ENGINES)
    if (values.only === undefined || engine.name.startsWith(values.only)) process.stdout.write(`${await race(engine, newer, older)}\n`)
} finally {
  await Promise.all(servers.map(({ server }) => server.stop()))
  await rm(folder, { recursive: true, force: true })
}
