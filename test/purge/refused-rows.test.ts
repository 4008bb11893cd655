import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client } from 'pg'
import { messageOf } from '../../src/errors.ts'
import { LONGEST_LEAP, PATIENCE } from '../../src/purge/refusals.ts'
import { archivedRows, freshFolder, purged, verified } from '../archive/support.ts'
import { auditLogs, count, intercepted, migrated, run, type Fixture } from '../runs/support.ts'
import { BOTH_ENGINES, type TestDatabase, type TestEngine } from '../support/engines.ts'

/** Sessions that expired so many days ago, each a second before the next. */
async function sessions({ outside }: Fixture, engine: TestEngine, rows: number, days: number, user: string): Promise<void> {
  const series =
    engine.name === 'sqlite'
      ? '(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < $1) SELECT n FROM s) AS s'
      : 'generate_series(1, $1::integer) AS s (n)'
  await outside.sql(
    `INSERT INTO sessions (session_token, user_identifier, expires_at)
     SELECT '${user}-${days}-' || n, '${user}', ${engine.momentOf(`n - ${days * 86_400}`)} FROM ${series}`,
    [rows],
  )
}

/** Another table refers to the sessions of this user, without an action. */
async function referenced(outside: TestDatabase, user: string): Promise<void> {
  await outside.sql('CREATE TABLE logins (session_id integer NOT NULL REFERENCES sessions (id))')
  await outside.sql('CREATE INDEX logins_session ON logins (session_id)')
  await outside.sql(`INSERT INTO logins SELECT id FROM sessions WHERE user_identifier = '${user}'`)
}

/** A trigger keeps the rows of a table for which the condition on `old` holds: with an error, or in silence. */
async function keeping(
  outside: TestDatabase,
  engine: TestEngine,
  table: string,
  condition: string,
  how: 'raise' | 'silence',
): Promise<void> {
  if (engine.name === 'sqlite') {
    const act = how === 'raise' ? "RAISE(ABORT, 'it stays')" : 'RAISE(IGNORE)'
    await outside.sql(`CREATE TRIGGER keeps BEFORE DELETE ON ${table} WHEN ${condition} BEGIN SELECT ${act}; END`)
    return
  }
  const act = how === 'raise' ? "RAISE EXCEPTION 'it stays'" : 'RETURN NULL'
  await outside.sql(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${act}; END $$`)
  await outside.sql(`CREATE TRIGGER keeps BEFORE DELETE ON ${table} FOR EACH ROW WHEN (${condition}) EXECUTE FUNCTION keep()`)
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: hundreds of referenced sessions in front keep no later session from being deleted, and are counted`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    await sessions(fixture, engine, 300, 60, 'january')
    await referenced(outside, 'january')
    await sessions(fixture, engine, 1_000, 10, 'march')
    const result = await run(database)
    assert.deepEqual([result.outcome, result.deleted, result.exitCode], ['failed', 1_000, 1])
    assert.match(
      messageOf(result.error),
      /prevented 300 expired rows of sessions from being deleted\. Fix the cause.*The first error: .*(FOREIGN KEY|foreign key)/,
    )
    assert.equal(await count(outside, 'sessions'), 300)
  })

  test(`${engine.name}: of thousands of referenced sessions only samples are tried`, async () => {
    await using fixture = await migrated(engine)
    const { outside, database } = fixture
    const rows = PATIENCE + 20 * LONGEST_LEAP
    await sessions(fixture, engine, rows, 60, 'january')
    await referenced(outside, 'january')
    await sessions(fixture, engine, 1_000, 10, 'march')
    let transactions = 0
    const watched = intercepted(database, (number, transact) => {
      transactions = number
      return transact()
    })
    const result = await run(watched)
    assert.deepEqual([result.outcome, result.deleted], ['failed', 1_000], messageOf(result.error))
    const [, refused, passedOver] =
      /prevented at least ([\d,]+) expired rows of sessions from being deleted, and ([\d,]+) rows among them were not tried\./.exec(
        messageOf(result.error),
      )!
    assert.equal(Number(refused!.replace(',', '')) + Number(passedOver!.replace(',', '')), rows)
    assert.ok(transactions < 2 * PATIENCE, `${transactions} transactions`)
  })

  for (const how of ['raise', 'silence'] as const)
    test(`${engine.name}: rows that a trigger keeps here and there (${how}) keep no other row`, async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await sessions(fixture, engine, 40, 60, 'keeps')
      await sessions(fixture, engine, 600, 30, 'goes')
      await sessions(fixture, engine, 1, 20, 'keeps')
      await sessions(fixture, engine, 300, 10, 'goes')
      await keeping(outside, engine, 'sessions', `old.user_identifier = 'keeps' OR (old.id % 50) = 0`, how)
      const stay = (
        await outside.sql<{ n: number }>(`SELECT count(*) AS n FROM sessions WHERE user_identifier = 'keeps' OR (id % 50) = 0`)
      )[0]!.n
      const result = await run(database)
      assert.deepEqual([result.outcome, result.deleted], ['failed', 941 - stay])
      assert.match(messageOf(result.error), new RegExp(`prevented ${stay} expired rows of sessions`))
      assert.equal(await count(outside, 'sessions'), stay)
      assert.equal((await run(database)).deleted, 0)
    })

  test(`${engine.name}: with an archive, refused rows in front are not in it, and everything else is deleted and archived once`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const { outside, database } = fixture
    // More than are tried one by one. The oldest rows have the highest numbers.
    const refused = PATIENCE + 100
    await auditLogs(outside, engine, 2 * refused, 100)
    await keeping(outside, engine, 'audit_logs', `old.id > ${refused}`, 'raise')
    const result = await purged(database, folder.path)
    assert.deepEqual([result.outcome, result.deleted], ['failed', refused], messageOf(result.error))
    assert.match(messageOf(result.error), /prevented at least .* expired rows of audit_logs/)
    const ids = (await archivedRows(folder.path)).map(({ id }) => Number(id)).toSorted((a, b) => a - b)
    assert.deepEqual(
      ids,
      Array.from({ length: refused }, (_, at) => at + 1),
    )
    assert.deepEqual((await verified(database, folder.path)).problems, [])
    await outside.sql(engine.name === 'sqlite' ? 'DROP TRIGGER keeps' : 'DROP TRIGGER keeps ON audit_logs')
    const after = await purged(database, folder.path)
    assert.deepEqual([after.outcome, after.deleted], ['succeeded', refused])
    assert.equal((await archivedRows(folder.path)).length, 2 * refused)
  })
}

const POSTGRES = BOTH_ENGINES.at(-1)!

test(`${POSTGRES.name}: of rows that were locked, those that are refused afterwards keep no other`, async () => {
  await using fixture = await migrated(POSTGRES)
  const { outside, database } = fixture
  await sessions(fixture, POSTGRES, 50, 10, 'goes')
  await keeping(outside, POSTGRES, 'sessions', 'old.id IN (20, 22)', 'raise')
  const holder = new Client({ connectionString: outside.url })
  await holder.connect()
  try {
    await holder.query('BEGIN')
    await holder.query('SELECT FROM sessions WHERE id BETWEEN 20 AND 23 FOR UPDATE')
    let held = true
    const watched = intercepted(database, async (_, transact) => {
      const tally = (await transact()) as { readonly locked?: number } | undefined
      if (held && (tally?.locked ?? 0) > 0) {
        held = false
        await holder.query('COMMIT')
      }
      return tally
    })
    const result = await run(watched)
    assert.deepEqual([result.outcome, result.deleted, result.locked], ['failed', 48, 0])
    assert.match(messageOf(result.error), /prevented 2 expired rows of sessions.*it stays/)
  } finally {
    await holder.end()
  }
})
