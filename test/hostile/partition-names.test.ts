import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Client } from 'pg'
import type { Database } from '../../src/database/database.ts'
import { addingBlock, removingBlock } from '../../src/database/postgres/partitioning/function-text.ts'
import { functionStatements } from '../../src/database/postgres/partitioning/functions.ts'
import { handsOn } from '../../src/database/postgres/partitioning/hands.ts'
import { readTree } from '../../src/database/postgres/partitioning/tree.ts'
import { DAY } from '../../src/time/clock.ts'
import { applyMigrations, opened } from '../runs/support.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../support/databases.ts'
import type { TestDatabase } from '../support/engines.ts'
import { callsIn, namesOf, plant } from '../support/hostile-schema.ts'
import { midnight, partitioned } from '../support/partitioned.ts'
import { recordingLink } from '../support/recording-link.ts'

/** Tens of thousands of objects. */
const UNHURRIED = { timeout: 400_000 }
const COLUMN = { table: 'audit_logs', column: 'timestamp' }

for (const major of POSTGRES_MAJORS) {
  describe(`hostile names in the schema of partitions on PostgreSQL ${major}`, () => {
    it(
      'change nothing of what is made, taken out and dropped, and are not called, by the owner or in the functions',
      UNHURRIED,
      async () => {
        await using clean = await converted(major)
        await using link = await recordingLink(clean.url)
        const expected = await everything(link.through(clean.url))
        assert.deepEqual([expected.made.length, expected.guarded, expected.dropped], [10, true, true])
        const place = { schema: 'public', ...COLUMN }
        const names = namesOf([...link.statements, addingBlock('', place), removingBlock('', place)])
        for (const name of ['aclexplode', 'obj_description', 'set_config', 'substring', 'oidvectoreq'])
          assert.ok(names.called.has(name), name)
        for (const operator of ['~', '+', '-', '>=']) assert.ok(names.operators.has(operator), operator)

        await using hostile = await converted(major)
        const { rows } = await hostile.admin.query<{ name: string }>(
          `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
        )
        const { rows: later } = await clean.admin.query<{ name: string }>(
          `SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace`,
        )
        await hostile.admin.query(`CREATE FUNCTION public.control() RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END'`)
        await plant(hostile.admin, names, new Set([...rows, ...later].map(({ name }) => name)))
        await hostile.admin.query(`ALTER DATABASE "${hostile.name}" SET search_path = public, pg_catalog`)
        assert.deepEqual(await everything(hostile.url), expected)
        const called = await callsIn(hostile.admin, async () => {
          const client = new Client({ connectionString: hostile.url })
          await client.connect()
          await client.query('SELECT public.control()')
          await client.end()
        })
        // Its own two are.
        assert.deepEqual(
          called.map((each) => each.slice(0, each.indexOf('('))),
          ['maintenance_add_partition', 'maintenance_remove_partition'],
        )
      },
    )
  })
}

async function converted(major: (typeof POSTGRES_MAJORS)[number]): Promise<FreshPostgres> {
  const fresh = await freshPostgres(major)
  await applyMigrations(fresh.url)
  const outside: TestDatabase = {
    url: fresh.url,
    sql: async <Row>(sql: string, values: readonly (string | number | null)[] = []) =>
      (await fresh.admin.query(sql, [...values])).rows as Row[],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  await partitioned(outside, { boundDay: -5, days: [-5, 4] })
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't', 'u', 'a', 's', '${midnight(60)}' FROM generate_series(0, 10000)`,
  )
  await outside.sql(`GRANT SELECT ON audit_logs TO PUBLIC; GRANT UPDATE (status) ON audit_logs TO PUBLIC`)
  const { ensure } = functionStatements({ schema: 'public', ...COLUMN, owner: await ownerOf(outside), roles: [] })
  for (const statement of ensure) await outside.sql(statement)
  return fresh
}

async function ownerOf(outside: TestDatabase): Promise<string> {
  return (await outside.sql<{ owner: string }>('SELECT current_user::text AS owner'))[0]!.owner
}

interface Everything {
  readonly made: readonly string[]
  readonly guarded: boolean
  readonly dropped: boolean
  readonly partitions: number
  readonly problems: readonly string[]
}

/** Days from 4 on are made in the owner's way, and one is taken out, put back, taken out and dropped in each. */
async function everything(url: string): Promise<Everything> {
  await using database = await opened(url)
  const look: Database['transaction'] = (work) => database.transaction(work)
  const options = {
    query: database,
    look,
    scan: look,
    schema: 'public',
    timeZone: 'UTC',
    column: COLUMN,
  }
  const partitions = database.partitions(COLUMN)!
  const now = await database.now()
  const ahead = await partitions.ahead(now + 14 * DAY, { now, aheadMs: 14 * DAY, periods: [] })
  assert.ok(ahead.kind === 'missing', JSON.stringify(ahead))
  const made: string[] = []
  for (const { name, steps } of ahead.partitions.slice(1)) {
    for (const step of steps) assert.equal(await database.transaction((tx) => step.run(tx)), 'made')
    made.push(name)
  }
  const tree = (await readTree(options))!
  const ways = [(await handsOn(options, tree)).hands!, (await handsOn(options, { ...tree, isOwner: false })).hands!]
  for (const [at, hands] of ways.entries()) {
    const name = `audit_logs_p${midnight(-4 + at)
      .slice(0, 10)
      .replaceAll('-', '')}`
    await database.transaction((tx) => hands.detach(tx, name))
    await database.transaction((tx) => hands.attach(tx, name))
    await database.transaction((tx) => hands.detach(tx, name))
    await database.transaction((tx) => hands.drop(tx, name))
  }
  const state = await partitions.state()
  assert.ok(state.kind === 'converted')
  return {
    made,
    guarded: ahead.partitions.every(({ steps }) => steps.length === 3),
    dropped: (await readTree(options))!.parts.length === tree.parts.length - ways.length,
    partitions: state.partitions,
    problems: state.problems,
  }
}
