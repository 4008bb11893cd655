import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrated } from '../runs/support.ts'
import { ENGINES } from '../support/engines.ts'
import { randomOf } from './random.ts'
import { SUBJECTS, subjectOf } from './subjects.ts'
import { Truth } from './truth.ts'
import { Violation, type Harm } from './violation.ts'

interface Case {
  readonly what: string
  readonly harm: Harm | undefined
  readonly says: RegExp
  /** What somebody does to the database, a statement each. */
  readonly sql: readonly string[]
}

const COUNTED = `INSERT INTO maintenance_runs (job, "trigger", worker, version, started_at, finished_at, outcome, rows_deleted)
  VALUES ('purge-sessions', 'run-now', 'a:1', '1', 1, 2, 'succeeded', `

const CASES: readonly Case[] = [
  {
    what: 'a row that should stay is deleted',
    harm: 'rows deleted that should stay',
    says: /sessions/,
    sql: ["DELETE FROM sessions WHERE session_token = 'stay-2-1'"],
  },
  {
    what: 'a row is gone without having been deleted',
    harm: 'rows lost',
    says: /3 had to stay, 2 are there/,
    sql: ["UPDATE sessions SET session_token = 'other' WHERE session_token = 'stay-2-1'"],
  },
  {
    what: 'a row is told of twice',
    harm: 'rows deleted twice',
    says: /its runs say 2, 1 are gone/,
    sql: ["DELETE FROM sessions WHERE session_token = 'go-1-1'", `${COUNTED} 2)`],
  },
  {
    what: 'a deletion is not told of',
    harm: undefined,
    says: /the runs of purge-sessions tell of 0/,
    sql: ["DELETE FROM sessions WHERE session_token = 'go-1-1'"],
  },
  { what: 'an expired row is left', harm: undefined, says: /5 expired rows of/, sql: [] },
  {
    what: 'two runs overlap',
    harm: undefined,
    says: /two runs of purge-sessions at a time/,
    sql: [`${COUNTED} 0)`, 'UPDATE maintenance_runs SET finished_at = 9000', `${COUNTED} 0)`],
  },
]

for (const engine of ENGINES) {
  for (const { what, harm, says, sql } of CASES) {
    test(`${engine.name}: the truth sees that ${what}`, async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      const truth = new Truth(engine, outside)
      await truth.watch()
      await truth.write([subjectOf('sessions')], 5, 3)
      assert.equal(await truth.check({ settled: false }), 0)
      for (const statement of sql) await outside.sql(statement)
      await assert.rejects(truth.check({ settled: sql.length === 0 }), (error: Error) => {
        assert.ok(error instanceof Violation)
        assert.equal(error.harm, harm)
        assert.match(error.message, says)
        return true
      })
    })
  }

  test(`${engine.name}: the truth finds nothing where everything is as it should be`, async () => {
    await using fixture = await migrated(engine)
    const truth = new Truth(engine, fixture.outside)
    await truth.watch()
    await truth.write(SUBJECTS, 0, 3)
    await truth.write([subjectOf('sessions')], 5, 3)
    await fixture.outside.sql("DELETE FROM sessions WHERE session_token LIKE 'go-%'")
    await fixture.outside.sql(`${COUNTED} 5)`)
    assert.equal(await truth.check({ settled: true }), 5)
  })
}

test('the same seed and name give the same moments and choices, and a different seed or name gives different ones', () => {
  assert.deepEqual(drawn(1, 'a/1'), drawn(1, 'a/1'))
  assert.notDeepEqual(drawn(1, 'a/1'), drawn(2, 'a/1'))
  assert.notDeepEqual(drawn(1, 'a/1'), drawn(1, 'a/2'))
  assert.ok(drawn(1, 'a/1').every((number) => Number.isInteger(number) && number >= 1 && number <= 1_000))
  assert.ok(new Set(drawn(1, 'a/1')).size > 30)
})

function drawn(seed: number, name: string): number[] {
  const random = randomOf(seed, name)
  return Array.from({ length: 50 }, () => random.whole(1, 1_000))
}
