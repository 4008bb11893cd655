import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import { undo } from '../database/postgres/undoing.ts'
import { auditLogs, migrated } from '../runs/support.ts'
import { command } from '../support/command.ts'
import { converted } from '../support/converting.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { partitioned, takenOut } from '../support/partitioned.ts'
import { DAY, HOUR } from '../../src/time/clock.ts'
import { diagnosed, OF_TESTS, told } from './support.ts'

/** What doctor finds beyond what is known of the tests' own servers. */
async function foundIn(outside: TestDatabase): Promise<readonly string[]> {
  return told(await diagnosed(outside.url)).filter((each) => !OF_TESTS.has(each))
}

/** Runs it again and again, each time up to the next step that was not seen before, as if it were killed there. Returns what doctor finds at each of them. */
async function foundBeforeEachStep(
  outside: TestDatabase,
  work: (step: (sentence: string) => void) => Promise<unknown>,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>()
  for (;;) {
    let at: string | undefined
    try {
      await work((sentence) => {
        if (found.has(sentence)) return
        at = sentence
        throw new Error(`stopped before it ${sentence}`)
      })
      return found
    } catch (error) {
      if (at === undefined) throw error
      found.set(at, await foundIn(outside))
    }
  }
}

function stopBeforeBuilding(sentence: string): void {
  if (sentence.startsWith('builds')) throw new Error('stopped')
}

const UNFINISHED = 'advice partitions-unfinished'

for (const engine of ENGINES.slice(1)) {
  describe(`doctor and partitions on ${engine.name}`, () => {
    it('wherever partition start or undo was killed, it says that and nothing of the schema; before and afterwards nothing', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 200, 100)
      // A row behind the bound, so that there is something to set aside and to move back.
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") VALUES ('t', 'u', 'a', 's', now() AT TIME ZONE 'UTC' + interval '70 hours')`,
      )
      const known = await foundIn(outside)
      const of = (found: ReadonlyMap<string, readonly string[]>): readonly (readonly [string, readonly string[]])[] =>
        [...found].map(([step, each]) => [step.split(' ')[0]!, each.filter((line) => !known.includes(line))])
      const starting = await foundBeforeEachStep(outside, (step) => converted(outside.url, { step }))
      assert.deepEqual(of(starting), [
        ['prepares', []],
        ['builds', [UNFINISHED]],
        ['refuses', [UNFINISHED]],
        ['takes', ['fault partitions-refusing']],
        ['sets', [UNFINISHED]],
        ['puts', [UNFINISHED]],
        ['analyzes', []],
      ])
      assert.deepEqual(await foundIn(outside), known)
      const undoing = await foundBeforeEachStep(outside, (step) =>
        undo(fixture, (sentence) => {
          step(sentence)
          return Promise.resolve()
        }),
      )
      assert.deepEqual(of(undoing), [
        ['looks', []],
        ['builds', []],
        ['makes', []],
        ['moves', [UNFINISHED]],
        ['drops', [UNFINISHED]],
        ['drops', [UNFINISHED]],
      ])
      assert.deepEqual(await foundIn(outside), known)
    })

    it('an index whose building was interrupted is left to partition start while that has not ended', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await auditLogs(outside, engine, 20, 100)
      await assert.rejects(converted(outside.url, { step: stopBeforeBuilding }), /stopped/)
      const reader = new Client({ connectionString: outside.url })
      await reader.connect()
      try {
        await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
        await reader.query('SELECT FROM audit_logs')
        await outside.sql(`SET lock_timeout = '200ms'`)
        // It waits for the reader at its end, and leaves what it has built.
        await assert.rejects(outside.sql('CREATE UNIQUE INDEX CONCURRENTLY audit_logs_legacy_key ON audit_logs (id, "timestamp")'))
        await outside.sql('RESET lock_timeout')
      } finally {
        await reader.end()
      }
      assert.deepEqual((await foundIn(outside)).toSorted(), [UNFINISHED, 'advice schema-index-invalid'])
      await converted(outside.url)
      assert.deepEqual(await foundIn(outside), [])
    })

    it('a converted table is judged as a plain one: what is missing, doubled or not ours is found', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside)
      assert.deepEqual(await foundIn(outside), [])
      await outside.sql('DROP INDEX idx_audit_logs_action')
      await outside.sql('CREATE INDEX another ON audit_logs (status)')
      await outside.sql(`CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`)
      await outside.sql('CREATE TRIGGER theirs AFTER INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION nothing()')
      // Its parts on the partitions are none of their own.
      assert.deepEqual(
        (await foundIn(outside)).filter((each) => each.includes('trigger')),
        ['advice schema-trigger-unknown'],
      )
      await outside.sql('ALTER TABLE audit_logs DROP CONSTRAINT audit_logs_pkey')
      await outside.sql('CREATE INDEX half ON ONLY audit_logs (execution_time)')
      const found = await foundIn(outside)
      assert.deepEqual(found.filter((each) => each.includes('schema')).toSorted(), [
        'advice schema-index-doubled',
        'advice schema-trigger-unknown',
        'fault schema-index',
        'fault schema-index-invalid',
        'fault schema-key',
      ])
    })

    it('a table that was taken out is no finding on its day, and one once no run has dropped it', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside, { boundDay: -100, days: [-100, 14] })
      await takenOut(outside, -99, Date.now() - HOUR)
      const at = async (ago: number): Promise<readonly string[]> => {
        await outside.sql('UPDATE maintenance_detached SET detached_at = $1', [Date.now() - ago])
        return await foundIn(outside)
      }
      assert.deepEqual(await foundIn(outside), [])
      assert.deepEqual(await at(2 * DAY), ['advice partitions-detached'])
      assert.deepEqual(await at(8 * DAY), ['fault partitions-detached'])
    })

    it('partition start makes a changed function anew, as doctor says', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await converted(outside.url)
      assert.deepEqual(await foundIn(outside), [])
      const start = async (): Promise<string> => {
        const { code, stdout } = await command(['partition', 'start'], { env: { DATABASE_URL: outside.url } })
        assert.equal(code, 0, stdout)
        return stdout
      }
      assert.doesNotMatch(await start(), /anew/)
      await outside.sql('ALTER FUNCTION maintenance_remove_partition(text, text) SECURITY INVOKER')
      assert.deepEqual(await foundIn(outside), ['fault schema-function'])
      assert.match(await start(), /Makes anew the functions/)
      assert.deepEqual(await foundIn(outside), [])
    })
  })
}
