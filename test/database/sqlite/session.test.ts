import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import BetterSqlite3 from 'better-sqlite3'
import type { Transaction } from '../../../src/database/query.ts'
import { hostClock } from '../../../src/time/clock.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { beside, opened } from './opening.ts'

const MODES = ['delete', 'wal'] as const

describe('a SQLite session', () => {
  it('a session binds $1 and $2, reads and stores integers as integers, and returns how many rows changed', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    assert.deepEqual(await database.query('CREATE TABLE t (a TEXT, b)'), { rows: [], changed: 0 })
    assert.equal((await database.query('INSERT INTO t VALUES ($1, $2), ($2, $1)', [5, null])).changed, 2)
    const { rows } = await database.query('SELECT a, typeof(b) AS b, $1 AS c FROM t', [2 ** 40])
    assert.deepEqual(rows, [
      { a: '5', b: 'null', c: 2 ** 40 },
      { a: null, b: 'integer', c: 2 ** 40 },
    ])
    assert.deepEqual(await database.query("UPDATE t SET a = 'x' RETURNING a"), { rows: [{ a: 'x' }, { a: 'x' }], changed: 2 })
  })

  it('a session runs scripts of several statements, and of none', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    await open.database.query('CREATE TABLE t (a); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)')
    await open.database.query('-- nothing\n')
    assert.deepEqual((await open.database.query('SELECT count(*) AS n FROM t')).rows, [{ n: 2 }])
  })

  it('an error of a statement names the file', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    await assert.rejects(open.database.query('SELECT * FROM missing'), {
      kind: 'failed',
      message: `${fresh.file}: no such table: missing`,
    })
  })

  it('a query does not get into another task’s transaction', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await database.query('CREATE TABLE t (a)')
    let outside: Promise<unknown> | undefined
    await assert.rejects(
      database.transaction(async (tx) => {
        await tx.query('INSERT INTO t VALUES (1)')
        outside = database.query('INSERT INTO t VALUES (2)')
        await delay(20)
        throw new Error('changed my mind')
      }),
      /changed my mind/,
    )
    await outside
    assert.deepEqual((await database.query('SELECT a FROM t')).rows, [{ a: 2 }])
  })

  it('a query on a transaction that has ended, or that SQLite has ended, is refused', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await database.query("CREATE TABLE t (a); CREATE TRIGGER no BEFORE DELETE ON t BEGIN SELECT RAISE(ROLLBACK, 'no'); END")
    const kept: Transaction[] = []
    await database.transaction(async (tx) => void kept.push(tx))
    await assert.rejects(kept[0]!.query('INSERT INTO t VALUES (1)'), /had ended/)
    await assert.rejects(
      database.transaction(async (tx) => {
        await tx.query('INSERT INTO t VALUES (1)')
        await tx.query('DELETE FROM t').catch(() => undefined)
        await tx.query('INSERT INTO t VALUES (2)')
      }),
      { kind: 'failed', message: /rolled the transaction back/ },
    )
    await assert.rejects(
      database.transaction(async (tx) => {
        await tx.query('INSERT INTO t VALUES (1)')
        await tx.query('DELETE FROM t').catch(() => undefined)
      }),
      { kind: 'failed' },
    )
    assert.deepEqual((await database.query('SELECT a FROM t')).rows, [])
  })

  it('a full disk is reported, and nothing of the transaction is kept', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await database.query('CREATE TABLE t (a)')
    await database.query('PRAGMA max_page_count = 20')
    await assert.rejects(
      database.transaction(async (tx) => {
        for (;;) await tx.query('INSERT INTO t VALUES (randomblob(5000))')
      }),
      { kind: 'failed', message: /full.*Free space on the disk/ },
    )
    assert.deepEqual((await database.query('SELECT * FROM t')).rows, [])
  })

  it('foreign keys are checked at COMMIT', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    await open.database.query('CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a REFERENCES a DEFERRABLE INITIALLY DEFERRED)')
    await assert.rejects(
      open.database.transaction((tx) => tx.query('INSERT INTO b VALUES (7)')),
      { kind: 'row-refused' },
    )
    assert.deepEqual((await open.database.query('SELECT * FROM b')).rows, [])
  })

  for (const mode of MODES) {
    it(`waits for another process's lock while the event loop goes on (journal mode ${mode})`, async () => {
      await using fresh = await freshSqliteFile()
      prepared(fresh.file, mode)
      await using open = await opened(fresh.file)
      await using writer = await lockHolder(fresh.file, 'INSERT INTO t VALUES (1)')
      const startedMs = performance.now()
      const waited = (): number => performance.now() - startedMs
      // Were the event loop blocked, it would never come so far, and the wait would end with `busy`.
      const freed = (async () => {
        for (let turns = 0; turns < 8 || waited() < 200; turns += 1) await delay(5)
        const heldMs = waited()
        await writer.release()
        return heldMs
      })()
      await open.database.transaction((tx) => tx.query('INSERT INTO t VALUES (2)'))
      const tookMs = waited()
      const heldByOtherMs = await freed
      assert.deepEqual((await open.database.query('SELECT a FROM t ORDER BY a')).rows, [{ a: 1 }, { a: 2 }])
      const heldMs = open.database.heldMs()
      const { contended } = await open.database.pressure()
      assert.equal(contended, true)
      assert.ok(heldMs <= tookMs - heldByOtherMs, `${heldMs} of ${tookMs} ms, of which another held it for ${heldByOtherMs}`)
      assert.equal((await open.database.pressure()).contended, false)
    })

    it(`gives up after a while, having changed nothing (journal mode ${mode})`, async () => {
      await using fresh = await freshSqliteFile()
      prepared(fresh.file, mode)
      await using writer = await lockHolder(fresh.file, 'INSERT INTO t VALUES (1)')
      const clock = hostClock()
      await using open = await opened(fresh.file, { clock: { ...clock, monotonicMs: () => 20 * clock.monotonicMs() } })
      let worked = false
      await assert.rejects(
        open.database.transaction(async () => void (worked = true)),
        { kind: 'busy', message: /another process has held the lock/ },
      )
      assert.equal(worked, false)
      await writer.release()
    })
  }

  it('without a WAL, COMMIT waits for a reader to finish and keeps its work meanwhile', async () => {
    await using fresh = await freshSqliteFile()
    prepared(fresh.file, 'delete')
    await using open = await opened(fresh.file)
    using reader = beside(fresh.file)
    reader.exec('INSERT INTO t VALUES (1); BEGIN; SELECT * FROM t')
    const freed = delay(150).then(() => reader.exec('COMMIT'))
    await open.database.transaction((tx) => tx.query('INSERT INTO t VALUES (2)'))
    await freed
    assert.deepEqual(reader.prepare('SELECT count(*) AS n FROM t').get(), { n: 2 })
  })

  for (const mode of MODES) {
    it(`recovers what a process that was killed left behind (journal mode ${mode})`, async () => {
      await using fresh = await freshSqliteFile()
      prepared(fresh.file, mode, 100)
      await using writer = await lockHolder(fresh.file, 'PRAGMA cache_size = 1; INSERT INTO t SELECT zeroblob(20000) FROM t')
      await writer.kill()
      if (mode === 'delete') {
        // Only an opening for writing can roll it back.
        await assert.rejects(opened(fresh.file, { access: 'read' }), { kind: 'read-only', message: /left a journal/ })
      }
      await using open = await opened(fresh.file)
      assert.deepEqual((await open.database.query('SELECT count(*) AS n FROM t')).rows, [{ n: 100 }])
      await open.database.transaction((tx) => tx.query('DELETE FROM t'))
    })
  }

  it('a session that is closed during a transaction keeps nothing of it, and reports that', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    await database.query('CREATE TABLE t (a)')
    await assert.rejects(
      database.transaction(async (tx) => {
        await tx.query('INSERT INTO t VALUES (1)')
        await database[Symbol.asyncDispose]()
        await tx.query('INSERT INTO t VALUES (2)')
      }),
      { name: 'DatabaseError' },
    )
    using after = beside(fresh.file)
    assert.deepEqual(after.prepare('SELECT * FROM t').all(), [])
  })
})

describe('the migration lock of SQLite', () => {
  it('the migration lock is waited for and reported at once, until the time is up or a stop is requested', async () => {
    await using fresh = await freshSqliteFile()
    prepared(fresh.file, 'wal')
    await using open = await opened(fresh.file)
    const { database } = open
    using writer = beside(fresh.file)
    writer.exec('BEGIN IMMEDIATE')
    const told: string[] = []
    const stop = new AbortController()
    const attempt = (timeoutMs: number): Promise<unknown> =>
      database.withMigrationLock({ timeoutMs, signal: stop.signal, waiting: (holder) => void told.push(holder) }, (apply) =>
        apply((tx) => tx.query('CREATE TABLE made (a)')),
      )
    await assert.rejects(attempt(1_000), { kind: 'busy' })
    assert.deepEqual(told, ['another process that holds the write lock'])

    const stopped = assert.rejects(attempt(60_000), { kind: 'busy' })
    setTimeout(() => stop.abort(), 50)
    await stopped

    writer.exec('COMMIT')
    await attempt(100)
    assert.equal((await database.relations()).get('made')?.kind, 'table')
  })
})

function prepared(file: string, mode: (typeof MODES)[number], rows = 0): void {
  const database = new BetterSqlite3(file)
  database.pragma(`journal_mode = ${mode}`)
  database.exec('CREATE TABLE t (a)')
  for (let row = 0; row < rows; row++) database.exec(`INSERT INTO t VALUES (${row})`)
  database.close()
}

interface LockHolder extends AsyncDisposable {
  release(): Promise<void>
  kill(): Promise<void>
}

/** A process of its own that did `sql` in a transaction and keeps it open. */
async function lockHolder(file: string, sql: string): Promise<LockHolder> {
  const driver = import.meta.resolve('better-sqlite3')
  const script = `
    const { default: Database } = await import(${JSON.stringify(driver)})
    const database = new Database(${JSON.stringify(file)})
    database.exec(${JSON.stringify(`BEGIN IMMEDIATE; ${sql}`)})
    process.stdin.once('data', () => { database.exec('COMMIT'); database.close(); process.exit() })
    console.log('locked')`
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  await once(child.stdout!, 'data')
  const end = async (how: () => void): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) how()
    await ended
  }
  const kill = (): Promise<void> => end(() => child.kill('SIGKILL'))
  return { release: () => end(() => child.stdin!.write('go')), kill, [Symbol.asyncDispose]: kill }
}
