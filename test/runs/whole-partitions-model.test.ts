import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DatabaseError } from '../../src/database/database-error.ts'
import type { Match } from '../../src/policy/match.ts'
import type { Rule } from '../../src/policy/rules.ts'
import { ACCEPTABLE, type Accepted } from '../../src/purge/safety.ts'
import { DAY, HOUR, type EpochMs } from '../../src/time/clock.ts'
import type { TestDatabase } from '../support/engines.ts'
import { partitioned } from '../support/partitioned.ts'
import { placedHold, released } from './keeping.ts'
import { dayAt, POLICY, POSTGRES } from './partitioned-rows.ts'
import { intercepted, migrated, QUIET, run, type Fixture } from './support.ts'

const USERS = ['alice', 'bob', 'carol', 'dave'] as const
const TOOLS = ['t', 'u'] as const
const FIRST = -30
const NIGHTS = 6
/** From the most to the least that is kept: each night keeps less, as if time went by. */
const FROM_DAYS = 18

const ACCEPTED: Accepted = new Set(Object.keys(ACCEPTABLE) as (keyof typeof ACCEPTABLE)[])

interface Row {
  readonly id: number
  readonly user: string
  readonly tool: string
  /** `undefined`: -infinity. */
  readonly at: EpochMs | undefined
}

interface Kept {
  readonly match: Match
  readonly from: EpochMs | undefined
}

type Pick = (below: number) => number

async function filled({ outside }: Fixture, pick: Pick): Promise<void> {
  await partitioned(outside, { boundDay: -20, days: [-20, 3] })
  await insert(outside, pick, 300, FIRST, 0)
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'alice', 'a', 's', '-infinity'), ('t', 'bob', 'a', 's', '-infinity')`,
  )
  // The safety stops want a table that is not emptied.
  await insert(outside, pick, 200, -1, 0)
}

async function insert(outside: TestDatabase, pick: Pick, rows: number, from: number, to: number): Promise<void> {
  const values = Array.from({ length: rows }, () => {
    const at = dayAt(from) + pick((to - from) * 24 * 60) * 60_000 + (pick(3) === 0 ? 0 : pick(1_000))
    return `('${TOOLS[pick(2)]}', '${USERS[pick(4)]}', 'a', 's', '${new Date(at).toISOString().slice(0, -1)}')`
  })
  await outside.sql(`INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ${values.join(', ')}`)
}

async function everyRow(outside: TestDatabase): Promise<Row[]> {
  const tables = await outside.sql<{ name: string }>('SELECT relation AS name FROM maintenance_detached')
  const found = await Promise.all(
    ['audit_logs', ...tables.map(({ name }) => name)].map((table) =>
      outside.sql<Omit<Row, 'at'> & { at: number | null }>(
        `SELECT id, "user", tool_name AS tool, CASE WHEN "timestamp" > '-infinity' THEN (extract(epoch FROM "timestamp") * 1000)::bigint END AS at FROM ${table}`,
      ),
    ),
  )
  return found.flat().map(({ at, ...row }) => ({ ...row, at: at ?? undefined }))
}

function keeps({ match, from }: Kept, row: Row): boolean {
  return (
    fits(match['user'], row.user) && fits(match['tool_name'], row.tool) && (from === undefined || (row.at !== undefined && row.at >= from))
  )
}

function fits(given: readonly string[] | undefined, value: string): boolean {
  return given === undefined || given.includes(value)
}

/** Repeatable. */
function randomFrom(seed: number): Pick {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

function ids(rows: readonly Row[]): number[] {
  return rows.map(({ id }) => id).toSorted((a, b) => a - b)
}

for (const engine of POSTGRES) {
  describe(`holds, rules and partitions by seed, on ${engine.name}`, () => {
    for (let seed = 1; seed <= 3; seed += 1)
      it(`every row that must go goes, and no other: seed ${seed}`, async () => {
        await using fixture = await migrated(engine)
        const { database, outside } = fixture
        const pick = randomFrom(seed)
        await filled(fixture, pick)
        const rule: Rule = {
          name: 'tools',
          match: { tool_name: ['u'], user: [USERS[pick(4)]!] },
          retentionMs: (FROM_DAYS + 2 + pick(6)) * DAY,
        }
        const rules = pick(3) === 0 ? [] : [rule]
        const holds = new Map<string, Match>()
        for (let night = 0; night < NIGHTS; night += 1) {
          if (pick(2) === 0) {
            const match = { user: [USERS[pick(4)]!], ...(pick(2) === 0 ? {} : { tool_name: ['t'] }) }
            await placedHold(outside, `case-${night}`, match)
            holds.set(`case-${night}`, match)
          }
          const [old] = holds.keys()
          if (old !== undefined && pick(3) === 0) {
            await released(outside, old)
            holds.delete(old)
          }
          if (pick(3) === 0) await insert(outside, pick, 5, FIRST, -2)
          const before = await everyRow(outside)
          // Killed after some of its transactions, or an answer is lost, and run again.
          const kill = pick(2) === 0 ? 1 + pick(12) : undefined
          const stopping = new AbortController()
          let batches = 0
          const lossy = pick(2) === 0 ? 6 + pick(20) : 0
          const flaky = intercepted(database, async (number, transact) => {
            const done = await transact()
            if (number === lossy) throw new DatabaseError('lost', 'the answer was lost')
            return done
          })
          const retentionMs = (FROM_DAYS - 2 * night) * DAY + HOUR
          const asked = { ...POLICY, retentionMs, rules, accepted: ACCEPTED }
          const listener = { ...QUIET, jobBatch: () => void ((batches += 1) === kill && stopping.abort()) }
          if (kill !== undefined) await run(flaky, { ...asked, stopping: stopping.signal }, { partitions: true, listener })
          let result = await run(kill === undefined ? flaky : database, asked, { partitions: true })
          assert.equal(result.outcome, 'succeeded', `night ${night}: ${String(result.error)}`)
          // Rows that came back in a run are free for the next one.
          result = await run(database, asked, { partitions: true })
          assert.equal(result.outcome, 'succeeded', `night ${night}: ${String(result.error)}`)
          const cutoff = result.cutoff!
          const kept: Kept[] = [
            ...[...holds.values()].map((match) => ({ match, from: undefined })),
            ...rules.map(({ match, retentionMs: ms }) => ({ match, from: cutoff + retentionMs - ms! })),
          ]
          const expected = before.filter((row) => row.at === undefined || row.at >= cutoff || kept.some((each) => keeps(each, row)))
          assert.deepEqual(ids(await everyRow(outside)), ids(expected), `night ${night}`)
          assert.deepEqual(await outside.sql('SELECT relation FROM maintenance_detached'), [], `night ${night}`)
        }
      })
  })
}
