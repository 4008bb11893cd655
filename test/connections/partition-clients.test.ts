import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
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

function partitionOf(day: number): string {
  return `audit_logs_p${midnight(day).slice(0, 10).replaceAll('-', '')}`
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
      assert.deepEqual(await database.sql('SELECT FROM pg_class WHERE relname = $1', [partitionOf(DAY_OF_ROWS)]), [], 'it went as a whole')
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
      const { ids, errors, reads, partitions, columns } = await gateway.end()
      assert.deepEqual(errors, [])
      assert.ok(ids.length > 50 && reads > 20, `${ids.length} rows, ${reads} reads`)
      assert.ok(rise(ids))
      assert.ok(partitions > 14, `it saw ${partitions} partitions, each as a table of its own`)
      assert.deepEqual(columns, COLUMNS)
      await allThere(database, ids, left)
    })
  }
}

for (const major of POSTGRES_MAJORS)
  test(`postgres ${major}: what is not as before is what docs/partitions-effects.md says`, async () => {
    await using database = await postgresDatabase(major)
    await run(database, 'migrate')
    await partitioned(database, { boundDay: DAY_OF_ROWS - 2, days: [DAY_OF_ROWS - 2, DAY_OF_ROWS + 3] })
    for (let day = -2; day < 14; day += 1) await partition(database, day)
    await rows(database, [DAY_OF_ROWS, -1], 10)
    const insert = `INSERT INTO audit_logs (id, tool_name, "user", action, status, "timestamp") VALUES (1, 't', 'u', 'a', 's', '${midnight(-1)}')`
    await assert.rejects(database.sql(`${insert} ON CONFLICT (id) DO NOTHING`), { code: '42P10' })
    for (const target of ['(id, "timestamp")', '']) await database.sql(`${insert} ON CONFLICT ${target} DO NOTHING`)
    const [{ n } = { n: 0 }] = await database.sql<{ n: number }>('SELECT count(*) AS n FROM audit_logs WHERE id = 1')
    assert.equal(n, 2, 'an id that is given by hand may be there already')

    const where = 'SELECT tableoid::regclass::text AS name FROM audit_logs WHERE id = 2'
    assert.deepEqual(await database.sql(where), [{ name: partitionOf(DAY_OF_ROWS) }])
    await database.sql(`UPDATE audit_logs SET "timestamp" = $1 WHERE id = 2`, [midnight(1)])
    assert.deepEqual(await database.sql(where), [{ name: partitionOf(1) }])

    const reader = `reader_${process.pid}_${major}`
    await database.sql(`CREATE ROLE ${reader}; GRANT SELECT ON audit_logs TO ${reader}`)
    try {
      const as = (text: string): Promise<unknown[]> => database.sql(`SET ROLE ${reader}; ${text}; RESET ROLE`)
      await as('SELECT FROM audit_logs')
      await assert.rejects(as(`SELECT FROM ${partitionOf(-1)}`), { code: '42501' })
      await database.sql('RESET ROLE')
    } finally {
      await database.sql(`RESET ROLE; DROP OWNED BY ${reader}; DROP ROLE ${reader}`)
    }

    const client = new Client({ connectionString: database.url })
    await client.connect()
    try {
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM maintenance_runs')
      await run(database, '--run-now', '--job', 'purge-audit-logs')
      await rows(database, [-1], 5)
      const seen = await client.query<{ old: string; fresh: string }>(
        `SELECT count(*) FILTER (WHERE "timestamp" < $1) AS old, count(*) FILTER (WHERE "timestamp" >= $1) AS fresh FROM audit_logs`,
        [midnight(-2)],
      )
      // The one that was inserted here, the one that was moved, and ten; not the five that came since, nor those that went with their partition.
      assert.deepEqual(seen.rows, [{ old: '0', fresh: '12' }])
    } finally {
      await client.end()
    }
  })

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
