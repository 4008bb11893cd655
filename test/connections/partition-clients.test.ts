import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { command } from '../support/command.ts'
import { postgresDatabase, type TestDatabase } from '../support/engines.ts'
import { midnight, partition, partitioned } from '../support/partitioned.ts'
import { POSTGRES_MAJORS } from '../support/postgres-server.ts'
import { INSERT, INSERT_RETURNING_ALL, READS, rise, startReader, startWriter } from '../support/traffic.ts'
import { startOrmGateway, withoutSqlAlchemy } from './orm-gateway.ts'

/** Long enough for every client to have used the table in each state. */
const BETWEEN_MS = 500
const COLUMNS = ['id', 'tool_name', 'user', 'action', 'status', 'parameters', 'output', 'error', 'execution_time', 'timestamp']
const DAY_OF_ROWS = -95

async function run(database: TestDatabase, ...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await command(words, { env: { DATABASE_URL: database.url } })
  assert.equal(code, 0, `${words.join(' ')}\n${stdout}${stderr}`)
  await sleep(BETWEEN_MS)
  return stdout
}

async function rows(database: TestDatabase, days: readonly number[], each: number): Promise<void> {
  for (const day of days)
    await database.sql(
      `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp")
       SELECT 'tool', 'before@example.org', 'invoke', 'success', $1::timestamp + n * interval '1 second' FROM generate_series(1, $2::integer) AS n`,
      [midnight(day), each],
    )
}

async function kindOf(database: TestDatabase): Promise<string> {
  return (await database.sql<{ kind: string }>(`SELECT relkind::text AS kind FROM pg_class WHERE oid = 'audit_logs'::regclass`))[0]!.kind
}

/** What the database is when clients begin, and what is done to it beside them. */
interface Course {
  readonly name: string
  readonly before: (database: TestDatabase) => Promise<void>
  readonly during: (database: TestDatabase) => Promise<void>
  /** Rows of before that are there at the end. */
  readonly left: number
}

const COURSES: readonly Course[] = [
  {
    name: 'a conversion and its undoing',
    left: 3_000,
    before: (database) => rows(database, [-60, -30, -1], 1_000),
    async during(database) {
      await run(database, 'partition', 'start')
      assert.equal(await kindOf(database), 'p')
      await run(database, 'partition', 'undo')
      assert.equal(await kindOf(database), 'r')
    },
  },
  {
    name: 'the drop of an expired partition and the undoing',
    left: 1_000,
    async before(database) {
      await partitioned(database, { boundDay: DAY_OF_ROWS - 2, days: [DAY_OF_ROWS - 2, DAY_OF_ROWS + 3] })
      for (let day = -2; day < 14; day += 1) await partition(database, day)
      await rows(database, [DAY_OF_ROWS, -1], 1_000)
    },
    async during(database) {
      const log = await run(database, '--run-now', '--job', 'purge-audit-logs')
      assert.match(log, /"deleted":1000[,}]/)
      const gone = `audit_logs_p${midnight(DAY_OF_ROWS).slice(0, 10).replaceAll('-', '')}`
      assert.deepEqual(await database.sql('SELECT FROM pg_class WHERE relname = $1', [gone]), [], 'it went as a whole')
      await run(database, 'partition', 'undo')
      assert.equal(await kindOf(database), 'r')
    },
  },
]

for (const major of POSTGRES_MAJORS) {
  for (const { name, before, during, left } of COURSES) {
    test(`postgres ${major}: no client notices ${name}: named statements with RETURNING, SELECT *, the view`, async () => {
      await using database = await postgresDatabase(major)
      await run(database, 'migrate')
      await before(database)
      await using plain = await startWriter(database.url, INSERT, 100)
      await using all = await startWriter(database.url, INSERT_RETURNING_ALL, 100)
      await using reader = await startReader(database.url, READS, 20)
      await sleep(BETWEEN_MS)
      await during(database)
      const [first, second, read] = [await plain.end(), await all.end(), await reader.end()]
      assert.deepEqual([...first.errors, ...second.errors, ...read.errors], [])
      assert.ok(read.calls.length > 20 && first.ids.length > 50 && second.ids.length > 50)
      assert.ok(rise(first.ids) && rise(second.ids), 'each client has rising numbers')
      await allThere(database, [...first.ids, ...second.ids], left)
    })

    test(`postgres ${major}: SQLAlchemy does not notice ${name}`, { skip: withoutSqlAlchemy() }, async () => {
      await using database = await postgresDatabase(major)
      await run(database, 'migrate')
      await before(database)
      await using gateway = await startOrmGateway(database.url)
      await sleep(BETWEEN_MS)
      await during(database)
      const { ids, errors, reads, columns } = await gateway.end()
      assert.deepEqual(errors, [])
      assert.ok(ids.length > 50 && reads > 20, `${ids.length} rows, ${reads} reads`)
      assert.ok(rise(ids))
      assert.deepEqual(columns, COLUMNS)
      await allThere(database, ids, left)
    })
  }
}

/** Each once, under one number, and nothing else but what was there before. */
async function allThere(database: TestDatabase, ids: readonly number[], before: number): Promise<void> {
  assert.equal(new Set(ids).size, ids.length)
  const found = await database.sql<{ id: number }>(`SELECT id FROM audit_logs WHERE "user" <> 'before@example.org' ORDER BY id`)
  assert.deepEqual(
    found.map(({ id }) => id),
    ids.toSorted((a, b) => a - b),
  )
  const [{ n } = { n: -1 }] = await database.sql<{ n: number }>(`SELECT count(*) AS n FROM audit_logs WHERE "user" = 'before@example.org'`)
  assert.equal(n, before)
}
