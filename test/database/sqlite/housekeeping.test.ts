import assert from 'node:assert/strict'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { Database } from '../../../src/database/database.ts'
import { SECOND } from '../../../src/time/clock.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { beside, NOON, opened, purged } from './opening.ts'

const SESSIONS = { table: 'sessions', column: 'expires_at' }
const MEGABYTE = 2 ** 20
const LEAST_RESERVE_BYTES = 256 * 4_096

describe('who else works on a SQLite database', () => {
  it('other clients are noticed by their commits, and our own commits do not count', async () => {
    await using fresh = await freshSqliteFile()
    await using open = await opened(fresh.file)
    const { database } = open
    using gateway = beside(fresh.file)
    await database.query('CREATE TABLE t (a)')
    assert.equal((await database.pressure()).others, false)
    gateway.exec('INSERT INTO t VALUES (1)')
    assert.equal((await database.pressure()).others, true)
    assert.equal((await database.pressure()).others, false)
  })

  it('without a WAL there are pauses even if no other client was noticed', async () => {
    for (const mode of ['delete', 'wal']) {
      await using fresh = await freshSqliteFile()
      made(fresh.file, mode)
      await using open = await opened(fresh.file)
      assert.equal(open.database.pacing.alone.pauseMs > 0, mode === 'delete')
    }
  })
})

describe('after a batch', () => {
  it('the log is checkpointed after a batch, and completely after the last one', async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'wal', 20_000)
    await using open = await opened(fresh.file)
    const { database } = open
    assert.equal(await purged(database, database.expired(SESSIONS, NOON), 500), 20_000)
    await database.afterBatch(true)
    const [log] = await logOf(database)
    assert.ok(log!.log > 0)
    assert.equal(log!.checkpointed, log!.log)
    using gateway = beside(fresh.file)
    assert.deepEqual(gateway.pragma('wal_checkpoint(NOOP)'), await logOf(database))
  })

  it('the log stays small beside another writer, whose commits do not checkpoint it and who can restart it in the end', async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'wal', 150_000)
    await using open = await opened(fresh.file)
    const { database } = open
    using gateway = beside(fresh.file)
    const writes = (): void => void gateway.exec("INSERT INTO sessions (expires_at, note) VALUES ('2099-01-01', 'x')")
    await database.pressure()
    writes()
    assert.equal((await database.pressure()).others, true)
    const rows = database.expired(SESSIONS, NOON)
    let largest = 0
    let movedByGateway = 0
    for (let slice = await rows.next(5_000, undefined); slice !== undefined; slice = await rows.next(5_000, slice)) {
      const batch = slice
      await database.transaction((tx) => batch.remove(tx, []))
      const before = (await logOf(database))[0]!
      writes()
      const after = (await logOf(database))[0]!
      // What was moved before, and a log begun anew, are no work of his.
      if (after.log > before.log) movedByGateway = Math.max(movedByGateway, after.checkpointed - before.checkpointed)
      await database.pressure()
      await database.afterBatch(false)
      largest = Math.max(largest, (await stat(`${fresh.file}-wal`)).size)
    }
    assert.ok(largest > MEGABYTE && largest < 32 * MEGABYTE, `${largest} bytes`)
    assert.ok(movedByGateway < 20, `${movedByGateway} pages`)
    await database.afterBatch(true)
    assert.deepEqual(gateway.pragma('wal_checkpoint(TRUNCATE)'), [{ busy: 0, log: 0, checkpointed: 0 }])
  })

  it('without a WAL nothing is locked between batches, however much others write', async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'delete', 1_000)
    await using open = await opened(fresh.file)
    const { database } = open
    using gateway = beside(fresh.file)
    for (let n = 0; n < 3; n++) {
      await database.pressure()
      gateway.exec("INSERT INTO sessions (expires_at) VALUES ('2099-01-01')")
      assert.equal((await database.pressure()).others, true)
      await database.transaction((tx) => tx.query('UPDATE sessions SET note = 1'))
      gateway.exec("INSERT INTO sessions (expires_at) VALUES ('2099-01-01')")
      await database.afterBatch(false)
    }
  })

  it('a run that ends unexpectedly releases the log within a second', async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'wal', 1_000)
    const time = { nowMs: 0, wake: [] as (() => void)[] }
    const clock = {
      now: () => NOON,
      monotonicMs: () => time.nowMs,
      sleep: () => new Promise<void>((resolve) => void time.wake.push(resolve)),
    }
    await using open = await opened(fresh.file, { clock })
    const { database } = open
    using gateway = beside(fresh.file)
    await database.pressure()
    gateway.exec("INSERT INTO sessions (expires_at) VALUES ('2099-01-01')")
    await database.pressure()
    await database.transaction((tx) => tx.query('UPDATE sessions SET note = 1'))
    gateway.exec("INSERT INTO sessions (expires_at) VALUES ('2099-01-01')")
    const heldBack = (): boolean => (gateway.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[])[0]?.busy === 1
    assert.equal(heldBack(), true)
    time.nowMs += SECOND
    for (const wake of time.wake) wake()
    await new Promise(setImmediate)
    assert.equal(heldBack(), false)
  })

  it('a log that a reader keeps from being checkpointed is a reason to wait until the reader has ended', async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'wal', 30_000)
    await using open = await opened(fresh.file)
    const { database } = open
    using reader = beside(fresh.file)
    reader.exec('BEGIN; SELECT count(*) FROM sessions')
    for (let n = 0; n < 4; n++) await database.query('UPDATE sessions SET note = randomblob(500)')
    await database.afterBatch(false)
    assert.match((await database.pressure()).backpressure ?? '', /\d+ MB of .*-wal cannot be checkpointed/)
    reader.exec('COMMIT')
    await database.afterBatch(false)
    assert.equal((await database.pressure()).backpressure, undefined)
  })

  it('the log is left to Litestream if that replicates the file', async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'wal', 5_000)
    await mkdir(join(fresh.folder, '.gateway.db-litestream'))
    await using open = await opened(fresh.file)
    const { database } = open
    const before = (await stat(fresh.file)).mtimeMs
    assert.equal(await purged(database, database.expired(SESSIONS, NOON), 500), 5_000)
    const [log] = await logOf(database)
    assert.equal(log?.checkpointed, 0)
    assert.equal((await stat(fresh.file)).mtimeMs, before)
  })

  it('freed pages stay in the file for new rows, and the file keeps its size', async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'delete', 20_000)
    await using open = await opened(fresh.file)
    const { database } = open
    const { size } = await stat(fresh.file)
    assert.equal(freeBytes(fresh.file), 0)
    await purged(database, database.expired(SESSIONS, NOON), 5_000)
    assert.equal((await stat(fresh.file)).size, size)
    const reusable = freeBytes(fresh.file)
    assert.ok(reusable > size * 0.8 && reusable < size, `${reusable} of ${size} bytes`)
  })

  it('freed pages are returned to the file system down to a reserve, if the file allows it', async () => {
    await using fresh = await freshSqliteFile()
    made(fresh.file, 'delete', 40_000, 'PRAGMA auto_vacuum = INCREMENTAL')
    await using open = await opened(fresh.file)
    const { database } = open
    const { size } = await stat(fresh.file)
    await purged(database, database.expired(SESSIONS, NOON), 5_000)
    await database.afterBatch(true)
    const reserve = freeBytes(fresh.file)
    assert.equal(reserve, LEAST_RESERVE_BYTES)
    assert.ok((await stat(fresh.file)).size < size / 5 + reserve, `${size} bytes before`)
    const space = await database.space([])
    assert.deepEqual([space.freeBytes, space.bytes, space.advice], [reserve, (await stat(fresh.file)).size, []])
  })

  it('a file that is mostly free and gives nothing back is said to be, with the way on', async () => {
    await using fresh = await freshSqliteFile()
    for (const [rows, said] of [
      [50_000, false],
      [700_000, true],
    ] as const) {
      made(fresh.file, 'delete', rows)
      await using open = await opened(fresh.file)
      const { database } = open
      await purged(database, database.expired(SESSIONS, NOON), 25_000)
      const { advice } = await database.space([])
      assert.equal(advice.length, said ? 1 : 0)
      if (said)
        assert.match(
          advice[0]!,
          /^\d+ MB of .*gateway\.db \(9\d %\) are free, and are not given back to the disk.* run "mcp-gateway-maintenance compact --dry-run"/,
        )
      using gateway = beside(fresh.file)
      gateway.exec('DROP TABLE sessions; VACUUM')
    }
  })
})

function freeBytes(file: string): number {
  const database = new BetterSqlite3(file, { readonly: true })
  const [pages, bytes] = ['freelist_count', 'page_size'].map((pragma) => Number(database.pragma(pragma, { simple: true })))
  database.close()
  return pages! * bytes!
}

function made(file: string, mode: string, rows = 0, before = ''): void {
  const database = new BetterSqlite3(file)
  database.exec(before)
  database.pragma(`journal_mode = ${mode}`)
  database.exec(
    'CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP, note TEXT); CREATE INDEX idx_sessions_expires ON sessions (expires_at)',
  )
  const insert = database.prepare("INSERT INTO sessions (expires_at, note) VALUES ('2026-01-01', ?)")
  database.transaction(() => {
    for (let row = 0; row < rows; row++) insert.run('note '.repeat(40))
  })()
  database.close()
}

async function logOf(database: Database): Promise<readonly { busy: number; log: number; checkpointed: number }[]> {
  return (await database.query<{ busy: number; log: number; checkpointed: number }>('PRAGMA wal_checkpoint(NOOP)')).rows
}
